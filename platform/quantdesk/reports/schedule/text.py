"""From what people write to a trigger: five fields of cron, or a market's hours in words. Pure."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from dataclasses import dataclass, replace
from typing import NoReturn

from quantdesk.errors import BadInput, UnknownName
from quantdesk.reports.schedule.cron import parse_cron
from quantdesk.reports.schedule.days import find_market, is_fixing
from quantdesk.reports.schedule.market import LONGEST, DuringSessions, OnSessions, Which
from quantdesk.reports.schedule.trigger import Trigger, zone

__all__ = ["parse"]

LARGEST = 200
"""Characters of a schedule."""
_DEFAULT_MARKET = "XNYS"
_EXAMPLES = (
    'For example: "30 minutes after the NYSE close", "every session at 08:00", "first session of the month at 08:00", '
    '"every 15 minutes during the XLON session", or cron: "30 7 * * MON-FRI".'
)
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}
_PERIODS = ("week", "month", "quarter", "year")
_EVENTS = {"open": "open", "opening": "open", "close": "close", "closing": "close", "fixing": "fixing"}
_UNITS = {"minute": 1, "minutes": 1, "min": 1, "mins": 1, "hour": 60, "hours": 60}
_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_CRON_WORD = re.compile(r"[\d,/-]+", re.ASCII)


def parse(text: str, timezone: str) -> Trigger:
    """Read a schedule.

    Parameters
    ----------
    text
        Five fields of cron (see :func:`quantdesk.reports.schedule.cron.parse_cron`), or words::

            30 minutes after the NYSE close             1 hour before the XLON close       at the XNYS open
            every session at 08:00                      every XTKS session at 20:30
            first session of the month at 08:00         last session of the week 15 minutes after the close
            at 08:00 on the second session of the year  every 15 minutes during the NYSE session

        A market goes by its MIC or a usual name; where none is named, it is the New York Stock Exchange. Weeks begin
        on Monday. A fixing (ECB, UST) has a ``fixing`` in place of an opening and a close.
    timezone
        The zone in which clock times are meant. The hours of a market are its own.

    Raises
    ------
    BadInput
        It cannot be read: the message says at which word, and what would be right.
    UnknownName
        There is no such market or time zone.
    """
    if not isinstance(text, str) or not text.strip():
        raise BadInput(f"{text!r} is no schedule.", _EXAMPLES)
    if len(text) > LARGEST:
        raise BadInput(f"The schedule {text[:40]!r} and so on has {len(text):,} characters.", f"Use at most {LARGEST}.")
    zone(timezone)
    words = text.split()
    if "*" in text or all(_CRON_WORD.fullmatch(word) for word in words[:2]):
        return parse_cron(text, timezone)
    return _Reader(text, words, timezone).read()


@dataclass(frozen=True)
class _Moment:
    """A time of a session: on a clock, or at a distance from an opening or close."""

    at: dt.time | str
    offset: dt.timedelta = dt.timedelta(0)


class _Reader:
    """Reads words from left to right."""

    def __init__(self, text: str, words: list[str], timezone: str) -> None:
        self._text, self._words, self._timezone = text, words, timezone
        self._place = 0
        self._market: str | None = None

    def read(self) -> Trigger:
        trigger = self._every_or_on()
        if self._word:
            self._refuse("nothing more")
        return trigger

    @property
    def _word(self) -> str:
        """The word in turn, in small letters; empty at the end."""
        return self._words[self._place].lower() if self._place < len(self._words) else ""

    def _take(self, *words: str) -> str:
        """The word in turn, if it is one of these."""
        found = self._word
        if found in words:
            self._place += 1
            return found
        return ""

    def _need(self, *words: str) -> str:
        return self._take(*words) or self._refuse(" or ".join(f'"{word}"' for word in words))

    def _refuse(self, wanted: str, back: int = 0) -> NoReturn:
        place = self._place - back
        where = f"at word {place + 1}, {self._words[place]!r}" if place < len(self._words) else "at its end"
        raise BadInput(f"The schedule {self._text!r} cannot be read {where}: {wanted} was expected.", _EXAMPLES)

    def _every_or_on(self) -> Trigger:
        self._take("on")
        step = self._step()
        if step is not None:
            self._need("during")
            which = self._during()
            return DuringSessions(self._plain, self._timezone, self._market or _DEFAULT_MARKET, which, step)
        if self._is_selection():
            which, moment = self._selection(), self._moment()
        else:
            moment, which = self._moment(), Which()
            if self._take("on", "of", "in"):
                which = self._selection()
            elif isinstance(moment.at, dt.time):
                self._refuse('"on every session", or "on the first session of the month",')
        return self._on(which, moment)

    @property
    def _plain(self) -> str:
        return " ".join(self._words)

    def _on(self, which: Which, moment: _Moment) -> Trigger:
        market = self._market or _DEFAULT_MARKET
        if isinstance(moment.at, str):
            if is_fixing(market) != (moment.at == "fixing"):
                right = '"fixing"' if is_fixing(market) else '"open" or "close"'
                raise BadInput(f"In the schedule {self._text!r}, {market} has no {moment.at}.", f"It has {right}.")
            moment = replace(moment, at="open" if moment.at == "open" else "close")
        return OnSessions(self._plain, self._timezone, market, which, moment.at, moment.offset)

    def _is_selection(self) -> bool:
        place = self._place + (self._word == "the")
        word = self._words[place].lower() if place < len(self._words) else ""
        return word in ("every", "each") or word in _ORDINALS

    def _selection(self) -> Which:
        """``every [market] session``, or ``[the] first [market] session of the month``."""
        self._take("the")
        ordinal = self._need("every", "each", *_ORDINALS)
        self._name_market("session", "sessions")
        self._need("session", "sessions")
        if ordinal not in _ORDINALS:
            return Which()
        self._need("of")
        self._take("the", "each", "every")
        return Which(_ORDINALS[ordinal], self._need(*_PERIODS))

    def _during(self) -> Which:
        """What a repetition is for: ``[the|every] [market] session``, or one of a period."""
        place = self._place + (self._word == "the")
        if place < len(self._words) and self._words[place].lower() in _ORDINALS:
            return self._selection()
        self._take("the", "every", "each")
        self._name_market("session", "sessions")
        self._need("session", "sessions")
        return Which()

    def _moment(self) -> _Moment:
        """``[at] 08:00``, ``at the [market] open``, ``30 minutes after the [market] close``."""
        said_at = bool(self._take("at"))
        clock = _CLOCK.fullmatch(self._word)
        if clock:
            self._place += 1
            return _Moment(dt.time(int(clock[1]), int(clock[2])))
        if said_at:
            if self._word[:1].isdigit():
                self._refuse("a time such as 08:00")
            return _Moment(self._event())
        begun = self._place
        offset = self._span()
        if offset is None:
            self._refuse('"at", a time such as 08:00, or a distance such as 30 minutes')
        if offset >= LONGEST:
            self._refuse("a distance below 24 hours", back=self._place - begun)
        side = self._need("after", "before")
        return _Moment(self._event(), offset if side == "after" else -offset)

    def _event(self) -> str:
        self._take("the", "each", "every")
        self._name_market(*_EVENTS)
        return _EVENTS[self._need(*_EVENTS)]

    def _name_market(self, *ends: str) -> None:
        """A market's name, unless one of `ends` comes at once."""
        if not self._word or self._word in ends:
            return
        try:
            found = find_market(self._words[self._place])
        except UnknownName:
            if difflib.get_close_matches(self._word, ends, n=1, cutoff=0.7):
                return  # a slip in the word that has to come; who reads that word says so
            raise
        if self._market not in (None, found):
            self._refuse(f"{self._market}, of which it speaks already,")
        self._market = found
        self._place += 1

    def _step(self) -> dt.timedelta | None:
        """``every 15 minutes``; None, and nothing is read, where a session is selected."""
        begun = self._place
        if not self._take("every"):
            return None
        span = dt.timedelta(minutes=_UNITS[self._word]) if self._word in _UNITS else self._span()
        if span is None:
            self._place = begun
            return None
        self._place += self._word in _UNITS
        if not dt.timedelta(0) < span < LONGEST:
            self._refuse("a time from 1 minute to below 24 hours", back=self._place - begun - 1)
        return span

    def _span(self) -> dt.timedelta | None:
        """``30 minutes``, ``an hour``, ``1 hour and 30 minutes``, ``half an hour``; None where there is no number."""
        if self._take("half"):
            self._need("an")
            self._need("hour")
            return dt.timedelta(minutes=30)
        total, counted = dt.timedelta(0), False
        while True:
            if self._take("a", "an", "one"):
                count = 1
            elif re.fullmatch(r"\d{1,4}", self._word, re.ASCII):
                count = int(self._word)
                self._place += 1
            else:
                return total if counted else None
            counted = True
            total += count * dt.timedelta(minutes=_UNITS[self._need(*_UNITS)])
            self._take("and")
