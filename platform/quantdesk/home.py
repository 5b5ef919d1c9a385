"""Where this installation keeps its state. An edge module: it reads the environment and the disk.

The rule, in order: ``QUANTDESK_STATE`` if it is set; ``state/`` beside ``jupyterhub_config.py`` when the package runs
from a checkout; otherwise ``$XDG_DATA_HOME/quantdesk`` (``~/.local/share/quantdesk``). Every edge module asks here, so
that a notebook, a service and the command line look at the same files.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["checkout", "state_dir"]


def checkout() -> Path | None:
    """The checkout that this package runs from, or None when it was installed from a wheel."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "jupyterhub_config.py").is_file() else None


def state_dir() -> Path:
    """The absolute path of the state directory. It is not created here."""
    given = os.environ.get("QUANTDESK_STATE")
    if given:
        return Path(given).expanduser().resolve()
    root = checkout()
    if root is not None:
        return root / "state"
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser().resolve() / "quantdesk"
