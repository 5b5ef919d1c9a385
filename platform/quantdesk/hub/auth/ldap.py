"""Log in with the name and the password of an LDAP directory. An edge module.

On ldap3 alone: jupyterhub-ldapauthenticator asks the directory in the hub's own thread without a limit of time, so that
a directory which hangs would stop the hub for everybody, and it has one answer for "nobody" and for "no answer".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from traitlets import Instance

from quantdesk.hub.auth.config import LdapConfig
from quantdesk.hub.auth.directory import Directory, Entry
from quantdesk.hub.auth.person import Gone, LoginRefused, Person, Unreachable
from quantdesk.hub.auth.rounds import Rounds
from quantdesk.hub.auth.upstream import Upstream

__all__ = ["MOST_WAITING", "LdapAuthenticator"]

_Answer = TypeVar("_Answer")
_THREADS = 4
MOST_WAITING = 256
"""A whole desk may log in at one moment; more than that wait for a directory that is silent."""
_LONGEST = 256
_WRONG = "The user name or the password is wrong."


class LdapAuthenticator(Upstream):
    """Login by a directory. Settings come from `quantdesk.hub.auth.wiring`."""

    ldap = Instance(LdapConfig, help="The settings of the directory.").tag(config=True)

    method = "ldap"
    folds_case = True

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.directory = Directory(self.ldap, self.login.timeout)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="ldap")
        self._waiting = 0

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        """Somebody whose name and password fit and who has a role; otherwise None, and ``handler`` knows why."""
        name, password = str(data.get("username", "")), str(data.get("password", ""))
        address = self.address(handler.request)
        try:
            entry, groups = await self._judge(name, password, address)
            return await self.admit(_person(entry, groups), {"login": entry.name}, handler)
        except LoginRefused as error:
            notes = "; ".join(getattr(error, "__notes__", ()))
            self.log.warning("Login refused (%s): %s %s", address, error.problem, notes)
            handler.login_problem, handler.login_status = str(error), error.status
            return None

    async def _judge(self, name: str, password: str, address: str) -> tuple[Entry, tuple[str, ...]]:
        async with self.attempts.attempt(name.lower()[:_LONGEST], address) as attempt:
            if attempt.refused is not None:
                raise LoginRefused(attempt.refused, status=429)
            # Another spelling that the directory takes for the same name would be counted as another name.
            fine = name.isascii() and name.isprintable() and " " not in name and len(name) <= _LONGEST
            if not (name and fine and password and len(password) <= 4 * _LONGEST):
                raise LoginRefused(_WRONG)
            found = await self._asked(lambda: self._look(name, password))
            if found is None:
                raise LoginRefused(_WRONG)
            attempt.succeeded = True
            return found

    def _look(self, name: str, password: str) -> tuple[Entry, tuple[str, ...]] | None:
        """In a thread: who it is, if the password fits. A name that does not exist takes as long."""
        found = self.directory.find(name)
        fits = self.directory.confirm(found[0].dn if found else self.directory.nobody(), password)
        return found if fits else None

    async def ask_again(self, user: Any, state: dict[str, Any]) -> tuple[Person, dict[str, Any]]:
        """Who a user is now, by the name in the directory that he logged in with.

        Raises
        ------
        Unreachable, Gone
            See `quantdesk.hub.auth.upstream.Upstream.ask_again`.
        """
        login = str(state.get("login", ""))
        found = await self._asked(lambda: self.directory.find(login))
        if found is None:
            raise Gone(f"{user.name} is not in the directory any more.")
        return _person(*found), {"login": found[0].name}

    async def _asked(self, ask: Callable[[], _Answer]) -> _Answer:
        """Have a thread ask the directory, which keeps neither the hub nor its other threads waiting."""
        silent = "The directory, which knows who you are, does not answer."
        if self._waiting >= MOST_WAITING:
            raise Unreachable(silent)
        self._waiting += 1
        asked = asyncio.get_running_loop().run_in_executor(self._threads, ask)
        asked.add_done_callback(self._answered)
        try:
            # Three answers at most, each of which has its own limit; one that comes byte by byte has this one.
            return await asyncio.wait_for(asyncio.shield(asked), 4 * self.login.timeout)
        except TimeoutError:
            raise Unreachable(silent) from None

    def _answered(self, asked: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not asked.cancelled():
            asked.exception()  # whoever waited has it

    def get_handlers(self, app: Any) -> list[tuple[Any, ...]]:
        """The pages: login, log-out, and the hub's style. The hub calls this once, and the rounds begin."""
        from quantdesk.hub import pages
        from quantdesk.hub.auth.upstream_pages import DirectoryLogin, LogoutEverywhere
        from quantdesk.hub.sharing.pages import handlers

        Rounds(self, app).start()
        return [*handlers(app), (r"/login", DirectoryLogin), (r"/logout", LogoutEverywhere), pages.STYLE]


def _person(entry: Entry, groups: tuple[str, ...]) -> Person:
    return Person("ldap", entry.subject, entry.name, groups)
