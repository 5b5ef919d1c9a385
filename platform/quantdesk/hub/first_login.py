"""The administrator's first login: a secret that works once and only leads to the choice of a password. An edge module.

`ensure_admin` makes the secret when the administrator has no password yet, returns it for the terminal, and keeps only
its hash. Typed in as the password, it is void from that moment: the browser that typed it gets a ticket, valid for half
an hour, with which an own password must be chosen. There is no session before that. Who closes the browser in between,
or loses the secret, asks for another one at the terminal: ``quantdesk up --new-admin-secret``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from quantdesk.errors import DataError
from quantdesk.hub import database
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.records import atomic_write, exclusive

__all__ = ["TICKET_LIFE", "FirstLogin", "ensure_admin", "first_login_pending"]

#: Letters and digits that are not mistaken for one another.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
TICKET_LIFE = timedelta(minutes=30)


def ensure_admin(files: HubFiles, admin: str, *, renew: bool = False) -> str | None:
    """Make the one-time secret of the administrator, if he needs one.

    Parameters
    ----------
    files
        Where the hub keeps its files.
    admin
        The administrator's name.
    renew
        Make one in any case: the last one was lost, or the password was.

    Returns
    -------
    str or None
        The secret, which is shown this once; None when the administrator has a password, or a secret that was not
        used yet (see `first_login_pending`).
    """
    with exclusive(files.root / "first-login.lock", timeout=30):
        if not renew and (_read(files, admin) is not None or _has_password(files, admin)):
            return None
        secret = "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(5))
        _write(files, _Record(admin, _digest(secret), "", "", _now().isoformat(timespec="seconds")))
        return secret


def first_login_pending(files: HubFiles, admin: str) -> bool:
    """Whether the administrator still has to choose a password with a secret that was printed earlier."""
    return _read(files, admin) is not None


@dataclass(frozen=True)
class _Record:
    """What the file holds: hashes only. `ticket` and `until` are set once the secret was typed in."""

    admin: str
    secret: str
    ticket: str
    until: str
    created: str


class FirstLogin:
    """The hub's side: trade the secret for a ticket, and the ticket for the right to set the password.

    Parameters
    ----------
    files
        Where the hub keeps its files.
    admin
        The administrator's name.
    """

    def __init__(self, files: HubFiles, admin: str) -> None:
        self._files = files
        self._admin = admin

    def redeem(self, user: str, secret: str, now: datetime | None = None) -> str | None:
        """Void the secret and return a ticket; None when `user` is not the administrator or the secret is wrong.

        The file is rewritten before the ticket is given out, so the secret works once even if the hub is killed
        right after.
        """
        with exclusive(self._files.root / "first-login.lock", timeout=30):
            record = _read(self._files, self._admin)
            if user != self._admin or record is None or not record.secret:
                return None
            if not hmac.compare_digest(record.secret, _digest(secret.strip().lower())):
                return None
            ticket = secrets.token_urlsafe(24)
            until = (now or _now()) + TICKET_LIFE
            _write(self._files, _Record(self._admin, "", _digest(ticket), until.isoformat(), record.created))
            return ticket

    def admits(self, ticket: str, now: datetime | None = None) -> bool:
        """Whether a ticket was given out, is not used yet and not too old."""
        record = _read(self._files, self._admin)
        if record is None or not record.ticket or not hmac.compare_digest(record.ticket, _digest(ticket)):
            return False
        return (now or _now()) <= datetime.fromisoformat(record.until)

    def finish(self) -> None:
        """The password is set: secret and ticket are gone."""
        self._files.first_login.unlink(missing_ok=True)


def _now() -> datetime:
    return datetime.now(UTC)


def _digest(secret: str) -> str:
    # A fast hash is enough: the secret has 123 bits of its own, so that guessing is hopeless at any speed.
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _read(files: HubFiles, admin: str) -> _Record | None:
    """The record of `admin`; None when there is none, or when it is another administrator's."""
    try:
        text = files.first_login.read_text()
    except FileNotFoundError:
        return None
    try:
        record = _Record(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{files.first_login} is damaged ({error}).", "Run `quantdesk up --new-admin-secret`, which replaces it."
        ) from error
    return record if record.admin == admin else None


def _write(files: HubFiles, record: _Record) -> None:
    with atomic_write(files.first_login, mode=0o600) as temporary:
        temporary.write_text(json.dumps(asdict(record)))


def _has_password(files: HubFiles, admin: str) -> bool:
    return bool(database.ask(HubConfig.from_env(), files, "users_info", ("username",), username=admin))
