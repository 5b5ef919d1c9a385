"""Asks the feeds. An edge module: network, disk and clock.

Each feed is asked at most once a minute, whoever asks: the time of the last request stands on the disk, under a lock,
so that a restart and a second process keep to it too. What feeds say goes into the journal; a process that may not ask
reads what another one wrote. After a failure the wait doubles, up to a quarter of an hour, with some jitter; an answer
that is no feed is a failure. Conditional requests spare both sides: a 304 says that nothing has changed.

The synchronous and the asynchronous form differ only in how they wait for the network.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import httpx
import numpy as np

from quantdesk.errors import EnvironmentProblem
from quantdesk.orders.halts.feeds.halt import FeedError, Halt
from quantdesk.orders.halts.feeds.heard import LEAST_S, Feed, Heard, wait_after
from quantdesk.orders.halts.feeds.journal import Entry, Journal
from quantdesk.orders.halts.feeds.lifecycle import followed
from quantdesk.records import atomic_write, exclusive

__all__ = ["Feed", "Heard", "Poller"]

_BYTES = 16_000_000
"""An answer that is longer is no feed."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    text: str


class Poller:
    """Keeps what the feeds say.

    Parameters
    ----------
    feeds
        Which.
    folder
        Where the journal (``halts.jsonl``) and the times of requests (``<feed>.json``) are kept.
    timeout_s
        For a whole answer, connecting included.
    rng
        Of the jitter.
    clock
        Nanoseconds since 1970 (UTC).
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        folder: Path,
        *,
        timeout_s: float = 10.0,
        rng: np.random.Generator | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.feeds = tuple(feeds)
        self.journal = Journal(folder / "halts.jsonl")
        self._folder = folder
        self._timeout = timeout_s
        self._rng = rng if rng is not None else np.random.default_rng()
        self._clock = clock
        self._validators: dict[str, dict[str, str]] = {}
        self._listed: dict[str, set[tuple[str, str, int]]] = {}
        self._known: dict[tuple[str, str, int], Halt] = {}
        self._lock = threading.RLock()  # of what is in memory: a client may poll in a thread of its own
        self._read()

    def halts(self, feed: str, since: dt.datetime | None = None) -> list[Halt]:
        """What a feed said, each halt as it stood there last; in the order of time.

        Parameters
        ----------
        feed
            Its name.
        since
            Leave out what was over before; nothing when None. What a halt that was continued may end with is kept.
        """
        with self._lock:
            own = [halt for (source, _, _), halt in self._known.items() if source == feed]
        if since is not None:
            chains = {halt.symbol for halt in own if halt.continued and halt.trading_resumes_at is None}
            own = [
                halt
                for halt in own
                if halt.trading_resumes_at is None or halt.trading_resumes_at >= since or halt.symbol in chains
            ]
        return sorted(own, key=lambda one: (one.halted_at, one.symbol))

    def is_listed(self, feed: str, halt: Halt) -> bool | None:
        """Whether the last whole answer of a feed still had a halt; None where this process has seen none."""
        listed = self._listed.get(feed)
        return None if listed is None else _key(feed, halt) in listed

    def heard(self, feed: str) -> Heard:
        """What is known of a feed."""
        try:
            return Heard(**json.loads(self._state(feed).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Heard(feed)
        except (ValueError, TypeError) as error:
            # Whoever wrote it had just asked: its own time stands for the one that it should hold.
            written = self._state(feed).stat().st_mtime_ns
            return Heard(feed, asked_at=written, problem=f"{self._state(feed)} cannot be read ({error})")
        except OSError as error:
            raise EnvironmentProblem(
                f"{self._state(feed)} cannot be read ({error.strerror}).", "Make it readable, or remove it."
            ) from error

    def look(self) -> list[Heard]:
        """What is known of all feeds, without asking; the halts are at least as new."""
        # In this order: a writer puts halts into the journal first, and then says that it has heard.
        heard = [self.heard(feed.name) for feed in self.feeds]
        self._read()
        return heard

    def poll(self) -> list[Heard]:
        """Ask each feed that may be asked; what is known of all of them then. No server can make it raise."""
        with httpx.Client(timeout=self._timeout, follow_redirects=True) as client:
            for feed in self.feeds:
                with ExitStack() as stack:
                    before = self._begin(feed, stack)
                    if before is None:
                        continue
                    try:
                        got: _Answer | Exception = self._get(client, feed)
                    except (httpx.HTTPError, httpx.InvalidURL, FeedError, UnicodeError) as error:
                        got = error
                    self._end(feed, before, got)
        return self.look()

    async def poll_async(self) -> list[Heard]:
        """The same without keeping the event loop."""
        async with httpx.AsyncClient(timeout=self._timeout, follow_redirects=True) as client:
            for feed in self.feeds:
                with ExitStack() as stack:
                    before = self._begin(feed, stack)
                    if before is None:
                        continue
                    try:
                        got: _Answer | Exception = await self._get_async(client, feed)
                    except (httpx.HTTPError, httpx.InvalidURL, FeedError, UnicodeError) as error:
                        got = error
                    self._end(feed, before, got)
        return self.look()

    def _begin(self, feed: Feed, stack: ExitStack) -> Heard | None:
        """Note on the disk that the feed is asked now; None where it may not be, or another process does so."""
        if not self.heard(feed.name).is_due(self._clock()):
            return None
        try:
            stack.enter_context(exclusive(self._folder / f".{feed.name}.lock", timeout=0.0))
        except EnvironmentProblem as error:
            if error.__cause__ is None:  # another process asks just now, and the disk is well
                return None
            raise
        before = self.heard(feed.name)  # again, now that nobody else can ask
        if not before.is_due(self._clock()):
            return None
        asked = replace(before, asked_at=self._clock(), wait_s=LEAST_S)
        self._write(asked)
        return asked

    def _end(self, feed: Feed, before: Heard, got: _Answer | Exception) -> None:
        """Take the answer in: new halts to the journal, then the state of the feed."""
        now = self._clock()
        asked_for = 0.0 if isinstance(got, Exception) else _seconds(got.headers.get("retry-after", ""))
        problem, halts = _understood(feed, got, asked_whole=not self._conditions(feed))
        if problem:
            failures = before.failures + 1
            wait = wait_after(failures, self._rng, asked_for)
            self._write(replace(before, failures=failures, wait_s=wait, problem=problem[:300]))
            return
        if halts is not None and not isinstance(got, Exception):
            with self._lock:
                self.journal.append(Entry(now, feed.name, halt) for halt in self._news(feed, halts))
            if feed.is_current:
                # Only now: what a conditional request spares must be on the disk.
                self._validators[feed.name] = _validators(got.headers)
                self._listed[feed.name] = {_key(feed.name, halt) for halt in halts}
        heard_at = now if feed.is_current else before.heard_at
        wait = wait_after(0, self._rng, asked_for)
        self._write(replace(before, heard_at=heard_at, failures=0, wait_s=wait, problem=""))

    def _news(self, feed: Feed, halts: list[Halt]) -> list[Halt]:
        """What differs from what the feed said before."""
        self._read()
        found = []
        for halt in halts:
            known = self._known.get(_key(feed.name, halt))
            now = followed(known, halt)
            if now != known:
                found.append(now)
        return found

    def _read(self) -> None:
        with self._lock:
            for entry in self.journal.read():
                self._known[_key(entry.source, entry.halt)] = entry.halt

    def _headers(self, feed: Feed) -> dict[str, str]:
        return {"User-Agent": "quantdesk", "Cache-Control": "no-cache", **self._conditions(feed)}

    def _conditions(self, feed: Feed) -> dict[str, str]:
        """What makes a question conditional: as the last whole answer of this process gave it."""
        return self._validators.get(feed.name, {}) if feed.is_current else {}

    def _get(self, client: httpx.Client, feed: Feed) -> _Answer:
        deadline = time.monotonic() + self._timeout
        with client.stream("GET", feed.url, headers=self._headers(feed)) as response:
            body = bytearray()
            for block in response.iter_bytes():
                body += block
                _within(body, deadline)
            return _answer(response, bytes(body))

    async def _get_async(self, client: httpx.AsyncClient, feed: Feed) -> _Answer:
        try:
            async with (
                asyncio.timeout(self._timeout),
                client.stream("GET", feed.url, headers=self._headers(feed)) as response,
            ):
                body = bytearray()
                async for block in response.aiter_bytes():
                    body += block
                    _within(body, float("inf"))
                return _answer(response, bytes(body))
        except TimeoutError as error:
            raise httpx.ReadTimeout("the whole answer took too long") from error

    def _state(self, feed: str) -> Path:
        return self._folder / f"{feed}.json"

    def _write(self, heard: Heard) -> None:
        with atomic_write(self._state(heard.feed)) as path:
            path.write_text(json.dumps(asdict(heard)), encoding="utf-8")


def _understood(feed: Feed, got: _Answer | Exception, *, asked_whole: bool) -> tuple[str, list[Halt] | None]:
    """Why an answer is none, or the halts in it; None where it says that nothing has changed."""
    if isinstance(got, Exception):
        return str(got) or type(got).__name__, None
    if got.status == 304:
        return ("The server answered 304 to a question that had no condition." if asked_whole else ""), None
    if got.status != 200:
        return f"The server answered {got.status}.", None
    try:
        return "", feed.parse(got.text)
    except Exception as error:  # noqa: BLE001 (whatever a parser trips over, the answer is no feed)
        return str(error) or type(error).__name__, None


def _key(source: str, halt: Halt) -> tuple[str, str, int]:
    """By what a feed's item is the same one: its symbol and the second in which it began."""
    return source, halt.symbol, int(halt.halted_at.timestamp())


def _validators(headers: Mapping[str, str]) -> dict[str, str]:
    pairs = (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since"))
    return {ask: headers[given] for given, ask in pairs if headers.get(given)}


def _seconds(text: str) -> float:
    return float(text) if text.strip().isdecimal() else 0.0


def _within(body: bytearray, deadline: float) -> None:
    if len(body) > _BYTES:
        raise FeedError(f"The answer is longer than {_BYTES:,} bytes.", "No feed is that long.")
    if time.monotonic() > deadline:
        raise httpx.ReadTimeout("the whole answer took too long")


def _answer(response: httpx.Response, body: bytes) -> _Answer:
    return _Answer(response.status_code, response.headers, body.decode(response.encoding or "utf-8", "replace"))
