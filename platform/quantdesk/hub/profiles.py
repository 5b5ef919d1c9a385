"""What a user's server may use: profiles, who may take which, and how they are read from a settings file. Pure.

One format serves one machine and Kubernetes: a list of tables (``[[profiles]]`` in TOML, ``{"profiles": [...]}`` in
JSON), each with the names of `Profile`'s attributes. Where there is no file, :data:`PROFILES` holds.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantdesk.errors import BadParameter, UnknownName

__all__ = ["GROUP", "NAME", "PROFILES", "Profile", "of", "parse"]

NAME = re.compile(r"[a-z][a-z0-9-]{0,29}[a-z0-9]")
"""A profile's name: it becomes part of labels and of addresses."""
GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@:/=,-]{0,254}")
"""A group as the hub or its directory calls it."""
_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._:/@-]{0,254}")


@dataclass(frozen=True)
class Profile:
    """What one kind of server may use.

    Attributes
    ----------
    name
        In settings, in labels and in what a browser sends.
    title, description
        For the page on which a user chooses.
    cpu
        Cores that it may use at most.
    cpu_sure
        Cores that are kept for it; an eighth of `cpu` when 0.
    memory_gib
        GiB that it may use at most; a process that takes more is ended.
    memory_sure_gib
        GiB that are kept for it; a quarter of `memory_gib` when 0.
    storage_gib
        GiB of the home, which is made this large when its user starts a first server.
    scratch_gib
        GiB for what is forgotten when the server stops.
    idle_minutes
        Minutes without activity after which the server stops itself; 0 leaves that to the hub alone.
    gpus
        GPUs of its own.
    groups
        Groups of the hub whose people may take it; everybody when empty.
    collaboration
        Whether several browsers may edit one document.
    image
        Another image than the usual one, as the registry calls it.
    node_selector
        Labels of machines that it runs on (Kubernetes alone).
    is_default
        Whether who chooses nothing gets it; the first that he may take when none is.
    """

    name: str
    title: str
    description: str = ""
    cpu: float = 1.0
    cpu_sure: float = 0.0
    memory_gib: float = 2.0
    memory_sure_gib: float = 0.0
    storage_gib: float = 10.0
    scratch_gib: float = 2.0
    idle_minutes: int = 60
    gpus: int = 0
    groups: tuple[str, ...] = ()
    collaboration: bool = False
    image: str = ""
    node_selector: tuple[tuple[str, str], ...] = ()
    is_default: bool = False

    @property
    def sure(self) -> tuple[float, float]:
        """Cores and GiB of memory that are kept for it, with the defaults filled in."""
        return self.cpu_sure or self.cpu / 8, self.memory_sure_gib or self.memory_gib / 4

    def may_take(self, groups: Collection[str], *, is_admin: bool = False) -> bool:
        """Whether somebody of these groups may take it; an administrator may take every one.

        >>> Profile("gpu", "GPU", groups=("ml",)).may_take(["desk"])
        False
        """
        return is_admin or not self.groups or not set(self.groups).isdisjoint(groups)


PROFILES = (
    Profile("small", "Small", "2 cores, 4 GiB: notebooks, reports, one backtest.", 2, 0, 4, 0, is_default=True),
    Profile("medium", "Medium", "4 cores, 16 GiB: backtests over many symbols.", 4, 0, 16, 0, scratch_gib=8),
    Profile("large", "Large", "16 cores, 64 GiB: a whole universe.", 16, 0, 64, 0, 10, 32, groups=("quantdesk-large",)),
    Profile(
        "gpu", "GPU", "8 cores, 32 GiB, one GPU: PyTorch and TensorFlow.", 8, 0, 32, 0, 10, 32, 30, 1,
        ("quantdesk-gpu",),
    ),
)  # fmt: skip
"""Those of a hub that names none."""

_AT_MOST: Mapping[str, float] = {
    "cpu": 1024, "cpu_sure": 1024, "memory_gib": 24_576, "memory_sure_gib": 24_576, "storage_gib": 65_536,
    "scratch_gib": 65_536, "idle_minutes": 43_200, "gpus": 64,
}  # fmt: skip
_ZERO_IS_FINE = frozenset({"cpu_sure", "memory_sure_gib", "idle_minutes", "gpus"})
_WHOLE = frozenset({"idle_minutes", "gpus"})


