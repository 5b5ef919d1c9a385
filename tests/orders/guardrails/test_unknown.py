"""What is not known is never passed in silence: the fail mode of the use decides, check by check."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from quantdesk.orders.guardrails.catalogue import CHECKS

USD = 1_000_000


def unpriced(calm: Any) -> dict[str, Any]:
    account = calm.account()
    account.open("MSFT", 1, 100)  # nobody has said at what price it is valued
    return {"portfolio": account}


def crossing(calm: Any) -> dict[str, Any]:
    account = calm.account(AAPL=500)
    account.open("AAPL", -1, 100)
    return {"portfolio": account, "resting": None}


#: Per check a situation in which it must know something that is missing, and an order for which that matters.
MISSING: dict[str, Any] = {
    "MESSAGE_RATE": (lambda calm: {"recent": None}, {}),
    "DUPLICATE_ORDER": (lambda calm: {"recent": None}, {}),
    "HALT_STATUS_UNKNOWN": (lambda calm: {"halt": None}, {}),
    "AUCTION_PERIOD": (lambda calm: {"phase": ""}, {}),
    "SHORT_SALE_RESTRICTION": (lambda calm: {"short_sale_restricted": None}, {"action": "sell_short"}),
    "NO_QUOTE": (lambda calm: {"quotes": None}, {}),
    "PRICE_COLLAR": (lambda calm: {"quotes": None}, {}),
    "LULD_BAND": (lambda calm: {"bands": None}, {"limit_price": "100"}),
    "TICK_SIZE": (lambda calm: {"rules": None}, {"limit_price": "100"}),
    "ROUND_LOT": (lambda calm: {"rules": None}, {}),
    "MAX_NOTIONAL": (lambda calm: {"quotes": None}, {}),
    "PARTICIPATION": (lambda calm: {"average_daily_volume": 0}, {}),
    "SELF_TRADE": (crossing, {}),
    "POSITION_LIMIT": (lambda calm: {"quotes": None}, {}),
    "CONCENTRATION": (unpriced, {}),
    "GROSS_EXPOSURE": (unpriced, {}),
    "NET_EXPOSURE": (unpriced, {}),
    "DAILY_LOSS": (unpriced, {}),
}


def test_every_check_that_must_know_something_is_tested() -> None:
    assert set(MISSING) == {one.code for one in CHECKS if one.needs}


@pytest.mark.parametrize("code", MISSING)
@pytest.mark.parametrize("use", ["research", "live"])
@pytest.mark.parametrize(("mode", "severity"), [("open", "warning"), ("closed", "blocking")])
def test_the_fail_mode_of_the_use_decides(calm: Any, code: str, use: str, mode: str, severity: str) -> None:
    known, order = MISSING[code]
    other = "closed" if mode == "open" else "open"
    modes = {use: mode, ("live" if use == "research" else "research"): other}
    own = f'[checks.{code}]\nfail = {{ research = "{modes["research"]}", live = "{modes["live"]}" }}'
    (violation,) = calm.found(code, calm.order(**order), own, use=use, **known(calm))
    assert violation.value == "unknown"
    assert violation.severity == severity
    assert "Not checked: " in violation.message


@pytest.mark.parametrize("code", MISSING)
def test_bundled_research_fails_open_and_live_closed(calm: Any, code: str) -> None:
    known, order = MISSING[code]
    (research,) = calm.found(code, calm.order(**order), use="research", **known(calm))
    (live,) = calm.found(code, calm.order(**order), use="live", **known(calm))
    assert research.severity == "warning"
    assert live.severity == ("warning" if code in ("AUCTION_PERIOD", "ROUND_LOT") else "blocking")


def test_without_a_quote_nothing_that_needs_one_passes(calm: Any) -> None:
    decision = calm.check(calm.order(), quotes=None)
    assert {one.code for one in decision.blocking} == {
        "NO_QUOTE",
        "PRICE_COLLAR",
        "MAX_NOTIONAL",
        "POSITION_LIMIT",
        "CONCENTRATION",
        "GROSS_EXPOSURE",
        "NET_EXPOSURE",
    }


@pytest.mark.parametrize("day", [None, dt.date(2026, 2, 27)])
def test_a_day_that_did_not_begin_has_no_known_loss(calm: Any, day: dt.date | None) -> None:
    (violation,) = calm.found("DAILY_LOSS", calm.order(), portfolio=calm.account(day=day))
    assert violation.value == "unknown"
    assert (str(day) if day else "never") in violation.message


def test_the_loss_is_not_known_while_the_position_cannot_be_marked(calm: Any) -> None:
    (violation,) = calm.found("DAILY_LOSS", calm.order(), portfolio=calm.account(AAPL=5), quotes=None)
    assert violation.value == "unknown"
    assert calm.found("DAILY_LOSS", calm.order(), portfolio=calm.account(MSFT=5), quotes=None) == []


def test_a_stop_without_a_quote_is_not_passed(calm: Any) -> None:
    for order in (calm.order(order_type="stop", stop_price="105"), calm.order(stop_loss_price="90")):
        assert {one.value for one in calm.found("PRICE_COLLAR", order, quotes=None)} == {"unknown"}


def test_an_own_symbol_without_a_mark_is_valued_by_the_decision(calm: Any) -> None:
    account = calm.account()
    account.open("AAPL", 1, 100)  # not marked yet
    assert account.unpriced == 1
    assert calm.check(calm.order(), portfolio=account).violations == ()
