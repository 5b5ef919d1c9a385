"""End logins: the cookies and tokens of a user in the hub's database. An edge module."""

from __future__ import annotations

from typing import Any

from jupyterhub.orm import new_token

__all__ = ["end_everything", "end_logins"]


def end_logins(user: Any, db: Any) -> None:
    """Make every browser's login of a user worthless: here, in the service, in JupyterLab, on each machine.

    Tokens that the user made on the token page stay: a program of his is not logged in.

    Parameters
    ----------
    user
        JupyterHub's.
    db
        Its session.
    """
    _end(user, db, programs=False)


def end_everything(user: Any, db: Any) -> None:
    """The same, and the tokens of programs; but for the one that a running server itself uses."""
    _end(user, db, programs=True)


def _end(user: Any, db: Any, *, programs: bool) -> None:
    orm_user = user.orm_user
    orm_user.cookie_id = new_token()
    for token in list(orm_user.api_tokens):
        of_a_browser = token.client_id != "jupyterhub"
        of_a_server = not of_a_browser and (token.note or "").startswith("Server at ")
        if of_a_browser or (programs and not of_a_server):
            db.delete(token)
    db.commit()
