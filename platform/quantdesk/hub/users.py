"""The administrator's page of users: who has signed up, and who may come in. An edge module.

A hub may know many more people than a page can show: it shows a hundred at a time, those who wait first, and finds
them by a part of their name.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

from jupyterhub import orm
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import maybe_future
from nativeauthenticator.orm import UserInfo
from sqlalchemy import func

from quantdesk.errors import BadInput
from quantdesk.hub.accounts import Accounts
from quantdesk.hub.behalf.mine import end_jobs
from quantdesk.hub.pages import Strict

__all__ = ["Users"]

AT_ONCE = 100
_LONGEST = 60


class Users(Strict):
    """Who has signed up, and who may come in."""

    @needs_scope("admin:users")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """A page of the list."""
        await self._list()

    def _asked(self) -> tuple[str, int]:
        """The part of a name that is looked for, and which page; what is no number is the first."""
        part = str(self.get_argument("q", "")).strip().lower()[:_LONGEST]
        number = str(self.get_argument("page", "1"))
        return part, max(1, int(number)) if number.isascii() and number.isdigit() and len(number) < 8 else 1

    def _address(self, part: str, page: int) -> str:
        words = {**({"q": part} if part else {}), **({"page": page} if page > 1 else {})}
        return f"{self.hub.base_url}users" + (f"?{urlencode(words)}" if words else "")

    async def _list(self, problem: str = "", status: int = 200) -> None:
        part, page = self._asked()
        found = self.db.query(UserInfo).filter(UserInfo.username.contains(part, autoescape=True))
        total = found.count()
        pages = max(1, -(-total // AT_ONCE))
        page = min(page, pages)
        ordered = found.order_by(UserInfo.is_authorized, UserInfo.username)
        shown = ordered.offset((page - 1) * AT_ONCE).limit(AT_ONCE).all()
        isolated = self.authenticator.isolated
        accounts = (await asyncio.to_thread(Accounts(self.authenticator.files).in_use)) if isolated else {}
        people = self._people([info.username for info in shown])
        rows = [
            {
                "name": info.username,
                "approved": bool(info.is_authorized),
                "fixed": info.username == self.authenticator.administrator,
                "account": accounts.get(info.username),
                **people.get(info.username, {"running": False, "active": None}),
            }
            for info in shown
        ]
        first = (page - 1) * AT_ONCE
        await self.show(
            "users.html", problem=problem, status=status, rows=rows, part=part, total=total, page=page,
            waiting=self.authenticator.waiting(),
            span=(first + 1, first + len(rows)),
            before=self._address(part, page - 1) if page > 1 else "",
            after=self._address(part, page + 1) if page < pages else "",
        )  # fmt: skip

    def _people(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Of users whom the hub has met: whether their server runs, and when they were last seen.

        JupyterHub's own objects would be made for each, with all that a server needs; the tables are asked instead.
        """
        asked = self.db.query(orm.User.name, orm.User.last_activity, func.max(orm.Spawner.server_id))
        asked = asked.outerjoin(orm.Spawner, orm.Spawner.user_id == orm.User.id).group_by(orm.User.id)
        found = asked.filter(orm.User.name.in_(names))
        return {name: {"running": server is not None, "active": seen} for name, seen, server in found}

    @needs_scope("admin:users")  # type: ignore[untyped-decorator]
    async def post(self) -> None:
        """Approve, revoke or discard one user."""
        name, action = self.typed("user"), self.typed("action")
        try:
            if action == "approve":
                self.authenticator.approve(name, approved=True)
            elif action in {"revoke", "discard"}:
                self.authenticator.approve(name, approved=False)
                await self._turn_out(name)
                if action == "discard":
                    await self._forget(name)
            else:
                raise BadInput(f"{action[:40]!r} cannot be done to a user.", "Known: approve, revoke, discard.")
        except BadInput as error:
            await self._list(problem=str(error), status=400)
            return
        self.log.info("%s: %s %s", self.own_name(), action, name)
        self.redirect(self._address(*self._asked()))

    async def _turn_out(self, name: str) -> None:
        """Stop a user's server and jobs, and end the sessions and what is shared."""
        from quantdesk.hub.sharing.kept import end_all_of

        user = self.find_user(name)
        if user is not None:
            end_all_of(self.db, user.orm_user)
            if user.spawner.active:
                await self.stop_single_user(user)
            self.authenticator.end_sessions(user)
        if self.authenticator.isolated:
            await asyncio.to_thread(end_jobs, self.authenticator.files, name)

    async def _forget(self, name: str) -> None:
        """Remove a user as the hub's own interface does: password gone, account retired, home kept."""
        user = self.find_user(name)
        await maybe_future(self.authenticator.delete_user(user or _Named(name)))
        if user is not None:
            await user.delete_spawners()
            self.users.delete(user)


class _Named:
    """A user whom the hub itself never met, for he was never let in."""

    def __init__(self, name: str) -> None:
        self.name = name
