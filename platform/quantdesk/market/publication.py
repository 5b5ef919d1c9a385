"""When a value could first be known: the event plus a lag, per kind of publication, with the reason. Pure data.

A feature of Monday that uses a value published on Tuesday has looked ahead. The point-in-time join therefore asks for
knowledge time, not event time. The bundled files do not record when each number came out, so each kind of
publication has one policy, chosen not too early.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

__all__ = ["POLICIES", "Policy"]


@dataclass(frozen=True)
class Policy:
    """One way of publishing.

    Attributes
    ----------
    event
        What the timestamp of a bar is.
    lag
        Time from the event until the value is taken to be known.
    reason
        Why this lag.
    """

    event: str
    lag: dt.timedelta
    reason: str


POLICIES: dict[str, Policy] = {
    "close": Policy(
        event="the close of the session, early closes included",
        lag=dt.timedelta(minutes=15),
        reason="closing auctions print within minutes; the consolidated official close follows within a quarter hour",
    ),
    "ecb-fixing": Policy(
        event="14:15 in Frankfurt, when central banks concert the euro reference rates",
        lag=dt.timedelta(hours=2),
        reason="the rates are put out at about 16:00 Frankfurt time since 2016 (earlier years: sooner)",
    ),
    "treasury-curve": Policy(
        event="15:30 in New York, when the quotations behind the par yield curve are taken",
        lag=dt.timedelta(hours=3),
        reason="the Treasury puts the curve out by about 18:00 New York time on the same day",
    ),
    "eia-spot": Policy(
        event="14:30 in New York, the settlement of the futures against which spot is assessed",
        lag=dt.timedelta(days=7),
        reason="daily spot prices come out in a weekly release; the slowest day of a week waits about seven days",
    ),
    "monthly-average": Policy(
        event="17:00 in New York on the last weekday of the month that was averaged",
        lag=dt.timedelta(days=7),
        reason="an average over a month exists only when it is over, and is published in the first days of the next",
    ),
}