def parse(given: Mapping[str, Any]) -> tuple[Profile, ...]:
    """Profiles from the content of a settings file.

    Parameters
    ----------
    given
        What a reader of TOML or JSON made of it; its key ``profiles`` counts, and its others are somebody else's.

    Raises
    ------
    BadParameter
        A value has the wrong type, is out of range, or contradicts another; the message names profile and value.
    UnknownName
        A key is none of `Profile`'s.
    """
    listed = given.get("profiles")
    if not isinstance(listed, list) or not listed:
        raise BadParameter(f"profiles is {_shown(listed)}.", "Give a list of at least one profile, or leave it out.")
    found = tuple(_profile(one, at) for at, one in enumerate(listed, 1))
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise BadParameter(f"There are {names.count(name)} profiles {name!r}.", "Give each a name of its own.")
    if sum(one.is_default for one in found) > 1:
        raise BadParameter("More than one profile has is_default.", "Who chooses nothing gets one: mark one.")
    if all(one.groups for one in found):
        raise BadParameter(
            "Every profile is for certain groups.", "Leave groups out of one: who is in none would get no server."
        )
    return found


def of(profiles: Sequence[Profile], groups: Collection[str], *, is_admin: bool = False) -> tuple[Profile, ...]:
    """The profiles that somebody may take, his default first.

    >>> [one.name for one in of(PROFILES, ["quantdesk-gpu"])]
    ['small', 'medium', 'gpu']
    """
    open_to = [one for one in profiles if one.may_take(groups, is_admin=is_admin)]
    return tuple(sorted(open_to, key=lambda one: not one.is_default))  # stable: the others keep their order


def _profile(given: Any, at: int) -> Profile:
    if not isinstance(given, Mapping):
        raise BadParameter(f"Profile {at} is {_shown(given)}.", "Give a table with name, title, cpu, memory_gib.")
    name = given.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadParameter(
            f"Profile {at} has the name {_shown(name)}.", "Give 2 to 31 of a-z, 0-9 and -, a letter first."
        )
    fields = {one.name: one for one in dataclasses.fields(Profile)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in fields:
            raise UnknownName(f"setting of profile {name!r}", str(key), fields)
        values[key] = _value(name, str(key), value)
    made = Profile(**{"title": name.capitalize(), **values})
    if made.cpu_sure > made.cpu or made.memory_sure_gib > made.memory_gib:
        raise BadParameter(
            f"Profile {name!r} is sure of more than it may use.",
            "cpu_sure and memory_sure_gib are within the limits.",
        )
    return made


def _value(profile: str, key: str, value: Any) -> Any:
    """One value, checked; JSON and TOML know lists and tables where `Profile` has tuples."""
    wrong = f"Profile {profile!r} has {key} = {_shown(value)}."
    match key:
        case "collaboration" | "is_default":
            if not isinstance(value, bool):
                raise BadParameter(wrong, "Give true or false.")
            return value
        case "groups":
            if not isinstance(value, list) or not all(isinstance(one, str) and GROUP.fullmatch(one) for one in value):
                raise BadParameter(wrong, "Give a list of names of groups.")
            return tuple(value)
        case "node_selector":
            if not isinstance(value, Mapping) or not all(
                isinstance(text, str) and text.isprintable() for pair in value.items() for text in pair
            ):
                raise BadParameter(wrong, "Give a table of labels and their values, both text.")
            return tuple(sorted(value.items()))
        case "name" | "title" | "description" | "image":
            if not isinstance(value, str) or len(value) > 300 or not value.isprintable():
                raise BadParameter(wrong, "Give a line of at most 300 characters.")
            if key == "image" and value and not _IMAGE.fullmatch(value):
                raise BadParameter(wrong, "Give an image as a registry calls it, such as registry.example/user:1.0.")
            return value
        case _:
            return _number(wrong, key, value)


def _number(wrong: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadParameter(wrong, "Give a number.")
    if not 0 <= value <= _AT_MOST[key] or (value == 0 and key not in _ZERO_IS_FINE):
        raise BadParameter(wrong, f"Give a number above 0, up to {_AT_MOST[key]:g}.")
    if key in _WHOLE:
        if value != int(value):
            raise BadParameter(wrong, "Give a whole number.")
        return int(value)
    return float(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
