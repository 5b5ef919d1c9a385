"""What the servers of one group may use together, and who is refused when it is spent. Pure.

Quotas stand in the file of profiles, as a list of tables (``[[quotas]]`` in TOML) with the names of `Quota`'s
attributes. Somebody in several groups counts in each of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from quantdesk.errors import BadParameter, UnknownName
from quantdesk.hub.limits.share import GIB, Share
from quantdesk.hub.profiles import GROUP

__all__ = ["Quota", "parse_quotas", "refusal"]


@dataclass(frozen=True)
class Quota:
    """What one group may use.

    Attributes
    ----------
    group
        As the hub calls it.
    servers, cpu, memory_gib
        Servers, cores and GiB of memory, at most, of all its people together; 0 is no limit.
    """

    group: str
    servers: int = 0
    cpu: float = 0.0
    memory_gib: float = 0.0


def parse_quotas(given: Mapping[str, Any]) -> tuple[Quota, ...]:
    """Quotas from the content of a settings file; its key ``quotas`` counts.

    Raises
    ------
    BadParameter
        A value has the wrong type or is out of range; the message names group and value.
    UnknownName
        A key is none of `Quota`'s.
    """
    listed = given.get("quotas", [])
    if not isinstance(listed, list):
        raise BadParameter(f"quotas is {listed!r}.", "Give a list of tables, each with a group.")
    found = tuple(_quota(one, at) for at, one in enumerate(listed, 1))
    groups = [one.group for one in found]
    twice = next((group for group in groups if groups.count(group) > 1), None)
    if twice is not None:
        raise BadParameter(f"The group {twice!r} has several quotas.", "Give it one, with all its limits.")
    return found


def _quota(given: Any, at: int) -> Quota:
    group = given.get("group") if isinstance(given, Mapping) else None
    if not isinstance(group, str) or not GROUP.fullmatch(group):
        raise BadParameter(f"Quota {at} is for the group {group!r}.", "Give group the name of a group of the hub.")
    fields = {one.name for one in dataclasses.fields(Quota)}
    for key, value in given.items():
        if key not in fields:
            raise UnknownName(f"setting of the quota of {group!r}", str(key), fields)
        if key == "group":
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or value < 0 or (key == "servers" and value != int(value)):
            raise BadParameter(
                f"The quota of {group!r} has {key} = {value!r}.",
                "Give a whole number from 0 on." if key == "servers" else "Give a number from 0 on.",
            )
    made = Quota(**given)
    if not (made.servers or made.cpu or made.memory_gib):
        raise BadParameter(f"The quota of {group!r} limits nothing.", "Give servers, cpu or memory_gib.")
    return made


def refusal(quotas: Iterable[Quota], wanted: Share, others: Iterable[Share]) -> tuple[str, str] | None:
    """Why a server cannot be started now, and what would help; None where it can.

    Parameters
    ----------
    quotas
        Of the hub.
    wanted
        The server that is to start.
    others
        Those that run.

    >>> small = Share("small", (0, 1), 4 * GIB, cpu=2, groups=frozenset({"desk"}))
    >>> refusal([Quota("desk", memory_gib=6)], small, [small])[0]
    'The group desk may use 6 GiB of memory, and would have 8 with this server.'
    """
    running = list(others)
    for quota in quotas:
        if quota.group not in wanted.groups:
            continue
        together = [wanted, *(one for one in running if quota.group in one.groups)]
        for most, sum_, what in (
            (quota.servers, len(together), "servers"),
            (quota.cpu, sum(one.cpu for one in together), "cores"),
            (quota.memory_gib, sum(one.memory_bytes for one in together) / GIB, "GiB of memory"),
        ):
            if most and sum_ > most:
                return (
                    f"The group {quota.group} may use {most:g} {what}, and would have {sum_:g} with this server.",
                    "Wait until one of them is stopped, or choose a smaller profile.",
                )
    return None
