"""Log in by OpenID Connect: the code flow with PKCE, on oauthenticator's GenericOAuthenticator. An edge module.

What is added to it: the provider's addresses come from its own document; the ID token is checked, and the answer of the
userinfo endpoint must be about the same subject; names belong to subjects; roles come from groups; a refresh tells
silence (who is in goes on) from a refusal (log in again).
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import urlencode

from oauthenticator.generic import GenericOAuthenticator
from tornado import web
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from traitlets import Instance, default

from quantdesk.hub.auth import oidc_pages
from quantdesk.hub.auth.config import OidcConfig
from quantdesk.hub.auth.idtoken import within
from quantdesk.hub.auth.person import LoginOver, LoginRefused, Person, Unreachable
from quantdesk.hub.auth.provider import Metadata, Provider, Rejected
from quantdesk.hub.auth.rounds import Rounds
from quantdesk.hub.auth.upstream import Upstream
from quantdesk.hub.auth.upstream_pages import ProviderLogin

__all__ = ["OidcAuthenticator"]

_MOST_BYTES = 1_000_000
_MOST_GROUPS = 5000


class OidcAuthenticator(Upstream, GenericOAuthenticator):  # type: ignore[misc]
    """Login by a provider. Settings come from `quantdesk.hub.auth.wiring`."""

    oidc = Instance(OidcConfig, help="The settings of the provider.").tag(config=True)

    method = "oidc"
    login_handler = oidc_pages.Begin
    callback_handler = oidc_pages.Callback
    logout_handler = oidc_pages.Logout

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        limits = {"connect_timeout": self.login.timeout, "request_timeout": self.login.timeout}
        self.http_request_kwargs = {**limits, "follow_redirects": False}
        self.provider = Provider(self.oidc, self.httpfetch)
        if self.login.public_url:
            self.oauth_callback_url = f"{self.login.public_url.rstrip('/')}/hub/oauth_callback"

    @default("http_client")
    def _small_answers(self) -> Any:
        return SimpleAsyncHTTPClient(force_instance=True, max_body_size=_MOST_BYTES)

    async def discover(self, *, awake: bool = False) -> Metadata:
        """Where the provider's parts are; the library's own settings say it from then on.

        Parameters
        ----------
        awake
            Whether it must answer right now.

        Raises
        ------
        Unreachable
            The provider does not answer.
        """
        found = await self.provider.metadata(awake=awake)
        self.authorize_url, self.token_url, self.userdata_url = found.authorize, found.token, found.userinfo
        return found

    @staticmethod
    def nonce_of(verifier: str) -> str:
        """The mark of a login in the ID token. It follows from the secret in the cookie, so nothing else is kept."""
        return base64.urlsafe_b64encode(hashlib.sha256(f"nonce {verifier}".encode()).digest()).rstrip(b"=").decode()

    async def authenticate(self, handler: Any, data: Any = None, **_: Any) -> dict[str, Any]:
        """Trade the code that the browser brings for somebody.

        Raises
        ------
        LoginRefused
            Nobody; the message is for the person at the browser.
        """
        await self.discover()
        try:
            asked = self.build_access_tokens_request_params(handler, data)
        except web.HTTPError:
            raise LoginRefused(*oidc_pages.STALE, status=400) from None
        asked.pop("data", None)
        try:
            tokens = await self._tokens(asked)
        except Rejected as error:
            self._misconfigured(error)
            raise LoginOver("The provider does not know this login's code, or not any more.", "Log in again.") from None
        claims = await self.provider.verified(tokens.get("id_token"), self.nonce_of(asked["code_verifier"]))
        try:
            person = await self._person(tokens, claims)
        except Rejected:
            raise LoginOver("The provider does not know its own token any more.", "Log in again.") from None
        return await self.admit(person, _kept(tokens, claims), handler)

    async def ask_again(self, user: Any, state: dict[str, Any]) -> tuple[Person, dict[str, Any]]:
        """Who a user is now: by the token that was kept, or by a new one where it has expired.

        Raises
        ------
        Unreachable, LoginOver, Gone
            See `quantdesk.hub.auth.upstream.Upstream.ask_again`.
        """
        await self.discover()
        kept = {name: state.get(name) for name in ("access_token", "refresh_token", "id_token", "sub")}
        try:
            if not kept["access_token"]:
                raise Rejected(401, "no token")
            return await self._person(kept, {"sub": kept["sub"]}), kept
        except Rejected:
            pass
        except _NoGroups:  # the provider tells them in the ID token alone, which a renewal brings
            pass
        if not kept["refresh_token"]:
            raise LoginOver(f"The login of {user.name} has expired.", "Log in again.")
        asked = self.build_refresh_token_request_params(kept["refresh_token"])
        try:
            tokens = await self._tokens(asked)
        except Rejected as error:
            self._misconfigured(error)
            raise LoginOver(f"The provider renews the login of {user.name} no longer ({error}).") from None
        claims = {"sub": kept["sub"]}
        if tokens.get("id_token"):
            claims = await self.provider.verified(tokens["id_token"])
            if claims["sub"] != kept["sub"]:
                raise LoginOver("The provider renewed the login of somebody else.", "Log in again.")
        renewed = {**kept, **{name: value for name, value in _kept(tokens, claims).items() if value}}
        try:
            return await self._person(renewed, claims), renewed
        except Rejected as error:
            raise LoginOver(f"The provider does not know its own token any more ({error}).") from None
        except _NoGroups:
            raise LoginOver(f"The provider tells the groups of {user.name} at a login alone.") from None

    async def _tokens(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What the token endpoint gives."""
        if not self.client_secret:
            asked = {name: value for name, value in asked.items() if name != "client_secret"}
        found = await self.provider.fetch(
            self.token_url, "token", method="POST", headers=self.build_token_info_request_headers(),
            body=urlencode(asked),
        )  # fmt: skip
        if not isinstance(found.get("access_token"), str) or str(found.get("token_type", "")).lower() != "bearer":
            raise Unreachable("The provider's answer holds no token.")
        return found

    async def _person(self, tokens: dict[str, Any], claims: dict[str, Any]) -> Person:
        """Who the userinfo endpoint says that somebody is; what it leaves out may stand in the checked ID token."""
        headers = self.build_userdata_request_headers(tokens["access_token"], "Bearer")
        told = await self.provider.fetch(self.userdata_url, "userinfo", headers=headers)
        if told.get("sub") != claims["sub"]:
            raise LoginOver("The provider speaks of two different people.", "Log in again.")
        both = {**claims, **told}
        name = within(both, self.oidc.name_claim)
        groups = within(both, self.oidc.groups_claim)
        if groups is None and "iss" not in claims:
            raise _NoGroups
        if not isinstance(name, str) or not name:
            if "iss" in claims:
                raise LoginRefused(
                    f"The provider does not say your name: its answer has no {self.oidc.name_claim}.",
                    "Tell the administrator: QUANTDESK_LOGIN_OIDC_NAME_CLAIM and QUANTDESK_LOGIN_OIDC_SCOPE decide.",
                )
            name = ""  # a refresh does not need it
        groups = [groups] if isinstance(groups, str) else groups
        listed = groups if isinstance(groups, list) else []
        return Person(self.oidc.issuer, claims["sub"], name, tuple(str(one) for one in listed[:_MOST_GROUPS]))

    def get_handlers(self, app: Any) -> list[tuple[Any, ...]]:
        """The pages: login, there and back, log-out, the hub's style. The hub calls this once, and the rounds begin."""
        from quantdesk.hub import pages
        from quantdesk.hub.sharing.pages import handlers

        Rounds(self, app).start()
        return [*handlers(app), (r"/login", ProviderLogin), *super().get_handlers(app), pages.STYLE]

    def _misconfigured(self, error: Rejected) -> None:
        """A refusal of this hub itself says nothing about anybody.

        Raises
        ------
        Unreachable
            It is one.
        """
        if error.error in ("invalid_client", "unauthorized_client", "unsupported_grant_type") or (
            error.status == 401 and not error.error
        ):
            self.log.error("The provider refuses this hub: %s. Look at client_id and client_secret.", error)
            raise Unreachable(
                "The provider does not know this hub.", "Tell the administrator: its id or secret there is wrong."
            )


class _NoGroups(Exception):
    """The userinfo endpoint tells no groups."""


def _kept(tokens: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a login, encrypted: enough to ask again, and to log out there."""
    return {name: tokens.get(name) for name in ("access_token", "refresh_token", "id_token")} | {"sub": claims["sub"]}
