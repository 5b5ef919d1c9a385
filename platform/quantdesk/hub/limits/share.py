"""A profile as cores and bytes of one machine, and which process is ended when memory is too much. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quantdesk.errors import BadParameter
from quantdesk.hub.profiles import Profile

__all__ = ["Machine", "Process", "Share", "fitting", "offender", "share"]

GIB = 2**30


@dataclass(frozen=True)
class Machine:
    """What there is to share: numbers of its cores, bytes of memory, and numbers of its GPUs."""

    cores: tuple[int, ...]
    memory_bytes: int
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Share:
    """What one server gets.

    Attributes
    ----------
    profile
        Name of its profile.
    cores
        Numbers of the cores that it may run on.
    memory_bytes
        What all its processes together may use.
    idle_seconds
        Seconds without activity after which it stops itself; 0 is never.
    cpu, groups
        Cores that its profile says, and its user's groups, for quotas.
    collaboration
        Whether several browsers may edit one document, for its start.
    home_bytes
        What its user's home may hold; 0 leaves that to the hub's own limit.
    gpus
        Numbers of the GPUs that it sees; they are its own.
    """

    profile: str
    cores: tuple[int, ...]
    memory_bytes: int
    idle_seconds: int = 0
    cpu: float = 0.0
    groups: frozenset[str] = frozenset()
    collaboration: bool = False
    home_bytes: int = 0
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Process:
    """One process of a server: its number, its bytes (proportional set size), and whether it is the server itself."""

    pid: int
    bytes: int
    is_server: bool = False


def fitting(profiles: Sequence[Profile], machine: Machine) -> tuple[Profile, ...]:
    """The profiles that this machine can give at all.

    Raises
    ------
    BadParameter
        There is none.
    """
    found = tuple(one for one in profiles if not _lacks(one, machine))
    if not found:
        told = "; ".join(f"{one.name}: {_lacks(one, machine)}" for one in profiles)
        raise BadParameter(
            f"No profile fits this machine ({told}).", "Name smaller ones in the file of QUANTDESK_HUB_PROFILES."
        )
    return found


def _lacks(profile: Profile, machine: Machine) -> str:
    if profile.cpu > len(machine.cores):
        return f"{profile.cpu:g} cores of {len(machine.cores)}"
    if profile.memory_gib * GIB > machine.memory_bytes:
        return f"{profile.memory_gib:g} GiB of {machine.memory_bytes / GIB:.1f}"
    if profile.gpus > len(machine.gpus):
        return f"{profile.gpus} GPU{'' if profile.gpus == 1 else 's'} of {len(machine.gpus)}"
    return ""


def share(profile: Profile, machine: Machine, others: Iterable[Share] = (), groups: Iterable[str] = ()) -> Share:
    """What a server of a profile gets: as many cores as it may use, those first that fewest others have.

    Part of a core is a whole one: an affinity knows no parts. GPUs are nobody else's; where too few are free, it gets
    those that are.

    Parameters
    ----------
    profile
        One of `fitting`.
    machine
        What there is.
    others
        What each server that runs has.
    groups
        Of the user.

    >>> share(Profile("small", "Small", cpu=1), Machine((0, 1), 8 * GIB), [Share("small", (0,), 0)]).cores
    (1,)
    """
    others = list(others)
    taken = Counter(core for one in others for core in one.cores)
    in_use = {gpu for one in others for gpu in one.gpus}
    ordered = sorted(machine.cores, key=lambda core: (taken[core], core))
    return Share(
        profile.name,
        tuple(sorted(ordered[: math.ceil(profile.cpu)])),
        int(profile.memory_gib * GIB),
        60 * profile.idle_minutes,
        profile.cpu,
        frozenset(groups),
        profile.collaboration,
        int(profile.storage_gib * GIB),
        tuple(gpu for gpu in machine.gpus if gpu not in in_use)[: profile.gpus],
    )


def offender(processes: Sequence[Process]) -> Process | None:
    """Which process is ended when a server uses too much: the largest; the server itself only when it is alone.

    >>> offender([Process(1, 900, is_server=True), Process(2, 500), Process(3, 700)]).pid
    3
    """
    others = [one for one in processes if not one.is_server and one.bytes > 0]
    return max(others or [one for one in processes if one.bytes > 0], key=lambda one: one.bytes, default=None)
