"""How states, numbers, times and values are put before people: one word, one shape, one unit. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from quantdesk.hub.sizes import size
from quantdesk.reports.banner import Shown, shown
from quantdesk.reports.ledger import State, Verdict
from quantdesk.reports.result import Status

__all__ = ["FILTERS", "GROUPS", "ago", "duration", "moment", "number", "size", "state", "value", "verdict"]

_UNDER_WAY = {
    State.WAITING: Shown("◌", "Waiting", "muted"),
    State.QUEUED: Shown("○", "Queued", "muted"),
    State.RUNNING: Shown("▶", "Running", "accent"),
}
_VERDICTS = {
    Verdict.APPROVED: Shown("✓", "Approved", "positive"),
    Verdict.REJECTED: Shown("✕", "Rejected", "negative"),
    Verdict.WITHDRAWN: Shown("↶", "Withdrawn", "muted"),
}
GROUPS: dict[str, tuple[State, ...]] = {
    "under way": tuple(_UNDER_WAY),
    "completed": (State.COMPLETED,),
    "not complete": tuple(one for one in State if one.is_final and one is not State.COMPLETED),
}
"""States as people look for them."""
_LONGEST = 400


def state(one: State) -> Shown:
    """Shape, word and tone of a state."""
    return _UNDER_WAY.get(one) or shown(Status(one.value))


def verdict(one: Verdict) -> Shown:
    """Shape, word and tone of a sign-off."""
    return _VERDICTS[one]


def duration(seconds: float | None) -> str:
    """Seconds for people: ``0.42 s``, ``12.3 s``, ``4 min 05 s``, ``2 h 10 min``, ``3 d 4 h``; a dash for None."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    seconds = max(0.0, seconds)
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def ago(at: datetime, now: datetime) -> str:
    """How far a moment is away: ``just now``, ``4 min ago``, ``in 3 h``, ``2 d ago``."""
    seconds = (now - at).total_seconds()
    away = abs(seconds)
    if away < 45:
        return "just now" if seconds >= 0 else "in a moment"
    for limit, unit, word in ((3570, 60, "min"), (84_600, 3600, "h"), (math.inf, 86_400, "d")):
        if away < limit:
            count = max(1, round(away / unit))
            return f"{count} {word} ago" if seconds > 0 else f"in {count} {word}"
    raise AssertionError("no moment is infinitely far away")  # pragma: no cover


def moment(at: datetime | None, *, seconds: bool = False) -> Markup:
    """A moment as HTML: in UTC; the page's script adds the reader's own zone as its title."""
    if at is None:
        return Markup("–")
    at = at.astimezone(UTC)
    shape = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return Markup('<time datetime="{}" data-utc>{} UTC</time>').format(
        at.isoformat(timespec="seconds").replace("+00:00", "Z"), at.strftime(shape)
    )


def number(one: float | str | bool | None, unit: str = "") -> str:
    """A recorded value with its unit: six figures, thousands apart, a true minus; a dash for None."""
    if one is None:
        return "–"
    if isinstance(one, (str, bool)):
        return _short(str(one))
    if not math.isfinite(one):
        return "–"
    text = _digits(float(one)).replace("-", "−")
    return f"{text}\N{NO-BREAK SPACE}{unit}" if unit else text


def _digits(one: float) -> str:
    if one == 0:
        return "0"
    large = abs(one)
    if large >= 1e15 or large < 1e-4:
        return f"{one:.4g}"
    if large >= 1e5 or (one.is_integer() and large >= 1000):
        return f"{one:,.0f}"
    places = max(0, 5 - max(0, math.floor(math.log10(large))))
    text = f"{one:,.{min(places, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def value(one: Any) -> str:
    """A parameter for people: a text as it is, all else as JSON; cut where it is long."""
    if isinstance(one, str):
        return _short(one) if one else "“”"
    if one is None:
        return "none"
    return _short(json.dumps(one, ensure_ascii=False))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


FILTERS: Mapping[str, Any] = {
    "duration": duration,
    "moment": moment,
    "number": number,
    "size": size,
    "state": state,
    "value": value,
    "verdict": verdict,
}
"""For templates."""
