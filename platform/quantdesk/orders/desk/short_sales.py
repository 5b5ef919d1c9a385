"""When short sales of a stock are restricted: the price test of Rule 201 as dated data. Pure.

Source: Regulation SHO, 17 CFR 242.201, by the ``short_sale`` entries of :mod:`quantdesk.orders.rulebook`.
"""

from __future__ import annotations

import datetime as dt

from quantdesk.market.sessions import sessions_between
from quantdesk.orders.rulebook import Rulebook

__all__ = ["restricted_through"]


def restricted_through(book: Rulebook, day: dt.date, price: int, previous_close: int) -> dt.date | None:
    """The last day of the restriction that a price sets off; None where it sets off none.

    Parameters
    ----------
    book
        The rules.
    day
        The day in New York.
    price, previous_close
        Micro-dollars; 0 for unknown, which sets nothing off.
    """
    rule = book.short_sale(day)
    if rule is None or rule.fall is None or not price or not previous_close:
        return None
    if price > previous_close * (1 - rule.fall):
        return None
    # The restriction lasts for whole sessions: a fall on a Friday holds on Monday too.
    sessions = sessions_between("XNYS", day, day + dt.timedelta(days=14 + 2 * rule.days_after))
    ahead = [session.date() for session in sessions if session.date() > day]
    return ahead[rule.days_after - 1] if rule.days_after else day
