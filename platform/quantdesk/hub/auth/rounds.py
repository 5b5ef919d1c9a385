"""Ask upstream also about those who do nothing at the moment. An edge module: it runs inside the hub.

JupyterHub asks about somebody when he asks for something. Whoever left the firm asks for nothing, and has groups all
the same, by which scheduled notebooks run. So the hub goes round: everybody who has a role is confirmed every few
minutes.
"""

from __future__ import annotations

import time
from typing import Any

from jupyterhub.orm import User
from tornado.ioloop import PeriodicCallback

from quantdesk.hub.auth.groups import Role

__all__ = ["Rounds"]

_AT_LEAST = 60.0


class Rounds:
    """The rounds of one hub. To those who are asked it stands for the handler of a request.

    Parameters
    ----------
    desk
        The authenticator.
    app
        JupyterHub.
    """

    def __init__(self, desk: Any, app: Any) -> None:
        self._desk, self._app = desk, app
        self._clock = PeriodicCallback(self.go, 1000 * max(float(desk.login.refresh), _AT_LEAST), jitter=0.1)

    @property
    def users(self) -> Any:
        """JupyterHub's users."""
        return self._app.users

    def start(self) -> None:
        """Go round from now on; a round that takes longer than the time between two delays the next."""
        self._clock.start()

    async def go(self) -> None:
        """Once round. When upstream is silent, the rest waits for the next."""
        rights = {role.group for role in Role}
        for name in [user.name for user in self._app.db.query(User)]:
            orm_user = User.find(self._app.db, name)  # much may have happened since
            if orm_user is None or rights.isdisjoint(group.name for group in orm_user.groups):
                continue
            user = self.users[orm_user]
            if user._auth_refreshed and time.monotonic() - user._auth_refreshed < self._desk.login.refresh:
                continue
            try:
                found = await self._desk.refresh_user(user, self)
                if isinstance(found, dict):
                    await self._desk.apply(user, found)
            except Exception:  # one person's trouble is not the others'
                self._desk.log.exception("Whether %s may still come in could not be asked", name)
            if self._desk.is_silent:
                return

    async def stop_single_user(self, user: Any) -> None:
        """Stop a server, as JupyterHub's handlers do."""
        spawner = user.spawner
        spawner._stop_pending = True
        try:
            await self._app.proxy.delete_user(user, spawner.name)
            await user.stop(spawner.name)
        finally:
            spawner._stop_pending = False
