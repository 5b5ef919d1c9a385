"""The part of a spawner that chooses a profile, limits the server to it, and watches it. An edge module: processes.

Settings come from `quantdesk.hub.configure`. Without profiles nothing is limited and nobody is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import Any, ClassVar

from jupyterhub.spawner import LocalProcessSpawner
from traitlets import Tuple

from quantdesk.errors import EnvironmentProblem
from quantdesk.hub.limits.groups import Group, Place, Unavailable, place, prepared
from quantdesk.hub.limits.limited import limited
from quantdesk.hub.limits.quotas import refusal
from quantdesk.hub.limits.share import GIB, Share, share
from quantdesk.hub.limits.watch import Watchdog, machine
from quantdesk.hub.profiles import Profile, of

__all__ = ["Limiting", "Refused", "chosen", "form", "size"]

LOOK_S = 1.0
FIELD = "profile"


class Refused(EnvironmentProblem):
    """Somebody who gets no server from this hub, or not such a one."""


class Limiting(LocalProcessSpawner):  # type: ignore[misc]
    """A spawner of local processes with profiles."""

    profiles = Tuple(help="The profiles of this hub; none leave servers without limits.").tag(config=True)
    quotas = Tuple(help="What the servers of a group may use together.").tag(config=True)

    pid: int  # JupyterHub's traits
    user_options: dict[str, Any]
    share: Share | None = None
    shares: ClassVar[dict[str, Share]] = {}
    """What each server that runs has, by its user."""
    group: Group | None = None
    place: ClassVar[Place | Unavailable | None] = None
    """Where control groups are made, or why none are; None until the first server starts."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.acts: deque[tuple[datetime, str]] = deque(maxlen=5)
        self._watching: asyncio.Task[None] | None = None

    @property
    def hub_mark(self) -> str:
        """What tells this hub from others on the machine; a subclass knows it."""
        return "hub"

    def numbers(self) -> Iterable[int]:
        """Numbers of the server's processes; a subclass knows them."""
        return [self.pid] if self.pid else []

    def offered(self) -> tuple[Profile, ...]:
        """The profiles that the user may take, his default first."""
        groups = [group.name for group in self.user.groups]
        return of(self.profiles, groups, is_admin=self.user.admin)

    def take_share(self, command: list[str]) -> list[str]:
        """Choose what this server gets; the command, limited to it.

        Raises
        ------
        Refused
            The profile that was asked for is none, or is not for this user; or a quota of a group is spent.
        """
        self.share = None
        if not self.profiles:
            return command
        offered = self.offered()
        wanted = self.user_options.get(FIELD) or ""
        found = next((one for one in offered if one.name == wanted), None if wanted else next(iter(offered), None))
        if found is None:
            names = ", ".join(one.name for one in offered) or "none"
            self.user_options = self.orm_spawner.user_options = {}  # or it would be remembered for the next start
            raise Refused(f"{str(wanted)[:40]!r} is no profile that you may take.", f"You may take: {names}.")
        others = [one for user, one in self.shares.items() if user != self.user.name]
        groups = [group.name for group in self.user.groups]
        made = share(found, machine(), others, groups)
        if len(made.gpus) < found.gpus:
            raise Refused(
                f"Profile {found.name!r} has {found.gpus} of this machine's GPUs, and {len(made.gpus)} are free.",
                "Choose another one, or wait until a server that has one stops.",
            )
        spent = refusal(self.quotas, made, others)
        if spent is not None:
            raise Refused(*spent)
        self.share = self.shares[self.user.name] = made
        # JupyterHub tells the server of both, as MEM_LIMIT and CPU_LIMIT.
        self.mem_limit, self.cpu_limit = self.share.memory_bytes, found.cpu
        self.group = self._make_group(self.share)
        return limited(command, made.cores, made.memory_bytes, self.group.path if self.group else "")

    def _make_group(self, wanted: Share) -> Group | None:
        """A control group for this server; None where there are none, which the log says once."""
        kind = type(self)
        if kind.place is None:
            try:
                kind.place = prepared(place())
            except Unavailable as why:
                kind.place = why
                self.log.info("Servers have no control groups: %s", why)
        if isinstance(kind.place, Unavailable):
            return None
        group = kind.place.group(self.hub_mark, self.user.name)
        try:
            group.make(wanted.memory_bytes, wanted.cpu)
        except OSError as error:
            self.log.warning("%s's server gets no control group: %s", self.user.name, error)
            return None
        return group

    def enter(self) -> None:
        """Put the server, which waits for it, into its control group."""
        if self.group is not None:
            self.group.enter(self.pid)

    def watch(self) -> None:
        """Look at the server's memory from now on, as long as it runs."""
        if self.share is not None and (self._watching is None or self._watching.done()):
            self._watching = asyncio.ensure_future(self._watch(self.share.memory_bytes))

    async def _watch(self, limit: int) -> None:
        dog = Watchdog(limit, self.pid, self.numbers)
        killed = self.group.killed() if self.group else 0
        while self.pid:
            await asyncio.sleep(LOOK_S)
            try:
                act = await asyncio.to_thread(dog.step)
            except Exception:
                self.log.exception("The memory of %s's server could not be looked at", self.user.name)
                continue
            if act is not None:
                self._note(act.told(limit), logging.WARNING if act.killed else logging.INFO)
            if self.group is not None and (now := self.group.killed()) > killed:
                self._note(ended_by_the_system(now - killed, limit), logging.WARNING)
                killed = now

    def _note(self, sentence: str, level: int) -> None:
        """Keep what was done, for the user's page and for the log."""
        self.acts.append((datetime.now(UTC), sentence))
        self.log.log(level, "%s: %s", self.user.name, sentence)

    async def poll(self) -> int | None:
        """Whether the server runs; one that a restarted hub has taken over is watched again."""
        status: int | None = await super().poll()
        if status is None:
            self.watch()
        return status

    def get_state(self) -> dict[str, Any]:
        """What a restarted hub has to know."""
        state: dict[str, Any] = super().get_state()
        if self.share is not None:
            told = self.share
            state["share"] = [
                told.profile, list(told.cores), told.memory_bytes, told.idle_seconds, told.cpu, told.home_bytes,
                list(told.gpus),
            ]  # fmt: skip
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Know it again."""
        super().load_state(state)
        told: Any = state.get("share")
        with contextlib.suppress(ValueError, TypeError):  # of another version, or without limits: it is not watched
            profile, cores, memory, idle, cpu, home, gpus = told
            groups = frozenset(group.name for group in self.user.groups)
            self.share = self.shares[self.user.name] = Share(
                profile, tuple(cores), memory, idle, cpu, groups, home_bytes=home, gpus=tuple(gpus)
            )
            with contextlib.suppress(Unavailable):
                group = place().group(self.hub_mark, self.user.name)
                self.group = group if group.folder.exists() else None

    def clear_state(self) -> None:
        """Nothing runs any more."""
        super().clear_state()
        self.shares.pop(self.user.name, None)
        if self.group is not None and not self.group.remove():
            self.log.warning("The control group %s could not be removed.", self.group.path)
        self.share = self.group = None
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None


def ended_by_the_system(times: int, limit: int) -> str:
    """One sentence for the user whose processes the kernel of the machine has ended.

    >>> ended_by_the_system(1, 4 * GIB)  # doctest: +ELLIPSIS
    'The server used more than the 4 GiB of memory that it may, faster than ...: its largest process was ended. ...'
    """
    what = "its largest process was" if times == 1 else f"{times} of its processes, the largest first, were"
    return (
        f"The server used more than the {limit / GIB:.3g} GiB of memory that it may, faster than it could be asked to "
        f"stop: {what} ended. The others go on."
    )


def size(cores: float, memory_bytes: float) -> str:
    """How large a server is, in words.

    >>> size(1, 0.75 * 2**30)
    '1 core, 0.75 GiB of memory'
    """
    return f"{cores:g} core{'' if cores == 1 else 's'}, {memory_bytes / GIB:.3g} GiB of memory"


def form(spawner: Limiting) -> str:
    """The choice of a profile, as HTML; nothing where there is only one."""
    offered = spawner.offered()
    if len(offered) < 2:
        return ""
    rows = []
    for number, one in enumerate(offered):
        checked = " checked" if number == 0 else ""
        words = escape(one.description or size(one.cpu, one.memory_gib * GIB))
        rows.append(
            f'<label class="qd-choice"><input type="radio" name="{FIELD}" value="{escape(one.name)}"{checked}>'
            f" <strong>{escape(one.title)}</strong> <span>{words}</span></label>"
        )
    return f'<fieldset class="qd-choices"><legend>How large?</legend>{"".join(rows)}</fieldset>'


def chosen(data: dict[str, list[str]]) -> dict[str, str]:
    """What a browser has sent, as options of the server."""
    return {FIELD: (data.get(FIELD) or [""])[0][:60]}
