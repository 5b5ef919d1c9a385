"""HaltClient: all that is known of what trades, merged. An edge module: feeds, a service, the clock.

::

    feeds        board, poller     the trade halts of Nasdaq and New York
    luld         monitors          limit up / limit down of the symbols that somebody follows
    breakers     index             the market-wide breakers, from the index or from the feeds
    phase        calendars         closed, or at lunch
    remote       a URL             a service that answers as this one does

A symbol is HALTED where any of them says so (the most serious is told, then the latest), TRADING where one says so and
none says HALTED, and otherwise UNKNOWN. :meth:`HaltClient.status` and its siblings answer at once from what was fed in;
:meth:`HaltClient.check_halt_status` first asks whom it may ask.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from quantdesk.errors import BadInput, QuantdeskError
from quantdesk.home import state_dir
from quantdesk.orders.amounts import SECOND, moment, nanoseconds
from quantdesk.orders.halts import phases
from quantdesk.orders.halts.board import Board, clock_text
from quantdesk.orders.halts.breakers import MarketHalt, Watch
from quantdesk.orders.halts.config import HaltConfig
from quantdesk.orders.halts.evidence import MarketWindows, by_monitor, is_due, merged
from quantdesk.orders.halts.feeds import Halt
from quantdesk.orders.halts.feeds.heard import Heard
from quantdesk.orders.halts.feeds.poller import Poller
from quantdesk.orders.halts.hours import NEW_YORK
from quantdesk.orders.halts.luld import Monitor
from quantdesk.orders.halts.phases import Phase
from quantdesk.orders.halts.remote import Remote
from quantdesk.orders.halts.status import HaltStatus, Status
from quantdesk.orders.symbols import canonical

__all__ = ["HaltClient", "HaltConfig", "get_halt_client"]

_FOREVER = 2**63 - 1
_KEPT = dt.timedelta(days=3)
"""For how long a halt that is over stays on the board."""


class HaltClient:
    """Implements :class:`~quantdesk.orders.halts.status.Halts` from every source there is.

    Parameters
    ----------
    poller
        Of the feeds, or None.
    remote
        A service, or None.
    exchange, listings
        MIC of the listing exchange, in general and by symbol: whose hours hold.
    stale_s
        Seconds after which feeds and monitors no longer say that something trades.
    clock
        Of the checks; nanoseconds since 1970 (UTC).

    Attributes
    ----------
    board
        What the feeds said; :meth:`~quantdesk.orders.halts.board.Board.hear` feeds it by hand.
    """

    def __init__(
        self,
        *,
        poller: Poller | None = None,
        remote: Remote | None = None,
        exchange: str = "XNYS",
        listings: Mapping[str, str] | None = None,
        stale_s: float = 180.0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.board = Board(stale_s)
        self._poller = poller
        self._remote = remote
        self._exchange = exchange
        self._listings = {canonical(symbol): mic for symbol, mic in (listings or {}).items()}
        self._stale = stale_s
        self._clock = clock
        self._monitors: dict[str, Monitor] = {}
        self._market = MarketWindows()
        self._watch: Watch | None = None
        self._spans: dict[str, tuple[int, int, Phase]] = {}
        self._heard: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if poller is not None:
            self._take_feeds(poller.look())

    # ------------------------------------------------------------------ what is fed in

    def follow(self, monitor: Monitor) -> None:
        """Ask this monitor of limit up / limit down about its stock from now on; its owner feeds it."""
        self._monitors[canonical(monitor.stock.symbol)] = monitor

    def follow_index(self, watch: Watch) -> None:
        """Take the market-wide breakers of a session from this index; :meth:`index` or its owner gives its values."""
        self._watch = watch
        self._market.follow(watch)

    def index(self, at: dt.datetime | int, value: float) -> tuple[MarketHalt, ...]:
        """The index that is followed has a value (at an aware time, or nanoseconds since 1970); what it set off.

        Raises
        ------
        BadInput, BadDates
            See :meth:`~quantdesk.orders.halts.breakers.Watch.value`; no index is followed.
        """
        if self._watch is None:
            raise BadInput("No index is followed.", "Call follow_index with a Watch first.")
        return self._watch.value(moment(at) if isinstance(at, int) else at, value)

    def halt_market(self, halt: MarketHalt) -> None:
        """A market-wide breaker was set off; one that ends the day holds until midnight in New York."""
        self._market.add(halt)

    # ------------------------------------------------------------------ what is asked

    def status(self, symbol: str, at: int) -> HaltStatus:
        """Whether a symbol trades, from what was fed in. `at` in nanoseconds since 1970 (UTC).

        Raises
        ------
        BadInput
            It is no symbol.
        """
        name = canonical(symbol)
        said: list[HaltStatus] = []
        market = self.market_halt(at)
        if market is not None:
            said.append(HaltStatus(name, Status.HALTED, market.halt_type, market.message, market.source, market.age_s))
        if self.board.feeds:
            said.append(self.board.status(name, at))
        monitor = self._monitors.get(name)
        luld = None if monitor is None else by_monitor(monitor, name, at, self._stale)
        remote = None if self._remote is None else self._remote.status(name, at)
        said += [one for one in (luld, self._by_phase(name, at), remote) if one is not None]
        return merged(name, said)

    def market_halt(self, at: int) -> HaltStatus | None:
        """The halt of the whole market that holds, from the index or from the feeds; None where none is known."""
        return self._market.status(at) or self.board.market_halt(at)

    def bands(self, symbol: str, at: int) -> tuple[int, int] | None:
        """Lower and upper price band in micro-dollars from the monitor that follows a symbol; None without one.

        None too where no bands hold: before the first reference, in a pause, and once the monitor's last event is
        older than `stale_s`.
        """
        monitor = self._monitors.get(canonical(symbol))
        if monitor is None or at - monitor.last > self._stale * SECOND or is_due(monitor, monitor.trading, at):
            return None
        return monitor.band_micros

    def phase(self, symbol: str, at: int) -> Phase:
        """The phase of the day on the listing exchange of a symbol."""
        exchange = self._listings.get(canonical(symbol), self._exchange)
        found = self._spans.get(exchange)
        if found is None or not found[0] <= at < found[1]:
            span = phases.phase(exchange, moment(at))
            since = -_FOREVER if span.since is None else nanoseconds(span.since)
            until = _FOREVER if span.until is None else nanoseconds(span.until)
            found = self._spans[exchange] = (since, until, span.phase)
        return found[2]

    async def check_halt_status(self, symbol: str) -> dict[str, Any]:
        """Ask the feeds, as far as they may be asked, and the service; then say whether a symbol trades.

        Returns
        -------
        dict
            ``symbol``, ``status`` (TRADING, HALTED, UNKNOWN), ``is_halted``, ``halt_type``, ``message``, ``source``,
            ``age_s``. A source that fails makes it UNKNOWN, never an error.

        Raises
        ------
        BadInput
            It is no symbol.
        """
        name = canonical(symbol)
        if self._poller is not None:
            try:
                self._take_feeds(await self._poller.poll_async())
            except QuantdeskError as error:
                self._lose_feeds(str(error))
        if self._remote is not None:
            await self._remote.ask_async(name, self._clock())
        return self.status(name, self._clock()).to_dict()

    def check_halt_status_sync(self, symbol: str) -> dict[str, Any]:
        """The same for callers without an event loop."""
        name = canonical(symbol)
        self.refresh()
        if self._remote is not None:
            self._remote.ask(name, self._clock())
        return self.status(name, self._clock()).to_dict()

    def refresh(self) -> None:
        """Ask the feeds that may be asked now. What fails makes them say nothing; it raises nothing."""
        if self._poller is not None:
            try:
                self._take_feeds(self._poller.poll())
            except QuantdeskError as error:
                self._lose_feeds(str(error))

    def start(self, every_s: float = 15.0) -> None:
        """Ask the feeds now, and from then on in the background: what a process needs that trades live.

        Each feed is still asked at most once a minute. Without it somebody has to call :meth:`refresh` or a check;
        where nobody does, or the thread dies, what was heard grows old and becomes UNKNOWN.
        """
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            self._stop.clear()
            self._thread = threading.Thread(target=self._go_on, args=(every_s,), name="quantdesk-halts", daemon=True)
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """End what :meth:`start` began."""
        self._stop.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()

    def _go_on(self, every_s: float) -> None:
        while not self._stop.wait(every_s):
            self.refresh()

    # ------------------------------------------------------------------ the sources, one by one

    def _take_feeds(self, heard: list[Heard]) -> None:
        """Put on the board what the poller knows."""
        assert self._poller is not None  # noqa: S101 (who heard something has a poller)
        since = moment(self._clock()) - _KEPT
        with self._lock:
            for one in heard:
                halts = [self._with_doubt(one.feed, halt) for halt in self._poller.halts(one.feed, since)]
                self._heard[one.feed] = one.heard_at
                self.board.hear(one.feed, halts, one.heard_at, one.problem)

    def _with_doubt(self, feed: str, halt: Halt) -> Halt:
        """A halt that the feed has dropped without a resumption still holds, and says so."""
        assert self._poller is not None  # noqa: S101
        if halt.trading_resumes_at is not None or self._poller.is_listed(feed, halt) is not False:
            return halt
        day = halt.halted_at.astimezone(NEW_YORK).date()
        gone = f"The feed no longer lists it and gave no resumption: quantdesk halts feed --day {day} asks again."
        return replace(halt, remark=f"{halt.remark} {gone}".strip())

    def _lose_feeds(self, problem: str) -> None:
        """The poller failed on this machine: nothing of it is news, whatever others wrote on the disk meanwhile."""
        assert self._poller is not None  # noqa: S101
        with self._lock:
            for feed in self._poller.feeds:
                self.board.hear(feed.name, self._poller.halts(feed.name), self._heard.get(feed.name, 0), problem)

    def _by_phase(self, name: str, at: int) -> HaltStatus | None:
        found = self.phase(name, at)
        if found not in (Phase.CLOSED, Phase.BREAK):
            return None
        exchange = self._listings.get(name, self._exchange)
        if found is Phase.BREAK:
            text = f"{exchange} is at lunch until {clock_text(self._spans[exchange][1])}."
        else:
            after = phases.next_session(exchange, moment(at))
            text = f"{exchange} is closed"
            text += "." if after is None else f"; it opens at {clock_text(nanoseconds(after.opens))}."
        return HaltStatus(name, Status.HALTED, found.name, text, "phase", 0.0)


_lock = threading.Lock()
_client: HaltClient | None = None


def get_halt_client() -> HaltClient:
    """The client of this process, made from the environment (:class:`HaltConfig`) when it is first asked for."""
    global _client
    with _lock:
        if _client is None:
            config = HaltConfig.from_env()
            _client = HaltClient(
                poller=config.poller(state_dir() / "halts"),
                remote=None if config.url is None else Remote(config.url, config.url_timeout_s, config.stale_s),
                exchange=config.exchange,
                stale_s=config.stale_s,
            )
        return _client
