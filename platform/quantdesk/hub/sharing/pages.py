"""The page on which a user opens his server to others and closes it, and JupyterHub's API of the same. An edge module.

It changes things by POST only, with the hub's guard against forged requests, and for who is logged in by a browser: the
token of a server or a program opens nothing here.
"""

from __future__ import annotations

from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.shares import ServerShareAPIHandler, ServerShareCodeAPIHandler
from jupyterhub.apihandlers.users import SelfAPIHandler
from jupyterhub.scopes import access_scopes
from tornado import web

from quantdesk.errors import BadInput
from quantdesk.hub.pages import Strict
from quantdesk.hub.sharing import kept
from quantdesk.hub.sharing.config import SharingConfig

__all__ = ["handlers", "seen"]

OFF = "Servers are not shared on this hub: its administrator has to set QUANTDESK_SHARING to true."


def handlers(app: Any) -> list[tuple[Any, ...]]:
    """What the hub has for sharing, below ``/hub``; first in its list, so that it stands before JupyterHub's own.

    Parameters
    ----------
    app
        The hub, whose users and groups are loaded: what may be shared no longer is ended.
    """
    on = SharingConfig.from_env().sharing
    for _, sentence in kept.settle(app.db, on=on):
        app.log.warning("%s", sentence)
    given = {"on": on}
    return [
        (r"/share", Share, given),
        (r"/api/user", WhoEnters, given),
        (r"/api/shares/([^/]+)/([^/]*)", Shares, given),
        (r"/api/share-codes/([^/]+)/([^/]*)", Codes),
    ]


def seen(user: Any) -> kept.Shared | None:
    """What the home page of a user shows of sharing; None where it is off."""
    if not user or not SharingConfig.from_env().sharing:
        return None
    return kept.shared(user.db, user.orm_user)


class Share(Strict):
    """Who may open one's server."""

    def initialize(self, on: bool) -> None:
        """Know whether servers may be shared."""
        self.on = on

    def _me(self) -> Any:
        if not self.on:
            raise web.HTTPError(403, OFF)
        return self.current_user

    @web.authenticated
    async def get(self) -> None:
        """What it means, a form, and with whom the server is shared."""
        await self._show()

    async def _show(self, problem: str = "", status: int = 200, **typed: str) -> None:
        me = self._me()
        await self.show(
            "share.html",
            problem=problem,
            status=status,
            teams=kept.teams(me.orm_user),
            running=bool(me.active),
            closed=self.get_query_argument("closed", "")[:60],
            typed=typed,
        )

    @web.authenticated
    async def post(self) -> None:
        """Open the server, close it, or do without another's."""
        me, action, kind, name = self._me(), self.typed("action"), self.typed("kind"), self.typed("name").strip()
        try:
            if action == "give":
                if self.typed("understood") != "yes":
                    raise BadInput(
                        "Nothing is shared yet.", "Tick that you know what whoever opens your server can do."
                    )
                kept.give(self.db, me, kind, name)
            elif action == "take":
                kept.take_back(self.db, me, kind, name)
            elif action == "leave":
                kept.give_back(self.db, me.orm_user, name)
            else:
                raise BadInput(f"{action[:40]!r} cannot be done here.", "Known: give, take, leave.")
        except BadInput as error:
            await self._show(str(error), 400, kind=kind, name=name[:60])
            return
        self.log.info("%s: server %s %s %r", self.own_name(), action, kind, name)
        if action == "leave":
            self.redirect(self.hub.base_url + "home")
            return
        self.redirect(self.hub.base_url + ("share?closed=yes" if action == "take" and me.active else "share"))


class WhoEnters(SelfAPIHandler):  # type: ignore[misc]
    """What a server asks about each visitor: who is it, and may he enter.

    JupyterHub 6.1.1 counts a share with a group for logins alone and forgets it for tokens, which is what a server has
    of its visitor; so nobody would enter through a group. And what the rules forbid by now opens nothing.
    """

    expanded_scopes: set[str]  # JupyterHub's

    def initialize(self, on: bool) -> None:
        """Know whether servers may be shared."""
        self.on = on

    async def get(self) -> None:
        """JupyterHub's answer, with the shares that count."""
        token = self.get_token()
        if token is not None and token.user is not None:
            opened, closed = kept.admission(token.user, on=self.on)
            if "inherit" not in token.scopes:  # a server's own token of a visitor opens that server and no other
                opened &= access_scopes(token.oauth_client) if token.oauth_client else frozenset()
            self.expanded_scopes = (set(self.expanded_scopes) - closed) | opened
        await super().get()


class Shares(ServerShareAPIHandler):  # type: ignore[misc]
    """JupyterHub's API, for administrators: the same rules."""

    def initialize(self, on: bool) -> None:
        """Know whether servers may be shared."""
        self.on = on

    async def post(self, user_name: str, server_name: str | None = None) -> None:
        """Give, where the rules allow it."""
        if not self.on:
            raise web.HTTPError(403, OFF)
        asked = self.get_json_body() or {}
        owner = orm.User.find(self.db, user_name)
        kind = "user" if isinstance(asked, dict) and asked.get("user") else "group"
        name = asked.get(kind) if isinstance(asked, dict) else None
        if owner is not None and self.has_scope(f"shares!server={user_name}/{server_name or ''}"):
            try:
                kept.check(owner, kept.named(self.db, kind, str(name or "")))
            except BadInput as error:
                raise web.HTTPError(403, str(error)) from error
        await super().post(user_name, server_name)


class Codes(ServerShareCodeAPIHandler):  # type: ignore[misc]
    """Links that open a server to whoever has one are not made; those of before can be seen and ended."""

    async def post(self, user_name: str, server_name: str | None = None) -> None:  # noqa: ARG002  (JupyterHub's)
        """Refuse."""
        raise web.HTTPError(403, "A server is shared with somebody who is named, and not by a link.")
