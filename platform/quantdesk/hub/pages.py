"""The hub's own pages: log in, sign up, choose a password. An edge module; who may come in is decided in `users`.

They run no inline script, load nothing from elsewhere, and change things by POST only, with the hub's guard against
forged requests.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.login import LoginHandler
from jupyterhub.scopes import needs_scope
from tornado import web

from quantdesk.errors import BadInput
from quantdesk.hub.first_login import TICKET_LIFE

__all__ = ["SHARED_POLICY", "STRICT_POLICY", "STYLE", "Strict", "handlers", "security_headers"]

TICKET = "quantdesk-first-login"
_COMMON = (
    "default-src 'none'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
STRICT_POLICY = f"{_COMMON}; script-src 'self'; style-src 'self'"
"""For the pages here."""
SHARED_POLICY = f"{_COMMON}; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
"""For JupyterHub's own pages, whose templates hold inline scripts and styles."""


def security_headers() -> dict[str, str]:
    """What the hub sends with every page of its own."""
    return {
        "Content-Security-Policy": SHARED_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }


class Strict(BaseHandler):  # type: ignore[misc]
    """A page with the strict policy, which is never kept by the browser."""

    def set_default_headers(self) -> None:
        """The hub's headers, with our policy."""
        super().set_default_headers()
        self.set_header("Content-Security-Policy", STRICT_POLICY)
        self.set_header("Cache-Control", "no-store")

    async def show(self, template: str, *, problem: str = "", status: int = 200, **values: Any) -> None:
        """Finish the request with one of our templates."""
        self.set_status(status)
        page = await self.render_template(
            template, problem=problem, administrator=self.authenticator.administrator, **values
        )
        self.finish(page)

    def typed(self, name: str) -> str:
        """A field of the form as it was typed; empty when it was not sent."""
        return str(self.get_body_argument(name, "", strip=False))

    def own_name(self) -> str:
        """The name of the user who is logged in."""
        return str(self.current_user.name)


class Login(Strict, LoginHandler):  # type: ignore[misc]
    """Log in; the one-time secret leads to the choice of a password instead."""

    login_problem = ""

    def _render(self, login_error: str | None = None, username: str | None = None, **values: Any) -> Any:
        """The form; JupyterHub asks for it also as the page of an error, and then at once (``sync``)."""
        return self.render_template(
            "login.html",
            sync=bool(values.get("sync")),
            problem=login_error or "",
            username=username or "",
            next_url=self.get_argument("next", default=""),
            can_sign_up=self.authenticator.isolated,
            administrator=self.authenticator.administrator,
            first_login=self.authenticator.first_login_is_open(),
        )

    async def post(self) -> None:
        """Judge name and password."""
        name = self.authenticator.normalize_username(self.get_body_argument("username", ""))
        password = self.typed("password")
        ticket = self.authenticator.redeem(name, password, self.authenticator.address(self.request))
        if ticket is not None:
            self.set_secure_cookie(
                TICKET, ticket, expires_days=TICKET_LIFE.total_seconds() / 86400, path=self.hub.base_url,
                httponly=True, samesite="Strict", secure=self.request.protocol == "https",
            )  # fmt: skip
            self.redirect(self.hub.base_url + "set-password")
            return
        user = await self.login_user({"username": name, "password": password})
        if user:
            self._jupyterhub_user = user
            self.redirect(self.get_next_url(user))
            return
        self.set_status(403)
        self.finish(await self._render(login_error=self.login_problem, username=name))


class SetPassword(Strict):
    """The administrator's first password, chosen with the ticket that the one-time secret was traded for."""

    def _ticket(self) -> str:
        value = self.get_secure_cookie(TICKET, max_age_days=TICKET_LIFE.total_seconds() / 86400)
        ticket = value.decode("ascii", "replace") if value else ""
        if not self.authenticator.first_login.admits(ticket):
            raise web.HTTPError(
                403,
                "The one-time secret was used in another browser or too long ago. "
                "Run `quantdesk up --new-admin-secret` for another one.",
            )
        return ticket

    async def get(self) -> None:
        """The form."""
        self._ticket()
        await self.show("set-password.html")

    async def post(self) -> None:
        """Keep the password; ticket and secret are gone, and the administrator is logged in."""
        self._ticket()
        desk, password = self.authenticator, self.typed("new_password")
        try:
            desk.check_password(desk.administrator, password, self.typed("confirmation"))
        except BadInput as error:
            await self.show("set-password.html", problem=str(error), status=400)
            return
        await desk.set_password(desk.administrator, password, approve=True)
        desk.first_login.finish()
        known = self.find_user(desk.administrator)
        if known is not None:  # a lost password: whoever is still logged in with it is not any more
            desk.end_sessions(known)
        self.clear_cookie(TICKET, path=self.hub.base_url)
        await self.login_user({"username": desk.administrator, "password": password})
        self.redirect(self.hub.base_url + "home")


