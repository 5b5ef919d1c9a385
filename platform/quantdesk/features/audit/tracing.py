"""What the caller's own lines did: each statement, the values it left, and the library calls it made. Pure.

:func:`recorded` runs a function under ``sys.settrace``. It follows the caller's own functions statement by statement
(the function itself, those that it calls, lambdas and notebook cells), and of every library function that such a
statement calls directly it keeps the name, a few telling arguments and what it returned. Values are not kept: each is
reduced to a mark of its *past*, the rows up to a cut, so that two runs whose data differ only behind the cut can be
compared (:mod:`quantdesk.features.audit.blame`).

A debugger or a coverage tool that was tracing is set aside during the run, and put back.
"""

from __future__ import annotations

import dis
import hashlib
import linecache
import os
import re
import site
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from quantdesk.features.audit.marks import Mark, Past, mark
from quantdesk.features.audit.source import Span, statement_span

__all__ = ["Call", "Frame", "Names", "Record", "Step", "names_of", "recorded"]

Frame = str
"""One call of a function of the caller's, by name."""

MOST_STEPS = 20_000
"""A loop over rows in Python may run this many statements; then the record ends, and so does the search."""


@dataclass
class Call:
    """A library function called directly by a line of the caller's.

    Attributes
    ----------
    name
        Its qualified name, such as ``"Rolling.mean"``.
    facts
        Arguments that tell what it does: ``center``, ``periods``, ``method``, …
    where
        The position of the call in the source: line, end line, column, end column; None where unknown.
    left
        The mark of what it returned.
    """

    name: str
    facts: dict[str, Any]
    where: tuple[int, int, int, int] | None
    left: Mark | None = None


