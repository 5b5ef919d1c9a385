"""From TOML to a policy. A wrong entry is refused with its line. Pure.

The standard library's parser keeps no lines, so they are found again in the text: the line that goes farthest along the
path to what is wrong.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.guardrails.catalogue import BY_CODE, Spec, spec
from quantdesk.orders.guardrails.limits import COUNT, Limit
from quantdesk.orders.guardrails.policy import Policy, Settings
from quantdesk.orders.symbols import canonical

__all__ = ["parse"]

Path = tuple[str, ...]

_KEYS = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_DOTTED = rf"(?:{_KEYS.pattern})(?:\s*\.\s*(?:{_KEYS.pattern}))*"
_LINE = re.compile(rf"^\s*(?:\[\s*(?P<table>{_DOTTED})\s*\]|(?P<key>{_DOTTED})\s*=)", re.VERBOSE)
_HOURS = Limit(COUNT, "lower", 24 * 366)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Whole(_Strict):
    """The fail modes of a check, both of them."""

    research: Literal["open", "closed"]
    live: Literal["open", "closed"]


class _Part(_Strict):
    """Those that differ."""

    research: Literal["open", "closed"] | None = None
    live: Literal["open", "closed"] | None = None


def parse(text: str, source: str, base: Policy | None = None) -> Policy:
    """Read a policy.

    Parameters
    ----------
    text
        TOML. With a `base` it holds what differs; without one it must hold every check in full.
    source
        The file's name, for messages.
    base
        The policy that it is laid over.

    Raises
    ------
    BadInput
        It is not TOML, or a check, key or value is unknown, missing, wrong, or beyond its hard bound: the message names
        file, line, key and value.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{source} is not TOML: {error}.", "Mend that line.") from error
    return _Reader(text, source, base).policy(content)


class _Reader:
    """One file on its way to a policy."""

    def __init__(self, text: str, source: str, base: Policy | None) -> None:
        self.lines = text.splitlines()
        self.source = source
        self.base = base

    def policy(self, content: Mapping[str, Any]) -> Policy:
        known = ("name", "longest_change_hours", "checks", "users", "symbols")
        for key in content:
            if key not in known:
                self.refuse((key,), f"there is no {key!r} in a policy", UnknownName("key", key, known).remedy)
        name = content.get("name")
        if not isinstance(name, str) or not name.strip() or len(name) > 60 or not name.isprintable():
            self.refuse(("name",), f"the name of the policy is {name!r}", "Give 1 to 60 printable characters.")
        found = self.base or Policy(name, {}, {})
        found = replace(found, name=name)
        if "longest_change_hours" in content or self.base is None:
            hours = self.value(_HOURS, content.get("longest_change_hours"), ("longest_change_hours",))
            found = replace(found, longest_change=hours * 3600 * SECOND)
        found = self.with_checks(found, self.tables(content, ("checks",)))
        for scope in ("users", "symbols"):
            found = self.with_overrides(found, scope, self.tables(content, (scope,)))
        return found

    def with_checks(self, policy: Policy, tables: Mapping[str, Any]) -> Policy:
        checks, hard = dict(policy.checks), dict(policy.hard)
        for code, table in tables.items():
            path = ("checks", code)
            settings, bounds = self.settings(code, table, path, "part" if self.base else "whole")
            checks[code] = {**checks.get(code, {}), **settings}
            hard[code] = {**hard.get(code, {}), **bounds}
        for code in BY_CODE:
            if code not in checks:
                self.refuse(("checks",), f"the check {code} is missing", f"Write [checks.{code}].")
            self.within(code, checks[code], hard.get(code, {}), ("checks", code))
        return replace(policy, checks=checks, hard=hard)

    def with_overrides(self, policy: Policy, scope: str, tables: Mapping[str, Any]) -> Policy:
        held = dict(getattr(policy, scope))
        for name in tables:
            path = (scope, name)
            key = self.symbol(name, path) if scope == "symbols" else name
            mine = dict(held.get(key, {}))
            for code, table in self.tables(tables, (name,), scope).items():
                settings, _ = self.settings(code, table, (*path, code), "override")
                mine[code] = {**mine.get(code, {}), **settings}
                self.within(code, mine[code], policy.hard.get(code, {}), (*path, code))
            held[key] = mine
        return replace(policy, users=held) if scope == "users" else replace(policy, symbols=held)

    def settings(self, code: str, table: Any, path: Path, kind: str) -> tuple[Settings, dict[str, int]]:
        """What a table sets, and the hard bounds that it gives."""
        if code not in BY_CODE:
            self.refuse(path, f"there is no check {code!r}", UnknownName("check", code, BY_CODE).remedy)
        try:
            read = _model(code, kind).model_validate(table)
        except ValidationError as error:
            self.explain(error, spec(code), path)
        given = _given(read)
        fail, hard = given.pop("fail", None), given.pop("hard", None)
        if fail is not None:
            given |= {f"fail.{use}": mode for use, mode in _given(fail).items()}
        return given, {} if hard is None else _given(hard)

    def within(self, code: str, settings: Settings, bounds: Mapping[str, int], path: Path) -> None:
        for name, bound in bounds.items():
            limit, value = spec(code).limits[name], settings.get(name)
            if value is not None and limit.is_beyond(value, bound):
                show = limit.unit.show
                self.refuse((*path, name), f"{name} of {code} is {show(value)}, beyond its hard bound",
                            f"{show(bound)} is the loosest that it may be.")  # fmt: skip

    def tables(self, content: Mapping[str, Any], path: Path, under: str = "") -> Mapping[str, Any]:
        found = content.get(path[-1], {})
        if not isinstance(found, dict):
            self.refuse((under, *path) if under else path, f"{path[-1]} is no table", f"Write [{path[-1]}.NAME].")
        return found

    def symbol(self, name: str, path: Path) -> str:
        try:
            return canonical(name)
        except BadInput as error:
            self.refuse(path, error.problem.rstrip("."), error.remedy)

    def value(self, limit: Limit, given: Any, path: Path) -> Any:
        try:
            return limit.read(given)
        except ValueError as error:
            self.refuse(path, f"{path[-1]} is {given!r}: {error}", "See the policy that ships with quantdesk.")

    def explain(self, error: ValidationError, one: Spec, path: Path) -> NoReturn:
        first = error.errors()[0]
        where = tuple(str(part) for part in first["loc"])
        key = ".".join(where) or one.code
        if first["type"] == "extra_forbidden":
            known = [*_model(one.code, "whole").model_fields, *(f"hard.{name}" for name in one.limits)]
            self.refuse((*path, *where), f"{one.code} has no {key!r}", UnknownName("key", key, known).remedy)
        what = first["msg"].removeprefix("Value error, ")
        given = "" if first["type"] == "missing" else f", not {first['input']!r}"[:80]
        self.refuse((*path, *where), f"{key} of {one.code}: {what[:1].lower()}{what[1:]}{given}",
                    f"{one.code} stops this: {one.about}.")  # fmt: skip

    def refuse(self, path: Sequence[str], what: str, remedy: str) -> NoReturn:
        raise BadInput(f"{self.source}, line {_line_of(self.lines, path)}: {what}.", remedy)


