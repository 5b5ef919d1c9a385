"""The feed of Nasdaq Trader: RSS with the trade halts of all US listings. Pure.

https://www.nasdaqtrader.com/rss.aspx?feed=tradehalts, and ``&haltdate=MMDDYYYY`` for a past day. One item carries the
whole life of a halt: its code and its times of resumption change while it lives. XML is parsed by defusedxml, without
document types and entities.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

from quantdesk.orders.halts.feeds.halt import FeedError, Halt, market_of
from quantdesk.orders.halts.feeds.lifecycle import merged, named
from quantdesk.orders.halts.feeds.times import moment

__all__ = ["parse_nasdaq_rss"]

_SPACE = "{http://www.nasdaqtrader.com/}"
_NEEDED = ("HaltDate", "HaltTime", "IssueSymbol", "ReasonCode")


def parse_nasdaq_rss(text: str) -> list[Halt]:
    """The halts of the feed, in the order of time; an empty list only where the feed says that there are none.

    Parameters
    ----------
    text
        What the server answered.

    Raises
    ------
    FeedError
        It is a page for people, no XML, XML with entities, cut off, another feed, or an item lacks what every item has.
        Nothing of it is believed then.
    """
    root = _tree(text)
    channel = root.find("channel")
    if root.tag != "rss" or channel is None:
        raise FeedError(f"This is no RSS: its root is <{root.tag}>.", "The feed of trade halts is <rss><channel>.")
    items = channel.findall("item")
    declared = (channel.findtext(f"{_SPACE}numItems") or "").strip()
    about = f"{channel.findtext('title', '')} {channel.findtext('description', '')}".lower()
    if declared.isdecimal() and len(items) < int(declared):
        raise FeedError(f"The feed announces {declared} items and holds {len(items)}.", "Some were lost: ask again.")
    if not items and declared != "0" and "halt" not in about:
        raise FeedError("This RSS has no items and is not the feed of trade halts.", "Check its address.")
    return merged([_halt(item, number) for number, item in enumerate(items, 1)])


def _tree(text: str) -> Element:
    plain = text.lstrip("\ufeff \t\r\n")
    if plain[:200].lower().startswith(("<!doctype html", "<html")):
        raise FeedError("The server sent a page for people instead of the feed.", "It may be a challenge: ask later.")
    if not plain:
        raise FeedError("The server sent nothing.", "Ask again later.")
    try:
        root: Element = fromstring(plain, forbid_dtd=True)
    except DefusedXmlException as error:
        raise FeedError(f"The XML of the feed is not safe ({error}).", "The feed has no entities.") from error
    except (ParseError, ValueError) as error:
        raise FeedError(f"The XML of the feed cannot be read ({error}).", "It may be cut off: ask again.") from error
    return root


def _halt(item: Element, number: int) -> Halt:
    def field(name: str) -> str:
        return (item.findtext(f"{_SPACE}{name}") or "").strip()

    missing = [name for name in _NEEDED if not field(name)]
    where = f"Item {number} ({field('IssueSymbol') or item.findtext('title') or 'without a symbol'})"
    if missing:
        raise FeedError(f"{where} has no {', '.join(missing)}.", "The feed may have changed.")
    halted_at = moment(field("HaltDate"), field("HaltTime"), where)
    symbol, remark = named(field("IssueSymbol"))
    quotes = _resumption(field("ResumptionDate"), field("ResumptionQuoteTime"), where)
    trades = _resumption(field("ResumptionDate"), field("ResumptionTradeTime"), where)
    if trades is not None and trades < halted_at:
        remark = f"{remark} A resumption at {trades.isoformat()}, before the halt, was not believed.".strip()
        trades = None
    if quotes is not None and quotes < halted_at:
        quotes = None
    code = field("ReasonCode").upper()
    return Halt(
        symbol=symbol,
        halted_at=halted_at,
        code=code,
        latest=code,
        name=field("IssueName"),
        exchange=market_of(field("Market") or field("Mkt")),
        quoting_resumes_at=quotes,
        trading_resumes_at=trades,
        threshold=_price(field("PauseThresholdPrice"), where),
        sources=("nasdaq",),
        remark=remark,
    )


def _resumption(day: str, time: str, where: str) -> dt.datetime | None:
    """A day without a time, or a time without a day, is no resumption: the halt holds."""
    return moment(day, time, where) if day and time else None


def _price(text: str, where: str) -> Decimal | None:
    if not text:
        return None
    try:
        price = Decimal(text.replace(",", ""))
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or price < 0:
        raise FeedError(f"{where} has the threshold price {text!r}.", "The feed may have changed.")
    return price or None
