"""The pages of a login that asks a directory or a provider: log in, log out, and why not. An edge module."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from jupyterhub.handlers.login import LoginHandler, LogoutHandler

from quantdesk.hub.auth.person import LoginRefused
from quantdesk.hub.pages import Strict

__all__ = ["DirectoryLogin", "LogoutEverywhere", "ProviderLogin", "show_refusal"]


async def show_refusal(page: Strict, refused: LoginRefused) -> None:
    """Say why somebody is not let in, and what can be done."""
    page.log.warning("Login refused (%s): %s", page.authenticator.address(page.request), refused.problem)
    await page.show(
        "login-refused.html", problem=refused.problem, remedy=refused.remedy, status=refused.status,
        personal=refused.status == HTTPStatus.FORBIDDEN,
    )  # fmt: skip


class ProviderLogin(Strict, LoginHandler):  # type: ignore[misc]
    """A page with one button, which leads to the provider."""

    def _render(self, login_error: str | None = None, username: str | None = None, **values: Any) -> Any:
        return self.render_template(
            "login.html",
            sync=bool(values.get("sync")),
            problem=login_error or "",
            username=username or "",
            next_url=self.get_argument("next", default=""),
            title=self.authenticator.login.title,
            administrator=self.authenticator.administrator,
            can_sign_up=False,
            isolated=self.authenticator.isolated,
            first_login=False,
        )


class DirectoryLogin(ProviderLogin):
    """Name and password, which the directory judges."""

    login_problem = ""
    login_status = 403

    async def post(self) -> None:
        """Judge them."""
        name = str(self.get_body_argument("username", "")).strip()
        user = await self.login_user({"username": name, "password": self.typed("password")})
        if user:
            self._jupyterhub_user = user
            self.redirect(self.get_next_url(user))
            return
        self.set_status(self.login_status)
        self.finish(await self._render(login_error=self.login_problem, username=name[:64]))


class LogoutEverywhere(Strict, LogoutHandler):  # type: ignore[misc]
    """End every login of the user: in this browser and in others, here, in the service and in JupyterLab."""

    async def get(self) -> None:
        """Log out; a page of somebody else cannot have a browser do it."""
        if self.request.headers.get("Sec-Fetch-Site", "none") in ("cross-site", "same-site") and self.current_user:
            await self.show("logged-out.html", ask=True)
            return
        await super().get()

    async def default_handle_logout(self) -> None:
        """JupyterHub's own part, and every other login of the user."""
        user = self.current_user
        await super().default_handle_logout()
        if user:
            self.authenticator.log_out(user)
