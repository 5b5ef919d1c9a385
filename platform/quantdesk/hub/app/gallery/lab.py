"""Where a notebook opens in JupyterLab, through the hub. An edge module: the accounts of the hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from quantdesk.errors import QuantdeskError
from quantdesk.hub.accounts import Accounts
from quantdesk.hub.config import HubFiles

__all__ = ["Opening", "home_of", "opening"]


@dataclass(frozen=True)
class Opening:
    """A link into JupyterLab.

    Attributes
    ----------
    path
        Below the hub's root, without a slash at its beginning.
    why
        What a person has to do there; empty where the notebook itself opens.
    """

    path: str
    why: str = ""


def home_of(user: str, files: HubFiles | None = None) -> Path:
    """The folder that a user's JupyterLab shows: his home; the one that he would get where there is none yet."""
    files = files or HubFiles()
    try:
        account = Accounts(files).find(user)
    except (QuantdeskError, OSError):  # the table of accounts is the hub's own, and may be closed to this process
        account = None
    return Path(account.home) if account is not None else files.homes / user


def opening(notebook: Path, home: Path) -> Opening:
    """How somebody opens a notebook: itself where it lies in his home, otherwise JupyterLab, and how to get a copy."""
    try:
        inside = notebook.resolve().relative_to(home.resolve())
    except (ValueError, OSError):
        return Opening(
            "hub/user-redirect/lab",
            f"Your JupyterLab shows your home alone: take the card Template of its launcher, then {notebook.stem}, "
            "for a copy of your own.",
        )
    return Opening(f"hub/user-redirect/lab/tree/{quote(inside.as_posix())}")
