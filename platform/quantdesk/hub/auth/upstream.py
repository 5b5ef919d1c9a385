"""What all logins share that ask somebody else: names, roles, taking rights away again. An edge module.

A login and, every few minutes, a refresh ask upstream who somebody is. What comes back replaces what was: the groups,
the administrator's flag. Who has no role any more, or is not there any more, loses groups, sessions, tokens and the
running server. While upstream does not answer nothing is known: nobody comes in, and who is in goes on, within the
grace period.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from jupyterhub.utils import maybe_future
from traitlets import Bool, Instance, Unicode

from quantdesk.errors import BadInput
from quantdesk.hub.accounts import Accounts
from quantdesk.hub.auth.alone import one_person
from quantdesk.hub.auth.attempts import Attempts, address_of
from quantdesk.hub.auth.config import LoginConfig
from quantdesk.hub.auth.groups import GroupMap, Role
from quantdesk.hub.auth.identities import Identities
from quantdesk.hub.auth.names import hub_name
from quantdesk.hub.auth.person import Gone, LoginOver, LoginRefused, Person, Unreachable
from quantdesk.hub.auth.sessions import end_everything, end_logins
from quantdesk.hub.behalf.mine import end_jobs
from quantdesk.hub.config import HubFiles, valid_user

__all__ = ["Upstream"]

#: Seconds for which an answer serves the other requests of the same user, and for which nobody asks again after
#: silence.
_SAME_ANSWER, _SILENCE = 5.0, 30.0
_CLOCK_STEP = 60.0


class Upstream(Authenticator):  # type: ignore[misc]
    """The part of a login that does not depend on whom it asks.

    A subclass gives `who` and `ask_again`. Settings come from `quantdesk.hub.auth.wiring`.
    """

    state = Unicode(help="The state directory.").tag(config=True)
    administrator = Unicode("admin", help="The one user of a hub that does not run as root.").tag(config=True)
    isolated = Bool(True, help="Whether each user has an account of his own.").tag(config=True)
    login = Instance(LoginConfig, help="The settings of the login.").tag(config=True)

    method = ""
    folds_case = False

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.files = HubFiles(Path(self.state))
        self.attempts = Attempts()
        self.identities = Identities(self.db)
        self.map = GroupMap.parse(self.login.groups, self.login.teams, ignore_case=self.folds_case)
        self._answers: dict[str, tuple[float, asyncio.Future[Any]]] = {}
        self._silent_until = float("-inf")

    @abstractmethod
    async def ask_again(self, user: Any, state: dict[str, Any]) -> tuple[Person, dict[str, Any]]:
        """Who a user is now, by what was kept of the login; and what to keep from now on.

        Raises
        ------
        Unreachable, LoginOver, Gone
            Nothing is known; a new login is needed; the user is not there any more.
        """
        raise NotImplementedError

    def address(self, request: Any) -> str:
        """Whom a request comes from."""
        return address_of(request.headers, request.remote_ip, self.login.proxies)

    def validate_username(self, username: str) -> bool:
        """Whether a name follows the rule; the hub asks this at every login."""
        return valid_user(username)

    def check_allowed(self, username: str, authentication: Any = None) -> bool:  # noqa: ARG002  (JupyterHub's)
        """Whoever has a role: `settle` refused the others already."""
        ours = {role.group for role in Role}
        return bool(authentication and ours.intersection(authentication.get("groups") or ()))

    async def admit(self, person: Person, state: dict[str, Any], handler: Any) -> dict[str, Any]:
        """Let somebody in who has just proved who he is: see `settle`. What was found out before is forgotten."""
        model = await self.settle(person, state, handler)
        self._answers.pop(model["name"], None)
        return model

    async def settle(self, person: Person, state: dict[str, Any], handler: Any) -> dict[str, Any]:
        """Turn somebody who proved who he is into a user of the hub.

        Returns
        -------
        dict
            JupyterHub's model of him: name, groups, whether he administers the hub, what is kept.

        Raises
        ------
        LoginRefused
            He has no role or no name here. What he had is taken away.
        """
        known = self.identities.name_of(person.source, person.subject)
        name = known or self._new_name(person)
        if not self.isolated and name != self.administrator:
            raise LoginRefused(one_person(self.administrator))
        roles = self.map.roles_of(person.groups)
        if not roles:
            if known:
                await self.take_away(known, handler)
            raise LoginRefused(
                f"You are {name} in {self.login.title}, but in no group that may use this hub.",
                f"Ask for one of these groups: {', '.join(sorted(self.map.roles))}.",
            )
        owner = self.identities.owner(name)
        if (
            owner is not None and not known
        ):  # of another provider, and the administrator says that it is the same person
            self.identities.forget(name)
        if not self.identities.bind(name, person.source, person.subject):
            raise LoginRefused(*_taken(name))
        groups = self.map.hub_groups(person.groups)
        await self._leave_teams(name, groups, handler)
        return {
            "name": name,
            "admin": Role.ADMIN in roles,
            "groups": list(groups),
            "auth_state": state | {"confirmed": time.time()},
        }

    def _new_name(self, person: Person) -> str:
        """A newcomer's name, which is nobody's yet."""
        try:
            name = hub_name(person.name, self.login.email_domain)
        except BadInput as error:
            raise LoginRefused(error.problem, error.remedy) from None
        owner = self.identities.owner(name)
        adopted = not self.login.adopted.isdisjoint({name, "*"})
        if owner is not None:
            if owner[0] == person.source or not adopted:
                raise LoginRefused(*_taken(name))
        elif not adopted and self._was_here(name):
            raise LoginRefused(
                f"This hub had a user {name} before it asked {self.login.title}, and cannot know that it was you.",
                f"Ask the administrator: QUANTDESK_LOGIN_ADOPT={name} says so.",
            )
        return name

    def _was_here(self, name: str) -> bool:
        from jupyterhub.orm import User

        return User.find(self.db, name) is not None or Accounts(self.files).find(name) is not None

    async def refresh_user(self, user: Any, handler: Any = None, **_: Any) -> Any:
        """What has become of a user: True as before, False for a new login, or a new model. The hub asks this.

        Many requests at once ask upstream once: a provider's token may be good for one renewal only.
        """
        now = time.monotonic()
        at, answer = self._answers.get(user.name, (float("-inf"), None))
        if answer is None or (answer.done() and now - at > min(_SAME_ANSWER, self.login.refresh)):
            answer = asyncio.ensure_future(self._refresh(user, handler))
            self._answers[user.name] = (now, answer)
        found = await asyncio.shield(answer)
        return dict(found) if isinstance(found, dict) else found

    async def _refresh(self, user: Any, handler: Any) -> Any:
        state = await user.get_auth_state()
        if not state:
            if not user.groups:  # whoever lost everything while the server was starting
                await self._stop_server(user, handler)
            return False
        try:
            if self.is_silent:
                raise Unreachable(f"{self.login.title} does not answer.")
            person, kept = await self.ask_again(user, state)
            if self.identities.name_of(person.source, person.subject) != user.name:
                raise Gone(f"{user.name} is somebody else by now.")
            model = await self.settle(person, kept, handler)
        except Unreachable as error:
            if not error.of_one:
                self._silent_until = max(self._silent_until, time.monotonic() + min(_SILENCE, self.login.refresh))
            return self._goes_on(user, state, error)
        except LoginOver as error:
            self.log.info("%s has to log in again: %s", user.name, error)
            if not self._confirmed_lately(state, self.login.absence * 86_400):
                await self.take_away(user.name, handler)
            return False
        except LoginRefused as error:
            self.log.warning("%s is let in no longer: %s", user.name, error)
            await self.take_away(user.name, handler)
            return False
        return model

    def _goes_on(self, user: Any, state: dict[str, Any], error: Unreachable) -> bool:
        """Upstream is silent: whoever was confirmed lately goes on as he is."""
        why = "; ".join([error.problem, *getattr(error, "__notes__", ())])
        if self._confirmed_lately(state, self.login.grace):
            self.log.warning("%s goes on unconfirmed: %s", user.name, why)
            return True
        self.log.warning("%s has to log in again, not confirmed for too long: %s", user.name, why)
        return False

    @property
    def is_silent(self) -> bool:
        """Whether upstream did not answer a moment ago, so that nobody waits for it again."""
        return time.monotonic() < self._silent_until

    @staticmethod
    def _confirmed_lately(state: dict[str, Any], seconds: float) -> bool:
        age = time.time() - float(state.get("confirmed", 0))
        return -_CLOCK_STEP <= age <= seconds

    async def apply(self, user: Any, model: dict[str, Any]) -> None:
        """Give a user what a refresh has found, as JupyterHub does at a request."""
        from jupyterhub.roles import assign_default_roles

        user.admin = model["admin"]
        assign_default_roles(self.db, entity=user.orm_user)
        user.sync_groups(model["groups"])
        await user.save_auth_state(model["auth_state"])
        user._auth_refreshed = time.monotonic()
        self.db.commit()

    async def _leave_teams(self, name: str, groups: tuple[str, ...], handler: Any) -> None:
        """Stop the running server of somebody who has left a team: what it can reach was settled when it started."""
        from jupyterhub.orm import User

        orm_user = User.find(self.db, name)
        rights = {role.group for role in Role}
        left = {group.name for group in orm_user.groups} - rights - set(groups) if orm_user else set()
        if not left:
            return
        user = handler.users[orm_user]
        self.log.warning("%s is no longer in %s: a running server stops", name, ", ".join(sorted(left)))
        await self._stop_server(user, handler)

    async def take_away(self, name: str, handler: Any) -> None:
        """Take groups, administration, sessions, tokens, the running server and the jobs from a user."""
        from jupyterhub.orm import User

        orm_user = User.find(self.db, name)
        if orm_user is None:
            return
        user = handler.users[orm_user]
        self.log.warning("Taking everything from %s", name)
        user.sync_groups([])
        user.admin = False
        await self._strip(user)
        end_everything(user, self.db)
        await self._stop_server(user, handler)
        await self._quietly(name, lambda: asyncio.to_thread(end_jobs, self.files, name))

    async def _strip(self, user: Any) -> None:
        from jupyterhub.roles import assign_default_roles

        assign_default_roles(self.db, entity=user.orm_user)  # the role of administrators goes with the flag
        await user.save_auth_state(None)
        self.db.commit()

    async def _stop_server(self, user: Any, handler: Any) -> None:
        if user.spawner.active and not user.spawner.pending:
            await self._quietly(user.name, lambda: maybe_future(handler.stop_single_user(user)))

    async def _quietly(self, name: str, work: Callable[[], Awaitable[Any]]) -> None:
        """What cannot be ended now keeps nobody's rights: sessions and tokens are gone already."""
        try:
            await work()
        except Exception:
            self.log.exception("Something of %s could not be ended", name)

    def log_out(self, user: Any) -> None:
        """End every login of a user."""
        end_logins(user, self.db)

    def delete_user(self, user: Any) -> None:
        """Forget whose the name was, and retire the account; the home is kept, for nobody.

        The hub calls this when an administrator deletes a user.
        """
        super().delete_user(user)
        self._answers.pop(user.name, None)
        self.identities.forget(user.name)
        if Accounts(self.files).find(user.name):
            Accounts(self.files).retire(user.name)


def _taken(name: str) -> tuple[str, str]:
    return (
        f"The name {name} belongs to somebody else on this hub, who came first.",
        "Ask for another name upstream, or the administrator, who can delete a user that is no longer there.",
    )
