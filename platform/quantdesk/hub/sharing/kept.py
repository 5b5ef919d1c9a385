"""What was shared, in the hub's database: read, given, taken back. An edge module.

What the rules do not allow any more opens nothing from that moment on (`admission`), and leaves JupyterHub's table when
the hub starts or somebody looks at his shares (`settle`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jupyterhub import orm
from jupyterhub.scopes import get_scopes_for

from quantdesk.errors import BadInput
from quantdesk.hub.sharing.rules import may_share, refusal, rights

__all__ = [
    "Given",
    "Received",
    "Shared",
    "admission",
    "check",
    "end_all_of",
    "give",
    "give_back",
    "named",
    "settle",
    "shared",
    "take_back",
    "teams",
]

_OF_RIGHTS = "quantdesk-"


@dataclass(frozen=True)
class Given:
    """One to whom the user's server is open: ``user`` or ``group``, its name, and since when (UTC)."""

    kind: str
    name: str
    since: datetime


@dataclass(frozen=True)
class Received:
    """A server that is open to the user: whose, whether it runs, and through which group (empty: by name)."""

    owner: str
    running: bool
    group: str


@dataclass(frozen=True)
class Shared:
    """What a user sees of sharing: whether he may share, and what is shared."""

    may: bool
    given: tuple[Given, ...]
    received: tuple[Received, ...]


def teams(user: orm.User) -> tuple[str, ...]:
    """The groups that a user may share with: his own, but for those that stand for a right (`quantdesk-`)."""
    return tuple(sorted(group.name for group in user.groups if not group.name.startswith(_OF_RIGHTS)))


def shared(db: Any, user: orm.User) -> Shared:
    """What a user sees; what the rules forbid by now is ended first."""
    ours = list(user.shares)
    theirs = [*user.shared_with_me, *(one for group in user.groups for one in group.shared_with_me)]
    gone = [share for share, _ in settle(db, [*ours, *theirs])]
    given = [_given(one) for one in ours if one not in gone]
    received: dict[str, Received] = {}
    for one in theirs:
        if one not in gone and one.owner is not user:
            by = one.group.name if one.group else ""
            if one.owner.name not in received or not by:
                received[one.owner.name] = Received(one.owner.name, one.spawner.server is not None, by)
    return Shared(
        may_share(_rights(user)),
        tuple(sorted(given, key=lambda one: (one.kind, one.name))),
        tuple(received[name] for name in sorted(received)),
    )


def check(owner: orm.User, other: orm.User | orm.Group) -> None:
    """See whether a user's server may be open to somebody.

    Raises
    ------
    BadInput
        The rules forbid it for that user, or for somebody of that group; the message says why.
    """
    if other is owner:
        raise BadInput("The server is yours already.", "Name somebody else.")
    if isinstance(other, orm.Group) and other.name not in teams(owner):
        raise BadInput(f"You are in no team {other.name[:60]!r}.", "A server is shared with a team of its owner.")
    own = _rights(owner)
    for one in [other] if isinstance(other, orm.User) else other.users:
        if one is owner:
            continue
        found = refusal(own, _rights(one), one.name)
        if found is not None:
            raise BadInput(*found)


def give(db: Any, owner: Any, kind: str, name: str) -> None:
    """Open a user's own server.

    Parameters
    ----------
    db
        The hub's session.
    owner
        JupyterHub's user.
    kind, name
        ``user`` or ``group``, and which.

    Raises
    ------
    BadInput
        There is nobody of this name, or the rules forbid it.
    """
    other = named(db, kind, name)
    check(owner.orm_user, other)
    orm.Share.grant(db, owner.spawner.orm_spawner, other)


def take_back(db: Any, owner: Any, kind: str, name: str) -> None:
    """Close a user's own server to one of those to whom it is open; nothing is done where it is closed already."""
    for one in list(owner.orm_user.shares):
        if (_given(one).kind, _given(one).name) == (kind, name):
            db.delete(one)
    db.commit()


def give_back(db: Any, user: orm.User, owner: str) -> None:
    """Do without another's server that was opened to a user by name."""
    for one in list(user.shared_with_me):
        if one.owner.name == owner:
            db.delete(one)
    db.commit()


def end_all_of(db: Any, user: orm.User) -> None:
    """End whatever a user has given or was given by name."""
    for one in [*user.shares, *user.shared_with_me]:
        db.delete(one)
    db.commit()


def settle(db: Any, shares: Iterable[orm.Share] | None = None, *, on: bool = True) -> list[tuple[orm.Share, str]]:
    """End what may not be any more: everything where sharing is off, and all links; what the rules forbid.

    Parameters
    ----------
    db
        The hub's session.
    shares
        Which; None looks at all of them, and at links.
    on
        Whether servers may be shared.

    Returns
    -------
    list of tuple
        What was ended, and a sentence about it for the log.
    """
    if shares is None:
        shares = db.query(orm.Share).all()
        db.query(orm.ShareCode).delete()
    ended = []
    for one in dict.fromkeys(shares):
        why = _why_not(one) if on else "Sharing is off."
        if why:
            other = one.user or one.group
            ended.append((one, f"The server of {one.owner.name} is shared with {other.name} no longer: {why}"))
            db.delete(one)
    if ended:
        db.commit()
    return ended


def admission(user: orm.User, *, on: bool = True) -> tuple[frozenset[str], frozenset[str]]:
    """Scopes of servers that are shared with a user: those that are open to him now, and those that are not.

    Parameters
    ----------
    user
        Who wants to enter.
    on
        Whether servers may be shared.
    """
    shares = [*user.shared_with_me, *(one for group in user.groups for one in group.shared_with_me)]
    opened = {scope for one in shares if on and not _why_not(one) for scope in one.scopes}
    return frozenset(opened), frozenset(scope for one in shares for scope in one.scopes) - opened


def _why_not(share: orm.Share) -> str:
    try:
        check(share.owner, share.user or share.group)
    except BadInput as error:
        return str(error)
    return ""


def named(db: Any, kind: str, name: str) -> orm.User | orm.Group:
    """Who is meant by ``user`` or ``group`` and a name.

    Raises
    ------
    BadInput
        There is nobody, and no group, of this name.
    """
    found = {"user": orm.User, "group": orm.Group}[kind].find(db, name) if kind in ("user", "group") else None
    if found is None and kind == "user":
        raise BadInput(
            f"Nobody is called {name[:60]!r} here.", "Give the name with which that person logs in, once that was done."
        )
    if found is None:
        raise BadInput(f"You are in no team {name[:60]!r}.", "A server is shared with a team of its owner.")
    return found


def _rights(user: orm.User) -> frozenset[str]:
    return rights(get_scopes_for(user))


def _given(share: orm.Share) -> Given:
    other = share.user or share.group
    return Given("user" if share.user else "group", other.name, share.created_at)
