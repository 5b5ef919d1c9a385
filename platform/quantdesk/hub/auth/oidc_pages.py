"""Where a browser goes to a provider, comes back from it, and logs out there. An edge module."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from oauthenticator.oauth2 import (
    STATE_COOKIE_NAME,
    OAuthCallbackHandler,
    OAuthLoginHandler,
    OAuthLogoutHandler,
    _deserialize_state,
)
from tornado import web

from quantdesk.hub.auth.person import LoginRefused
from quantdesk.hub.auth.upstream_pages import LogoutEverywhere, show_refusal
from quantdesk.hub.pages import Strict

__all__ = ["STALE", "Begin", "Callback", "Logout"]

STALE = ("This login was begun in another browser or tab, or too long ago.", "Log in again.")
_BEGUN_FOR_DAYS = 600 / 86_400
_WORDS = {
    "access_denied": "The login was cancelled, or the provider did not let you in.",
    "login_required": "The provider wants you to log in there.",
    "temporarily_unavailable": "The provider cannot let anybody in at the moment.",
    "invalid_scope": "The provider refuses the scope that this hub asks for: the administrator has to correct it.",
}


class Begin(Strict, OAuthLoginHandler):  # type: ignore[misc]
    """Send the browser to the provider."""

    async def get(self) -> None:
        """Remember the login in a cookie, and go."""
        desk = self.authenticator
        try:
            too_many = desk.attempts.refusal("", desk.address(self.request))
            if too_many:
                raise LoginRefused(too_many, status=429)
            await desk.discover(awake=True)
        except LoginRefused as error:
            await show_refusal(self, error)
            return
        OAuthLoginHandler.get(self)

    def set_state_cookie(self, state_cookie_value: str) -> None:
        """For the hub alone, and for a few minutes: it holds the secret of the exchange."""
        self._begun = _deserialize_state(state_cookie_value)
        self._set_cookie(
            STATE_COOKIE_NAME, state_cookie_value, expires_days=_BEGUN_FOR_DAYS, path=self.hub.base_url, samesite="Lax"
        )

    def authorize_redirect(self, *arguments: Any, **given: Any) -> None:
        """As the library does, with a mark for the ID token; ``?again=1`` has the provider ask for a name anew."""
        extra = dict(given.pop("extra_params", None) or {})
        extra["nonce"] = self.authenticator.nonce_of(self._begun["code_verifier"])
        if self.get_argument("again", default=""):
            extra["prompt"] = "login"
        super().authorize_redirect(*arguments, extra_params=extra, **given)


class Callback(Strict, OAuthCallbackHandler):  # type: ignore[misc]
    """Come back from the provider, with a code or without."""

    _state_cookie: str | None = None

    async def get(self) -> None:
        """Let somebody in, or say why not."""
        desk, address = self.authenticator, self.authenticator.address(self.request)
        try:
            async with desk.attempts.attempt("", address) as attempt:
                if attempt.refused is not None:
                    raise LoginRefused(attempt.refused, status=429)
                self._check()
                user = await self.login_user()
                if user is None:
                    raise LoginRefused("This hub does not let you in.", "Ask the administrator.")
                attempt.succeeded = True
        except LoginRefused as error:
            await show_refusal(self, error)
            return
        self._jupyterhub_user = user
        self.redirect(self.get_next_url(user))

    def _check(self) -> None:
        """The login was begun in this browser, lately, and the provider did not refuse."""
        try:
            self.check_state()
        except (web.HTTPError, ValueError, AttributeError):
            raise LoginRefused(*STALE, status=400) from None
        # RFC 9207: a provider that says who it is must be ours, or a code would be carried to another one's.
        if self.get_argument("iss", default=self.authenticator.oidc.issuer) != self.authenticator.oidc.issuer:
            raise LoginRefused(*STALE, status=400)
        refused = self.get_argument("error", default="")
        if refused:
            word = "".join(one for one in refused[:40] if one.isascii() and (one.isalnum() or one in "_-."))
            raise LoginRefused(_WORDS.get(word, f"The provider refused the login ({word})."), "Log in again.")
        if not self.get_argument("code", default=""):
            raise LoginRefused(*STALE, status=400)

    def get_state_cookie(self) -> str:
        """The login as it was begun; it is good for one time."""
        if self._state_cookie is None:
            value = self.get_secure_cookie(STATE_COOKIE_NAME, max_age_days=_BEGUN_FOR_DAYS)
            self._state_cookie = (value or b"").decode("utf8", "replace")
            self.clear_cookie(STATE_COOKIE_NAME, path=self.hub.base_url)
        return self._state_cookie

    def get_next_url(self, user: Any = None) -> str:
        """Where the login was begun for, if that is a page of the hub's own host."""
        begun = _deserialize_state(self.get_state_cookie()).get("next_url") or ""
        return str(self._validate_next_url(begun) or super(OAuthCallbackHandler, self).get_next_url(user))


class Logout(LogoutEverywhere, OAuthLogoutHandler):  # type: ignore[misc]
    """Log out here, and then at the provider."""

    end_session = ""

    async def default_handle_logout(self) -> None:
        """Find out where to log out at the provider, while it is known who it was."""
        user = self.current_user
        if user:
            self.end_session = await self._end_session(user)
        await super().default_handle_logout()

    async def handle_logout(self) -> None:
        """A login that was begun is none any more."""
        self.clear_cookie(STATE_COOKIE_NAME, path=self.hub.base_url)

    async def render_logout_page(self) -> None:
        """A page that leads to the provider.

        It is no redirect: a form may have led here, and browsers let no form end at another host, which the service's
        own policy says.
        """
        await self.show("logged-out.html", end_session=self.end_session, title=self.authenticator.login.title)

    async def _end_session(self, user: Any) -> str:
        desk = self.authenticator
        try:
            place = (await desk.discover(awake=True)).end_session
        except LoginRefused:
            return ""
        state = await user.get_auth_state() or {}
        if not place:
            return ""
        asked = {"client_id": desk.client_id, "post_logout_redirect_uri": self._home()}
        if state.get("id_token"):
            asked["id_token_hint"] = state["id_token"]
        return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"

    def _home(self) -> str:
        public = self.authenticator.login.public_url.rstrip("/")
        return f"{public or f'{self.request.protocol}://{self.request.host}'}{self.hub.base_url}login"
