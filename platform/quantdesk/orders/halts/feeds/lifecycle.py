"""Many items, one life of each halt. Pure.

The same halt stands in both feeds, in one of them twice, and again in every answer while it lives. Two items are one
halt where they are of one symbol and began within a second of each other (one feed has milliseconds, the other whole
seconds). What is put together holds until some item gives a resumption of trading: that an item is gone, or lacks its
resumption, ends nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

from quantdesk.errors import BadInput
from quantdesk.orders.halts.feeds.halt import Halt, is_resumption
from quantdesk.orders.symbols import canonical

__all__ = ["followed", "merged", "named"]

_SAME = dt.timedelta(seconds=1)


def merged(items: Iterable[Halt]) -> list[Halt]:
    """One halt for each that the items tell of, in the order of time.

    Where items of one halt differ: the reason is the first code that halts; the resumption the latest that is given, as
    a halt is not over while a feed has it last longer; texts are the first that are not empty, and the time of the halt
    is the finer one. A halt that says "See Subsequent Halt" ends with the next one of its symbol.

    Parameters
    ----------
    items
        In the order in which they were told, as far as that matters: the latest code is that of the last item.
    """
    lives: dict[str, list[Halt]] = {}
    for item in items:
        known = lives.setdefault(item.symbol, [])
        for place, one in enumerate(known):
            if abs(one.halted_at - item.halted_at) <= _SAME:
                known[place] = _joined(one, item)
                break
        else:
            known.append(item)
    found: list[Halt] = []
    for known in lives.values():
        known.sort(key=lambda one: one.halted_at)
        # From the last to the first, so that a chain of continued halts ends with its last link.
        for place in range(len(known) - 2, -1, -1):
            one, after = known[place], known[place + 1]
            if one.continued and one.trading_resumes_at is None:
                known[place] = replace(
                    one,
                    quoting_resumes_at=after.quoting_resumes_at,
                    trading_resumes_at=after.trading_resumes_at,
                )
        found += known
    return sorted(found, key=lambda one: (one.halted_at, one.symbol))


def followed(known: Halt | None, item: Halt) -> Halt:
    """What one feed says of a halt now, after what the same feed said before.

    The reason stays where the feed has gone on to a code of resumption. Times are those of the new item: a resumption
    that was withdrawn is none.
    """
    if known is None or not is_resumption(item.code) or is_resumption(known.code):
        return item
    return replace(item, code=known.code)


def named(text: str) -> tuple[str, str]:
    """A symbol of a feed in the one form, and a remark where it has none and stays as it is."""
    try:
        return canonical(text), ""
    except BadInput:
        return text.strip().upper(), f"The symbol {text!r} has a form of its own."


def _joined(one: Halt, other: Halt) -> Halt:
    finer = one.halted_at if one.halted_at.microsecond or not other.halted_at.microsecond else other.halted_at
    reason = other.code if is_resumption(one.code) and not is_resumption(other.code) else one.code
    remarks = [one.remark, *([other.remark] if other.remark not in one.remark else [])]
    return Halt(
        symbol=one.symbol,
        halted_at=finer,
        code=reason,
        latest=other.latest if is_resumption(other.latest) or not is_resumption(one.latest) else one.latest,
        name=one.name or other.name,
        exchange=one.exchange or other.exchange,
        quoting_resumes_at=_later(one.quoting_resumes_at, other.quoting_resumes_at),
        trading_resumes_at=_later(one.trading_resumes_at, other.trading_resumes_at),
        threshold=one.threshold if one.threshold is not None else other.threshold,
        continued=one.continued or other.continued,
        sources=tuple(dict.fromkeys((*one.sources, *other.sources))),
        remark=" ".join(text for text in remarks if text),
    )


def _later(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)
