"""What a rule says: one class for each kind of entry in the rulebook. Pure.

Every entry carries the days on which it was in force, where it was read, and how sure that is. Prices, fees and
percentages are :class:`decimal.Decimal`, written as text in TOML, because a cent that is a binary fraction is not a
cent. Times of day are New York's.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = [
    "KINDS",
    "AccessFee",
    "Auction",
    "Entry",
    "Latency",
    "Level",
    "LimitUpLimitDown",
    "MarketWide",
    "OrderProtection",
    "RoundLot",
    "ShortSale",
    "SingleStockPause",
    "Tick",
    "Venue",
    "VenueFee",
]


def _exact(value: Any) -> Any:
    if isinstance(value, float | int) and not isinstance(value, bool):
        raise ValueError(f'{value} is a number: write it as text, "{value}", so that it stays exact')
    return value


Exact = Annotated[Decimal, BeforeValidator(_exact), Field(allow_inf_nan=False)]
Positive = Annotated[Exact, Field(gt=0)]
NotNegative = Annotated[Exact, Field(ge=0)]
Share = Annotated[Exact, Field(gt=0, le=1)]
Grade = Literal["primary", "secondary", "memory", "user"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Frozen):
    """What all entries have.

    Attributes
    ----------
    starts, ends
        First and last day on which it was in force, both included; an entry without an end still is.
    source
        Where it was read.
    grade
        ``primary``: in the rule or a text that quotes it; ``secondary``: in another's account; ``memory``: not looked
        up, a default to be checked; ``user``: added by the desk.
    note
        What a reader should know besides.
    """

    starts: dt.date
    ends: dt.date | None = None
    source: str = Field(min_length=1)
    grade: Grade
    note: str = ""

    @property
    def key(self) -> str:
        """What it is about, where one day has several entries of its kind: an exchange, a venue, a pair."""
        return ""

    @property
    def last(self) -> dt.date:
        """The last day, or the end of time."""
        return self.ends or dt.date.max

    @model_validator(mode="after")
    def _ordered(self) -> Entry:
        if self.ends is not None and self.ends < self.starts:
            raise ValueError(f"it ends on {self.ends}, before it starts on {self.starts}")
        return self


class Bucket(_Frozen):
    """The percentage parameters for a range of previous closes; the first bucket that fits holds.

    Attributes
    ----------
    over, at_least
        The previous close must be above the one, or at least the other; exactly one is given.
    tier_1, tier_2
        Fractions of the reference price.
    at_most
        Dollars that the distance to the reference may not exceed, or None.
    """

    over: NotNegative | None = None
    at_least: NotNegative | None = None
    tier_1: Positive
    tier_2: Positive
    at_most: Positive | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Bucket:
        if (self.over is None) == (self.at_least is None):
            raise ValueError("a bucket has either over or at_least")
        return self

    def holds(self, previous_close: Decimal) -> bool:
        """Whether it is the bucket of a previous close."""
        if self.over is not None:
            return previous_close > self.over
        return self.at_least is not None and previous_close >= self.at_least


class Doubling(_Frozen):
    """A part of the session in which the parameters double.

    Attributes
    ----------
    anchor
        From the session's ``open`` on, or up to its ``close``.
    minutes
        How long.
    tier_2_up_to
        Tier 2 doubles only up to this previous close; None for all.
    """

    anchor: Literal["open", "close"]
    minutes: int = Field(gt=0)
    tier_2_up_to: Positive | None = None


class LimitUpLimitDown(Entry):
    """The bands around a stock's reference price, and what happens at them.

    Attributes
    ----------
    buckets
        From the highest previous closes to the lowest.
    doubling
        When the parameters double.
    mean_s
        Seconds of trades in the mean that is the candidate for a new reference.
    least_change
        Fraction by which a candidate must differ from the reference to replace it.
    least_age_s
        Seconds for which a reference must have been in effect before it can be replaced.
    limit_state_s
        Seconds after which a limit state becomes a pause.
    pause_s
        Seconds of a pause, and of each extension.
    no_reopening_s
        A pause in the last seconds of the session does not reopen; the closing auction follows.
    fallback_s
        Seconds after the open at which a stock that has not opened gets the rolling mean as its reference.
    opens_on_quote
        The first reference where the primary opens on a quote: ``previous_close``, or the quote's ``midpoint``.
    collar, collar_least, collar_least_up_to
        Fraction of the triggering band by which the collar of a reopening stands outside of it, and is widened at
        each extension; at or below the last, the dollars of the middle.
    """

    buckets: tuple[Bucket, ...] = Field(min_length=1)
    doubling: tuple[Doubling, ...] = ()
    mean_s: int = Field(gt=0)
    least_change: Share
    least_age_s: int = Field(ge=0)
    limit_state_s: int = Field(gt=0)
    pause_s: int = Field(gt=0)
    no_reopening_s: int = Field(ge=0)
    fallback_s: int = Field(ge=0)
    opens_on_quote: Literal["previous_close", "midpoint"]
    collar: Share
    collar_least: Positive
    collar_least_up_to: NotNegative

    def bucket(self, previous_close: Decimal) -> Bucket:
        """The bucket of a previous close, which is fixed for the day."""
        return next(bucket for bucket in self.buckets if bucket.holds(previous_close))

    @model_validator(mode="after")
    def _reach_zero(self) -> LimitUpLimitDown:
        if self.buckets[-1].at_least != 0:
            raise ValueError('the last bucket must hold for every price: at_least = "0"')
        return self


class SingleStockPause(Entry):
    """The breakers before limit up / limit down: a move within minutes pauses the stock."""

    move: Share
    within_s: int = Field(gt=0)
    pause_s: int = Field(gt=0)


class Halt(_Frozen):
    """What reaching a level means at a time of day: the first row whose time is not over holds.

    Attributes
    ----------
    until
        Time of day (New York) up to which it holds; None for the rest of the session.
    inclusive
        Whether the instant `until` belongs to it.
    minutes
        How long all trading stops: 0 for not at all, None for the rest of the day.
    """

    until: dt.time | None = None
    inclusive: bool = False
    minutes: int | None = Field(default=None, ge=0)

    def holds(self, at: dt.time) -> bool:
        """Whether it holds at a time of day."""
        return self.until is None or at < self.until or (self.inclusive and at == self.until)


class Level(_Frozen):
    """One level of the market-wide breakers: a fraction of the previous close, or points."""

    fall: Share | None = None
    points: Positive | None = None
    halts: tuple[Halt, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_measure(self) -> Level:
        if (self.fall is None) == (self.points is None):
            raise ValueError("a level has either a fall or points")
        if self.halts[-1].until is not None:
            raise ValueError("the last halt of a level must hold for the rest of the session: no until")
        return self


class MarketWide(Entry):
    """The breakers that stop the whole market.

    Attributes
    ----------
    index
        What is watched: ``DJIA`` or ``SPX``.
    levels
        From the first to reach to the last.
    truncate_to
        Levels are truncated to this step (a cent), or None.
    fixed_quarterly_to
        Where the points were fixed once a quarter: the step to which they were rounded, or None.
    early_close_shift
        Whether the times of day move with an early close.
    """

    index: Literal["DJIA", "SPX"]
    levels: tuple[Level, ...] = Field(min_length=1)
    truncate_to: Positive | None = None
    fixed_quarterly_to: Positive | None = None
    early_close_shift: bool = False


class Auction(Entry):
    """When orders for the auctions of a listing exchange can be entered. Times of day on a full session.

    Attributes
    ----------
    exchange
        MIC of the listing exchange.
    opening_imbalance, closing_imbalance
        When imbalance messages begin.
    moo_until, moc_until, loc_until
        Cut-offs of market-on-open, market-on-close and limit-on-close orders.
    cancel_until
        After it, no auction order can be cancelled; None where that is not restricted here.
    """

    exchange: str = Field(pattern=r"^[A-Z]{4}$")
    opening_imbalance: dt.time
    closing_imbalance: dt.time
    moo_until: dt.time
    moc_until: dt.time
    loc_until: dt.time
    cancel_until: dt.time | None = None

    @property
    def key(self) -> str:
        """The exchange."""
        return self.exchange


class OrderProtection(Entry):
    """Whether a better protected quote may be traded through (Reg NMS Rule 611)."""

    on: bool


class AccessFee(Entry):
    """The cap on the fee for taking a protected quote: dollars a share, and a fraction of prices below `below`."""

    cap: NotNegative
    below: Positive
    fraction_below: NotNegative


class Step(_Frozen):
    """A step that holds from a price on."""

    at_least: NotNegative
    step: Positive


class Tick(Entry):
    """The smallest step between quoted prices, by price; from the highest prices down."""

    steps: tuple[Step, ...] = Field(min_length=1)


class LotSize(_Frozen):
    """Shares in a round lot that hold from a price on."""

    at_least: NotNegative
    shares: int = Field(gt=0)


class RoundLot(Entry):
    """Shares in a round lot, by price; from the highest prices down."""

    sizes: tuple[LotSize, ...] = Field(min_length=1)


class ShortSale(Entry):
    """A restriction of short sales.

    Attributes
    ----------
    fall
        Fall from the previous close that sets it off (Rule 201), or None for a ban that always holds.
    days_after
        Further sessions on which it stays.
    covers
        Whom it covers, in words.
    """

    fall: Share | None = None
    days_after: int = Field(default=0, ge=0)
    covers: str = "all"

    @property
    def key(self) -> str:
        """Whom it covers."""
        return self.covers


class VenueFee(Entry):
    """Dollars a share at $1 or more for adding and for taking liquidity; minus is a rebate.

    Attributes
    ----------
    venue, add, remove
        Where, and the two fees.
    remove_below_dollar
        The fee for taking below $1 as a fraction of the price. None where it was not looked up: it is then taken to be
        at the cap where the venue charges for taking, and 0 where it pays.
    """

    venue: str = Field(min_length=1)
    add: Exact
    remove: Exact
    remove_below_dollar: NotNegative | None = None

    @property
    def key(self) -> str:
        """The venue."""
        return self.venue


class Venue(Entry):
    """A place where orders are matched.

    Attributes
    ----------
    venue
        Its name, as in the fees.
    mic
        Its market identifier code (ISO 10383).
    place
        The data centre that its latency is measured to.
    protected
        Whether its quotes are protected by Rule 611.
    hidden_share
        Undisplayed size at its best price as a fraction of the displayed: an estimate, for the desk to measure.
    """

    venue: str = Field(min_length=1)
    mic: str = Field(pattern=r"^[A-Z0-9]{4}$")
    place: str = Field(min_length=1)
    protected: bool
    hidden_share: NotNegative

    @property
    def key(self) -> str:
        """The venue."""
        return self.venue


class Latency(Entry):
    """One way between two places, or on top of every way into a venue, in microseconds."""

    between: tuple[str, ...] = Field(min_length=1, max_length=2)
    microseconds: int = Field(ge=0)

    @property
    def key(self) -> str:
        """The places, in the order of the alphabet."""
        return " - ".join(sorted(self.between))


KINDS: dict[str, type[Entry]] = {
    "luld": LimitUpLimitDown,
    "single_stock_pause": SingleStockPause,
    "market_wide": MarketWide,
    "auction": Auction,
    "order_protection": OrderProtection,
    "access_fee": AccessFee,
    "tick": Tick,
    "round_lot": RoundLot,
    "short_sale": ShortSale,
    "venue_fee": VenueFee,
    "venue": Venue,
    "latency": Latency,
}
"""The kinds of entries by the name of their tables in TOML."""