@dataclass
class Step:
    """One execution of one statement.

    Attributes
    ----------
    frame
        The function call that it belongs to: the calls that led to it, each by the place of its statement, so that
        the same call has the same name in another run.
    code, span
        The function, and the first and last line of the statement.
    turn
        The how-manieth execution of this statement in this call, from 0.
    entered
        True for the entry into a function; `left` are then its arguments.
    left
        The marks of the names that it mentions, after it ran.
    calls
        Library functions it called directly.
    children
        Calls of the caller's own functions.
    result
        The mark of what the function returned, where this statement ended it.
    """

    frame: Frame
    code: CodeType
    span: Span
    turn: int
    entered: bool = False
    left: dict[str, Mark | None] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    children: list[Frame] = field(default_factory=list)
    result: Mark | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What the same step is found by in another run."""
        return self.frame, self.span, self.turn, self.entered


@dataclass
class Record:
    """One run: its steps in the order in which they began, and for each call the step that made it."""

    steps: list[Step] = field(default_factory=list)
    made_by: dict[Frame, Step | None] = field(default_factory=dict)
    complete: bool = True


class _Tracer:
    def __init__(self, home: CodeType | None, past: Past) -> None:
        self.home = home.co_filename if home is not None else None
        self.past = past
        self.record = Record()
        self.open: dict[FrameType, Step] = {}
        self.turns: Counter[tuple[Any, ...]] = Counter()

    def __call__(self, frame: FrameType, _event: str, _argument: Any) -> Callable[..., Any] | None:
        """A function is entered."""
        if not self.record.complete:
            return None
        caller = frame.f_back
        if frame.f_code.co_filename != self.home and _is_library(frame.f_code.co_filename):
            return self._library(frame, self.open[caller]) if caller in self.open else None
        while caller is not None and caller not in self.open:  # through the library, as in rolling().apply(mine)
            caller = caller.f_back
        holder = self.open[caller] if caller is not None else None
        number = self._count(("call", holder.key if holder else None, frame.f_code.co_firstlineno))
        own = (holder.key if holder else None, frame.f_code.co_name, frame.f_code.co_firstlineno, number)
        name = hashlib.sha256(repr(own).encode()).hexdigest()[:16]
        self.record.made_by[name] = holder
        if holder is not None:
            holder.children.append(name)
        entry = self._begin(frame, name, (frame.f_code.co_firstlineno,) * 2, entered=True)
        entry.left = {name: mark(value, self.past) for name, value in frame.f_locals.items()}
        return self.inside

    def inside(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        """A line of the caller's own begins, or its function returns."""
        step = self.open.get(frame)
        if step is None or not self.record.complete:
            return None
        if event == "line":
            span = statement_span(frame.f_code, frame.f_lineno)
            if span != step.span or step.entered:
                self._end(frame, step)
                self._begin(frame, step.frame, span)
        elif event == "return":
            self._end(frame, step)
            step.result = mark(argument, self.past)
            del self.open[frame]
        return self.inside

    def _begin(self, frame: FrameType, name: Frame, span: Span, *, entered: bool = False) -> Step:
        step = Step(name, frame.f_code, span, self._count((name, span)), entered)
        self.open[frame] = step
        self.record.steps.append(step)
        self.record.complete = len(self.record.steps) < MOST_STEPS
        return step

    def _end(self, frame: FrameType, step: Step) -> None:
        if not step.entered:
            known = frame.f_locals
            names = names_of(step.code, step.span)
            mentioned = dict.fromkeys([*names.reads, *names.assigns])
            step.left = {name: mark(known[name], self.past) for name in mentioned if name in known}

    def _count(self, key: tuple[Any, ...]) -> int:
        self.turns[key] += 1
        return self.turns[key] - 1

    def _library(self, frame: FrameType, step: Step) -> Callable[..., Any]:
        call = Call(_name(frame), _facts(frame), _position(frame.f_back))
        step.calls.append(call)
        frame.f_trace_lines = False

        def leaving(_frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
            if event == "return":
                call.left = mark(argument, self.past)
            return leaving

        return leaving


def recorded(run: Callable[[], Any], home: CodeType | None, past: Past) -> Record:
    """Run and record. What the run raises is swallowed; the record then ends there."""
    if home is not None:
        linecache.checkcache(home.co_filename)  # the file may have been edited since it was last shown
    tracer = _Tracer(home, past)
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        run()
    except Exception:  # noqa: BLE001  the same call has been judged without tracing
        tracer.record.complete = False
    finally:
        sys.settrace(before)
    return tracer.record


@dataclass(frozen=True)
class Names:
    """The local names that a statement reads, and those that it assigns; in the order of its code."""

    reads: tuple[str, ...]
    assigns: frozenset[str]


@cache
def names_of(code: CodeType, span: Span) -> Names:
    """The names of a statement, from its compiled code: that is there even where the source is not."""
    reads: dict[str, None] = {}
    assigns: set[str] = set()
    for one in dis.get_instructions(code):
        line = one.positions.lineno if one.positions is not None else None
        if line is None or not span[0] <= line <= span[1]:
            continue
        # From Python 3.13 on one instruction may load or store two names.
        verbs = re.findall(r"(LOAD|STORE)_(?:FAST|DEREF|CLASSDEREF|CLOSURE|NAME)", one.opname)
        values = one.argval if isinstance(one.argval, tuple) else (one.argval,) * len(verbs)
        for verb, name in zip(verbs, values, strict=False):
            if verb == "LOAD":
                reads[name] = None
            else:
                assigns.add(name)
    return Names(tuple(reads), frozenset(assigns))


@cache
def _is_library(filename: str) -> bool:
    if filename.startswith("<"):
        return not filename.startswith(("<ipython", "<stdin", "<doctest", "<console", "<cell"))
    path = os.path.realpath(filename)
    return path.startswith(_library_folders())


@cache
def _library_folders() -> tuple[str, ...]:
    """The standard library, installed packages, and this package itself."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), str(Path(os.__file__).parent), str(Path(__file__).parent)]
    return tuple({os.path.realpath(path) + os.sep for path in paths if path})


_WRAPPED = ("func", "fit_method", "method", "f", "fn", "function", "implementation", "public_api")
_TELLING = (
    "center", "periods", "method", "direction", "label", "closed", "ascending", "limit_direction", "rule", "freq",
    "shuffle", "mode", "allow_exact_matches", "by", "axis",
)  # fmt: skip


def _name(frame: FrameType) -> str:
    """The qualified name; of a decorator's wrapper, the name of what it wraps."""
    name = frame.f_code.co_qualname
    if "<locals>" in name:
        known = frame.f_locals
        for holder in _WRAPPED:
            inner = getattr(known.get(holder), "__qualname__", None)
            if inner:
                return str(inner)
    return name


def _facts(frame: FrameType) -> dict[str, Any]:
    known = frame.f_locals
    facts: dict[str, Any] = {}
    for holder in (known.get("kwargs"), known):
        if isinstance(holder, dict) or holder is known:
            for name in _TELLING:
                value = holder.get(name) if holder is not None else None
                if isinstance(value, str | int | float | bool):
                    facts[name] = value
    owner = known.get("self")
    if owner is not None:
        facts["on"] = type(owner).__name__
        center = getattr(owner, "__dict__", {}).get("center")
        if isinstance(center, bool):
            facts["center"] = center
    return facts


def _position(frame: FrameType | None) -> tuple[int, int, int, int] | None:
    if frame is None:
        return None
    found = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), None)
    if found is None or None in found:
        return None
    return found  # type: ignore[return-value]
