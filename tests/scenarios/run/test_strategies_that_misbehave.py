"""Strategies that will not end, that leave the process, and that wish for more bit by bit than at once."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from quantdesk.scenarios import Account, Path, RunConfig, Seen
from quantdesk.scenarios.run import holdings_of, run_account, stage_of
from quantdesk.scenarios.run.limit import TookTooLong, within


def through(path: Path, strategy: object, **settings: object) -> Account:
    stage = stage_of(path, None, RunConfig(**settings))  # type: ignore[arg-type]
    return run_account(stage, strategy, holdings_of({"cash": 1e6}, stage.path))  # type: ignore[arg-type]


def stubborn() -> str:
    """Works for a minute, or until it is told to stop, which it does not listen to."""
    until = time.monotonic() + 60
    try:
        while time.monotonic() < until:
            pass
    except BaseException:  # noqa: BLE001 (this is what it is about)
        pass
    return "late"


def test_an_answer_after_its_time_is_none() -> None:
    with pytest.raises(TookTooLong):
        within(0.1, stubborn)


def test_the_limit_holds_in_a_thread_that_is_not_the_first() -> None:
    found: list[str] = []

    def tries() -> None:
        try:
            within(0.1, stubborn)
        except TookTooLong:
            found.append("ended")

    thread = threading.Thread(target=tries)
    thread.start()
    thread.join(10)
    assert found == ["ended"]


def test_an_end_that_comes_at_the_last_moment_ends_nothing_else() -> None:
    """Whether the time or the call is over first: after the call nothing comes any more."""
    for _ in range(300):
        with contextlib.suppress(TookTooLong):
            within(0.001, lambda: time.sleep(0.00099))
        sum(range(100))
    time.sleep(0.05)


def test_a_strategy_that_leaves_the_process_fails_alone(path_of) -> None:
    def leaves(seen: Seen) -> None:
        raise SystemExit(3)

    account = through(path_of(bars=4), leaves)
    assert account.error == "SystemExit: 3"
    assert account.orders == 0


def bit_by_bit(seen: Seen) -> dict[str, float] | None:
    """A fifth in one more stock after each bar; what is not named stays."""
    symbols = ["AAPL", "JPM", "XOM", "KO"]
    return {symbols[len(seen.bars) - 1]: 0.2} if 1 <= len(seen.bars) <= 4 else None


def test_the_cash_buffer_holds_for_what_is_wished_bit_by_bit(path_of) -> None:
    cash: list[float] = []

    def looks(seen: Seen) -> dict[str, float] | None:
        cash.append(seen.cash / seen.value)
        return bit_by_bit(seen)

    account = through(path_of(bars=10, drift=0.0), looks, cash_buffer=0.5)
    assert account.filled_shares > 0
    assert min(cash) == pytest.approx(0.5, abs=0.03)  # prices move the parts, a little
    assert min(cash) < 0.6  # and the buffer is not all that is left


def test_the_sector_limit_holds_for_what_is_wished_bit_by_bit(path_of) -> None:
    path = path_of(bars=10, drift=0.0, symbols=("AAPL", "MSFT", "AMD", "KO"))
    held: list[float] = []

    def makers(seen: Seen) -> dict[str, float] | None:
        last = seen.closes.iloc[-1]
        held.append(sum(seen.positions.get(name, 0) * last[name] for name in ("AAPL", "MSFT", "AMD")) / seen.value)
        order = ["AAPL", "MSFT", "AMD", "KO"]
        return {order[len(seen.bars) - 1]: 0.2} if 1 <= len(seen.bars) <= 4 else None

    account = through(path, makers, sector_limit=0.3)
    assert account.filled_shares > 0
    assert max(held) == pytest.approx(0.3, abs=0.03)
