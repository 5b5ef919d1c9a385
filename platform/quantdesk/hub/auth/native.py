"""Who may come in: sign up, approval by the administrator, login. An edge module: it writes the hub's database.

NativeAuthenticator keeps the users (table ``users_info``, bcrypt). What differs here: nobody is let in without
approval, not even under a name that the administrator added by hand; the administrator's name cannot be signed up;
names and passwords are judged with a sentence that says what is wrong; a name that does not exist takes as long to
refuse as a wrong password; and the pages that change something do so by POST, guarded against forged requests.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from nativeauthenticator import NativeAuthenticator
from nativeauthenticator.orm import UserInfo
from traitlets import Bool, Integer, Unicode

from quantdesk.errors import BadInput
from quantdesk.hub.accounts import Accounts
from quantdesk.hub.auth.alone import one_person
from quantdesk.hub.auth.attempts import Attempts, address_of
from quantdesk.hub.auth.sessions import end_everything, end_logins
from quantdesk.hub.config import USER_NAME_RULE, HubFiles, valid_user
from quantdesk.hub.first_login import FirstLogin, first_login_pending
from quantdesk.hub.passwords import hashed, matches, objection

__all__ = ["HubAuthenticator"]

#: Sign-ups that may wait for approval at a time, so that nobody fills the database.
MOST_WAITING = 100


class HubAuthenticator(NativeAuthenticator):  # type: ignore[misc]
    """Native login with approval.

    Its settings come from `quantdesk.hub.configure`: the state directory, the administrator's name, and whether each
    user gets an account of his own.
    """

    state = Unicode(help="The state directory.").tag(config=True)
    administrator = Unicode("admin", help="The name of the first administrator.").tag(config=True)
    isolated = Bool(True, help="Whether each user has a system account of his own.").tag(config=True)
    proxies = Integer(0, help="How many proxies stand in front of the hub's own.").tag(config=True)

    method = "native"

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.files = HubFiles(Path(self.state))
        self.first_login = FirstLogin(self.files, self.administrator)
        self.attempts = Attempts()

    def address(self, request: Any) -> str:
        """Whom a request comes from."""
        return address_of(request.headers, request.remote_ip, self.proxies)

    def refusal(self, user: str) -> str | None:
        """Why `user` cannot use this hub at all, or None."""
        if not self.isolated and user != self.administrator:
            return one_person(self.administrator)
        return None

    def validate_username(self, username: str) -> bool:
        """Whether a name follows the rule; the hub asks this at every login."""
        return valid_user(username)

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        """The user's name when name and password fit and the user is approved.

        Otherwise None, and ``handler.login_problem`` says why in one sentence, which tells a stranger nothing about
        which names exist.
        """
        user = str(self.normalize_username(data.get("username", "")))
        password = data.get("password", "")
        address = self.address(handler.request)
        problem = self.refusal(user) or await self._judge(user, password, address)
        if problem is not None:
            handler.login_problem = problem
            return None
        return user

    async def _judge(self, user: str, password: str, address: str = "") -> str | None:
        wrong = "The user name or the password is wrong."
        is_name = valid_user(user)
        async with self.attempts.attempt(user if is_name else "", address) as attempt:
            if attempt.refused is not None:
                return attempt.refused
            if not is_name:
                return wrong
            info = self.get_user(user)
            fits = await asyncio.to_thread(matches, password, info.password if info else None)
            if not fits or info is None:
                return wrong
            attempt.succeeded = True
        if not info.is_authorized:
            return f"The administrator has not approved {user} yet."
        return None

    async def sign_up(self, user: str, password: str, confirmation: str) -> str:
        """Record a new user, who waits for approval.

        Returns
        -------
        str
            The name as it is kept.

        Raises
        ------
        BadInput
            The name or the password will not do; the message is for the person who typed it.
        """
        name = str(self.normalize_username(user))
        refused = self.refusal(name)
        if refused:
            raise BadInput(refused)
        if not valid_user(name):
            raise BadInput(f"{user[:40]!r} cannot be a user name.", USER_NAME_RULE)
        if name == self.administrator or name in self.admin_users:
            raise BadInput(f"The name {name} belongs to the administrator.", "Choose another one.")
        self.check_password(name, password, confirmation)
        kept = await asyncio.to_thread(hashed, password)
        # Nothing is awaited from here to the commit, so two sign-ups cannot take one name.
        if self.user_exists(name):
            raise BadInput(f"The name {name} is taken.", "Choose another one.")
        if self.waiting() >= MOST_WAITING:
            raise BadInput(
                f"{MOST_WAITING} people wait for approval already.", "Ask the administrator to look at them."
            )
        self.db.add(UserInfo(username=name, password=kept, is_authorized=False))
        self.db.commit()
        self.log.info("%s signed up and waits for approval", name)
        return name

    def check_password(self, user: str, password: str, confirmation: str) -> None:
        """Judge a new password.

        Raises
        ------
        BadInput
            It will not do, or was not typed twice alike.
        """
        if password != confirmation:
            raise BadInput("The two passwords differ.", "Type the same one twice.")
        problem = objection(password, user)
        if problem:
            raise BadInput(problem, "Choose another one.")

    def waiting(self) -> int:
        """How many people wait for approval."""
        return int(self.db.query(UserInfo).filter(UserInfo.is_authorized.isnot(True)).count())

    async def set_password(self, user: str, password: str, *, approve: bool = False) -> None:
        """Keep a new password, which was judged before, and end every session that began with the old one."""
        kept = await asyncio.to_thread(hashed, password)
        info = self.get_user(user)
        if info is None:
            info = UserInfo(username=user, password=kept, is_authorized=approve)
            self.db.add(info)
        else:
            info.password = kept
            info.is_authorized = info.is_authorized or approve
        self.db.commit()
        self.attempts.succeeded(user)

    async def password_fits(self, user: str, password: str) -> bool:
        """Whether a password is the user's present one; guesses count."""
        return await self._judge(user, password) is None

    def approve(self, user: str, *, approved: bool) -> None:
        """Let a user in, or no longer.

        Raises
        ------
        BadInput
            There is no such user, or it is the administrator.
        """
        info = self.get_user(user)
        if info is None:
            raise BadInput(f"Nobody has signed up as {user[:40]!r}.")
        if user == self.administrator:
            raise BadInput(f"{user} is the administrator, whose access cannot be taken away.")
        info.is_authorized = approved
        self.db.commit()

    def end_sessions(self, user: Any) -> None:
        """Make the login cookies and tokens of a user worthless, but for the one that a running server itself uses."""
        end_everything(user, self.db)

    def log_out(self, user: Any) -> None:
        """End every login of a user; the tokens that he made for programs stay."""
        end_logins(user, self.db)

    def first_login_is_open(self) -> bool:
        """Whether the one-time secret is still to be used."""
        return first_login_pending(self.files, self.administrator)

    def redeem(self, user: str, secret: str, address: str = "") -> str | None:
        """Trade the one-time secret for a ticket; None when it is not that, or the name or the address is locked."""
        return None if self.attempts.refusal(user, address) else self.first_login.redeem(user, secret)

    def delete_user(self, user: Any) -> None:
        """Forget a user's password and retire the account; the home is kept, for nobody.

        The hub calls this when an administrator deletes a user. Whoever signs up under that name later is somebody
        else, with a new account and an empty home.
        """
        super().delete_user(user)
        if self.isolated:
            Accounts(self.files).retire(user.name)

    def get_handlers(self, app: Any) -> list[tuple[Any, ...]]:
        """The pages: login, sign-up, passwords, users, sharing, and the hub's style."""
        from quantdesk.hub import pages
        from quantdesk.hub.sharing.pages import handlers

        return [*handlers(app), *pages.handlers()]