class SignUp(Strict):
    """Ask to be let in."""

    async def get(self) -> None:
        """The form, or why there is none."""
        refused = self.authenticator.refusal("")
        await self.show("sign-up.html", problem=refused or "", status=403 if refused else 200, closed=bool(refused))

    async def post(self) -> None:
        """Record the sign-up."""
        desk, typed_name = self.authenticator, self.typed("username").strip()
        closed = bool(desk.refusal(""))
        try:
            name = await desk.sign_up(typed_name, self.typed("new_password"), self.typed("confirmation"))
        except BadInput as error:
            status = 403 if closed else 400
            await self.show("sign-up.html", problem=str(error), status=status, username=typed_name[:40], closed=closed)
            return
        await self.show("sign-up.html", recorded=name)


class ChangePassword(Strict):
    """Change one's own password."""

    @web.authenticated
    async def get(self) -> None:
        """The form."""
        await self.show("change-password.html", subject=self.own_name(), own=True)

    @web.authenticated
    async def post(self) -> None:
        """Keep the new password; every other session ends."""
        desk, name, password = self.authenticator, self.own_name(), self.typed("new_password")
        try:
            if not await desk.password_fits(name, self.typed("present_password")):
                raise BadInput("The present password is wrong.")
            desk.check_password(name, password, self.typed("confirmation"))
        except BadInput as error:
            await self.show("change-password.html", problem=str(error), status=400, subject=name, own=True)
            return
        await desk.set_password(name, password)
        user = self.current_user
        desk.end_sessions(user)
        self.set_hub_cookie(user)
        await self.show("change-password.html", subject=name, own=True, done=True)


class ChangePasswordOf(Strict):
    """Give another user a new password, as an administrator."""

    def _subject(self, name: str) -> str:
        if not self.authenticator.user_exists(name):
            raise web.HTTPError(404, "Nobody has signed up under this name.")
        if name == self.own_name() or name == self.authenticator.administrator:
            raise web.HTTPError(403, "This password is changed by its owner only.")
        return name

    @needs_scope("admin:users")  # type: ignore[untyped-decorator]
    async def get(self, name: str) -> None:
        """The form."""
        await self.show("change-password.html", subject=self._subject(name), own=False)

    @needs_scope("admin:users")  # type: ignore[untyped-decorator]
    async def post(self, name: str) -> None:
        """Keep the new password; the user's sessions end."""
        desk, subject, password = self.authenticator, self._subject(name), self.typed("new_password")
        try:
            desk.check_password(subject, password, self.typed("confirmation"))
        except BadInput as error:
            await self.show("change-password.html", problem=str(error), status=400, subject=subject, own=False)
            return
        await desk.set_password(subject, password)
        user = self.find_user(subject)
        if user is not None:
            desk.end_sessions(user)
        await self.show("change-password.html", subject=subject, own=False, done=True)


class Style(web.RequestHandler):
    """The style sheet, the script and the mark: read once, checked by their hash."""

    def get(self, name: str) -> None:
        """One of the three, or 404."""
        if name not in _assets():
            raise web.HTTPError(404)
        content, kind = _assets()[name]
        self.set_header("Content-Type", kind)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "public, max-age=300")
        self.set_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:20]}"')
        if self.check_etag_header():
            self.set_status(304)
            return
        self.write(content)

    def check_xsrf_cookie(self) -> None:
        """Nothing is changed here."""


@cache
def _assets() -> dict[str, tuple[bytes, str]]:
    here = resources.files("quantdesk.hub") / "static"
    tokens = (resources.files("quantdesk.reports") / "tokens.css").read_bytes()
    return {
        "desk.css": (tokens + b"\n" + (here / "desk.css").read_bytes(), "text/css; charset=utf-8"),
        "desk.js": ((here / "desk.js").read_bytes(), "text/javascript; charset=utf-8"),
        "mark.svg": ((here / "mark.svg").read_bytes(), "image/svg+xml"),
    }


STYLE = (r"/quantdesk/([a-z.]+)", Style)
"""Style sheet, script and mark: every way to log in has them."""


def handlers() -> list[tuple[Any, ...]]:
    """The pages of native login and their paths below ``/hub``."""
    from quantdesk.hub.auth.upstream_pages import LogoutEverywhere
    from quantdesk.hub.users import Users

    return [
        (r"/login", Login),
        (r"/logout", LogoutEverywhere),
        (r"/set-password", SetPassword),
        (r"/signup", SignUp),
        (r"/change-password", ChangePassword),
        (r"/change-password/([^/]+)", ChangePasswordOf),
        (r"/users", Users),
        STYLE,
    ]