def _given(read: BaseModel) -> dict[str, Any]:
    """What was written, in the order in which a check names it."""
    return {name: getattr(read, name) for name in type(read).model_fields if name in read.model_fields_set}


@cache
def _model(code: str, kind: str) -> type[_Strict]:
    """What the table of a check may hold: as a ``whole``, as the ``part`` that differs, or as an ``override``."""
    one = spec(code)
    whole = kind == "whole"
    fields: dict[str, Any] = {"enabled": bool}
    if not one.only_unknown:
        fields["severity"] = Literal["blocking", "warning"]
    if one.needs:
        fields["fail"] = _Whole if whole else _Part
    for name, limit in one.limits.items():
        fields[name] = Annotated[Any, BeforeValidator(limit.read)]
    made: dict[str, Any] = {name: (kept, ...) if whole else (kept, None) for name, kept in fields.items()}
    bounded: dict[str, Any] = {name: (fields[name], None) for name, limit in one.limits.items() if limit.is_number}
    if bounded and kind != "override":
        made["hard"] = (create_model(f"{code}_hard", __base__=_Strict, **bounded), None)
    return create_model(f"{code}_{kind}", __base__=_Strict, **made)


def _line_of(lines: Sequence[str], path: Sequence[str]) -> int:
    """The line, counted from 1, that goes farthest along a path of keys; 1 where none begins it."""
    best, reached, table = 1, 0, ()  # type: tuple[int, int, Path]
    for number, line in enumerate(lines, 1):
        match = _LINE.match(line)
        if match is None:
            continue
        if match["table"] is not None:
            here = table = _split(match["table"])
        else:
            here = (*table, *_split(match["key"]))
        shared = next(
            (n for n, (a, b) in enumerate(zip(here, path, strict=False)) if a != b), min(len(here), len(path))
        )
        if shared > reached and shared == min(len(here), len(path)):
            best, reached = number, shared
    return best


def _split(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _KEYS.findall(dotted))
