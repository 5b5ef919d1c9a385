"""What ``quantdesk halts`` does, one function for each command. An edge module: feeds, files, the clock."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantdesk.errors import BadDates, BadInput
from quantdesk.home import state_dir
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.halts import feeds, luld
from quantdesk.orders.halts.client import get_halt_client
from quantdesk.orders.halts.config import HaltConfig
from quantdesk.orders.halts.feeds import FeedError, Halt
from quantdesk.orders.halts.feeds.heard import Feed
from quantdesk.orders.halts.feeds.poller import Poller
from quantdesk.orders.halts.hours import NEW_YORK
from quantdesk.orders.symbols import canonical

__all__ = ["FeedView", "ask_status", "show_bands", "show_feed"]


@dataclass(frozen=True)
class FeedView:
    """Halts, and where they are from.

    Attributes
    ----------
    origin
        A file, an address, or the names of the feeds.
    halts
        In the order of time.
    at
        When they were looked at; aware, UTC.
    problem
        Why a feed could not be heard, or nothing: what is shown is older then, or of the other feed alone.
    """

    origin: str
    halts: tuple[Halt, ...]
    at: dt.datetime
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON: with each halt whether it holds, and what its code means."""
        return {
            "origin": self.origin,
            "at": self.at.isoformat(),
            "problem": self.problem,
            "halts": [
                {**halt.to_dict(), "is_halted": halt.is_halted(self.at), "means": halt.means} for halt in self.halts
            ],
        }


def ask_status(symbols: list[str]) -> list[dict[str, Any]]:
    """Whether symbols trade, in the form of ``check_halt_status``."""
    names = [canonical(symbol) for symbol in symbols]  # all of them are looked at before anybody is asked
    client = get_halt_client()
    return [client.check_halt_status_sync(name) for name in names]


def show_feed(file: Path | None = None, url: str | None = None, day: str | None = None) -> FeedView:
    """Halts of a file, of an address, of Nasdaq's feed of a past day, or of both feeds as they are now.

    Raises
    ------
    BadInput
        Two of them at once, or a file that cannot be read.
    BadDates
        A day that is none, or one to come.
    FeedError
        It is no feed, or there was no answer.
    """
    if sum(one is not None for one in (file, url, day)) > 1:
        raise BadInput("A file, an address and a day are three things.", "Give one of --file, --url and --day.")
    now = dt.datetime.now(dt.UTC)
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{file} cannot be read ({error}).", "Name a file of a feed.") from error
        return FeedView(str(file), tuple(feeds.parse(text)), now)
    config, folder = HaltConfig.from_env(), state_dir() / "halts"
    if day is not None:
        date = _day(day, now)
        # The name is that of the feed of today, so that the two share one request a minute, and one journal.
        url_of_day = f"{config.nasdaq_url}{'&' if '?' in config.nasdaq_url else '?'}haltdate={date:%m%d%Y}"
        asked = Feed("nasdaq", url_of_day, feeds.parse_nasdaq_rss, is_current=False)
        of_day = [halt for halt in _asked(asked, folder, config) if halt.halted_at.astimezone(NEW_YORK).date() == date]
        return FeedView(asked.url, tuple(of_day), now)
    if url is not None:
        name = f"url-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
        return FeedView(url, tuple(_asked(Feed(name, url, feeds.parse), folder, config)), now)
    client = get_halt_client()
    client.refresh()
    return FeedView("+".join(client.board.feeds) or "no feed", tuple(client.board.halts), now, client.board.problem)


def show_bands(
    reference: str, previous_close: str, tier: int, at: str | None = None, leverage: str = "1"
) -> luld.Bands:
    """The bands around a reference price; `at` is New York's time unless it has a zone, and now when left out.

    Raises
    ------
    BadInput, BadDates
        See :func:`~quantdesk.orders.halts.luld.bands`.
    """
    try:
        moment = dt.datetime.now(dt.UTC) if at is None else dt.datetime.fromisoformat(at)
    except ValueError as error:
        raise BadDates(f"{at!r} is no time ({error}).", "Give it as 2026-03-02T15:40, New York's time.") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=NEW_YORK)
    return luld.bands(reference, previous_close, tier, moment, leverage)


def _asked(feed: Feed, folder: Path, config: HaltConfig) -> list[Halt]:
    """What a feed says after it was asked; for an address of its own also what it said less than a minute ago."""
    poller = Poller([feed], folder, timeout_s=config.timeout_s)
    before = poller.heard(feed.name)
    heard = poller.poll()[0]
    if heard.asked_at == before.asked_at and not feed.is_current:
        since = (time.time_ns() - heard.asked_at) / SECOND
        raise FeedError(
            f"The feed {feed.name} was asked {since:.0f} s ago.", f"Ask again in {max(heard.wait_s - since, 1):.0f} s."
        )
    if heard.problem:
        raise FeedError(f"{feed.url} gave no halts: {heard.problem}", f"It may be asked again in {heard.wait_s:.0f} s.")
    return poller.halts(feed.name)


def _day(text: str, now: dt.datetime) -> dt.date:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError as error:
        raise BadDates(f"{text!r} is no day ({error}).", "Give it as 2026-11-25.") from error
    if day > now.astimezone(NEW_YORK).date():
        raise BadDates(f"{day} has not come yet.", "Give a past day.")
    return day
