"""What must hold of every order, account and policy."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantdesk.orders.guardrails import Guardrails, Kill, Kills, Policy, bundled
from quantdesk.orders.guardrails.case import Case
from quantdesk.orders.guardrails.catalogue import BY_CODE, CHECKS
from quantdesk.orders.halts.status import Status
from quantdesk.orders.order import Order
from quantdesk.orders.portfolio import Portfolio

MODEST = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
USD = 1_000_000
LETS_REDUCE = {one.code for one in CHECKS if one.lets_reduce}

actions = st.sampled_from(["buy", "sell", "sell_short"])
shares = st.integers(1, 2000)
cents = st.integers(1, 30_000).map(lambda n: f"{n / 100:.2f}")


@st.composite
def orders(draw: st.DrawFn) -> Order:
    kind = draw(st.sampled_from(["market", "limit", "stop", "stop_limit", "midpoint_peg"]))
    return Order(
        "AAPL", draw(actions), draw(shares), kind,
        limit_price=draw(cents) if kind in ("limit", "stop_limit") else None,
        stop_price=draw(cents) if kind in ("stop", "stop_limit") else None,
        user_id=draw(st.sampled_from([None, "alice"])),
    )  # fmt: skip


@st.composite
def accounts(draw: st.DrawFn, day: Any = None) -> Portfolio:
    account = Portfolio(draw(st.integers(-1000, 5_000_000)) * USD)
    for symbol in draw(st.sets(st.sampled_from(["AAPL", "MSFT", "XOM"]))):
        held = draw(st.integers(-2000, 2000))
        if held:
            account.transfer(symbol, held, draw(st.integers(1, 200)) * USD)
        for side in (1, -1):
            open_ = draw(st.integers(0, 1500))
            if open_:
                account.open(symbol, side, open_, draw(st.sampled_from([0, 90 * USD])))
    account.start_day(day)
    for symbol in account.positions:
        if draw(st.booleans()):
            account.mark(symbol, draw(st.integers(1, 200)) * USD)
    return account


@st.composite
def situations(draw: st.DrawFn, calm: Any) -> Any:
    some = lambda *values: draw(st.sampled_from(values))  # noqa: E731
    bid, ask = draw(st.integers(0, 20_000)) / 100, draw(st.integers(0, 20_000)) / 100
    quotes = calm.quotes(min(bid, ask), max(bid, ask) + 0.01) if draw(st.booleans()) else None
    kill = Kills((Kill("all", "", "carol", "drill", 0),)) if draw(st.booleans()) else Kills()
    return calm.situation(
        use=some("research", "live"),
        portfolio=draw(accounts(calm.day)),
        quotes=quotes,
        halt=some(None, calm.status(), calm.status(Status.HALTED), calm.status(Status.UNKNOWN)),
        market_halt=some(None, calm.status(Status.HALTED, "SPX")),
        bands=some(None, (95 * USD, 105 * USD)),
        phase=some("", "continuous", "closed"),
        short_sale_restricted=some(None, True, False),
        previous_close=some(0, 300 * USD),
        average_daily_volume=some(0, 1000, 10**7),
        recent=some(None, calm.situation().recent),
        rules=some(None, calm.situation().rules),
        kill=kill,
        resting=some(None, ()),
        last=some(0, 100 * USD),
    )


def without(policy: Policy, *codes: str) -> Policy:
    checks = {code: ({**held, "enabled": False} if code in codes else held) for code, held in policy.checks.items()}
    return Policy(policy.name, checks, policy.hard)


def with_limits(policy: Policy, factor: Fraction) -> Policy:
    """Every limit looser by a factor."""
    checks = {}
    for code, held in policy.checks.items():
        looser = dict(held)
        for name, limit in BY_CODE[code].limits.items():
            if limit.is_number:
                looser[name] = int(held[name] * factor if limit.stricter == "lower" else held[name] / factor)
        if code == "MESSAGE_RATE":
            looser["seconds"] = held["seconds"]
        checks[code] = looser
    return Policy(policy.name, checks, policy.hard)


@pytest.fixture(scope="module")
def strict() -> Policy:
    """The bundled policy, a hundred times stricter, so that random orders break it."""
    return with_limits(bundled(), Fraction(1, 100))


@MODEST
@given(data=st.data())
def test_no_violation_hides_another(calm: Any, strict: Policy, data: st.DataObject) -> None:
    order, situation = data.draw(orders()), data.draw(situations(calm))
    everything = Guardrails(strict).check(order, situation)
    for code in {one.code for one in everything.violations} or {"MAX_SHARES"}:
        rest = Guardrails(without(strict, code)).check(order, situation)
        assert list(rest.violations) == [one for one in everything.violations if one.code != code]
        assert code not in rest.checked
    alone = [
        one
        for spec in CHECKS
        for one in Guardrails(without(strict, *(set(BY_CODE) - {spec.code}))).check(order, situation).violations
    ]
    assert list(everything.violations) == alone


@MODEST
@given(data=st.data(), factor=st.fractions(1, 50))
def test_a_looser_policy_never_blocks_more(calm: Any, strict: Policy, data: st.DataObject, factor: Fraction) -> None:
    order, situation = data.draw(orders()), data.draw(situations(calm))
    before = {one.code for one in Guardrails(strict).check(order, situation).violations}
    after = {one.code for one in Guardrails(with_limits(strict, factor)).check(order, situation).violations}
    assert after <= before


@MODEST
@given(data=st.data(), more=st.integers(1, 500))
def test_a_smaller_order_is_no_larger(calm: Any, strict: Policy, data: st.DataObject, more: int) -> None:
    order, situation = data.draw(orders()), data.draw(situations(calm))
    larger = Order(
        order.symbol, order.action, order.shares + more, order.order_type, order.limit_price, order.stop_price,
        user_id=order.user_id,
    )  # fmt: skip
    sized = {"MAX_SHARES", "MAX_NOTIONAL", "PARTICIPATION"}
    small = {one.code for one in Guardrails(strict).check(order, situation).violations}
    large = {one.code for one in Guardrails(strict).check(larger, situation).violations}
    assert small & sized <= large & sized


@MODEST
@given(data=st.data())
def test_what_reduces_risk_passes_exposure_loss_and_kill_switches(
    calm: Any, strict: Policy, data: st.DataObject
) -> None:
    situation = data.draw(situations(calm))
    order = data.draw(orders())
    held = situation.portfolio.position("AAPL")
    reduces = Case(order, situation).reduces
    # Plainly: whatever else of its side fills, this order brings the position nearer to nothing, never past it.
    same_side = [held.shares + (held.buying if order.is_buy else -held.selling), held.shares]
    plainly = order.action != "sell_short" and all(
        abs(end + order.side * order.shares) < abs(end) and end * (end + order.side * order.shares) >= 0
        for end in same_side
    )
    assert reduces is plainly
    found = {one.code for one in Guardrails(strict).check(order, situation).violations}
    if reduces:
        assert not found & LETS_REDUCE


@MODEST
@given(data=st.data())
def test_nothing_is_changed_and_the_answer_is_the_same_again(calm: Any, strict: Policy, data: st.DataObject) -> None:
    order, situation = data.draw(orders()), data.draw(situations(calm))
    guardrails = Guardrails(strict)
    before = situation.portfolio.to_dict()
    first = guardrails.check(order, situation)
    assert situation.portfolio.to_dict() == before
    assert guardrails.check(order, situation) == first
    assert Guardrails(strict).check(order, situation).to_dict() == first.to_dict()
    assert first.allowed is (not first.blocking)
    assert {*first.blocking, *first.warnings} == {*first.violations}


def plain_exposures(order: Order, account: Portfolio, middle: int) -> dict[str, Fraction]:
    """Gross, net and equity from the positions one by one, as one would write it on paper."""
    gross = net = equity = Fraction(0)
    for symbol, held in [*account, *([] if "AAPL" in dict(account) else [("AAPL", account.position("AAPL"))])]:
        mark, buying, selling = held.mark, held.buying, held.selling
        if symbol == "AAPL":
            mark = middle
            buying += order.shares if order.is_buy else 0
            selling += 0 if order.is_buy else order.shares
        gross += max(abs(held.shares + buying), abs(held.shares - selling)) * mark
        net += (held.shares + (buying if order.is_buy else -selling)) * mark
        equity += held.shares * mark
    return {"gross": gross, "net": net * order.side, "equity": equity + account.cash}


def with_limit(code: str, **limits: int) -> Policy:
    """The bundled policy with limits in the units that are counted."""
    return Policy("test", {**bundled().checks, code: {**bundled().checks[code], **limits}}, {})


@MODEST
@given(data=st.data())
def test_exposures_are_those_that_one_adds_up_by_hand(calm: Any, data: st.DataObject) -> None:
    order, account = data.draw(orders()), data.draw(accounts(calm.day))
    situation = calm.situation(portfolio=account)
    case = Case(order, situation)
    if case.reduces:
        return
    unpriced = any(not held.mark and held.worst for symbol, held in account if symbol != "AAPL")
    plain = plain_exposures(order, account, situation.quotes.nbbo.midpoint)

    def found(code: str, **limits: int) -> list[str]:
        said = Guardrails(with_limit(code, **limits)).check(order, situation).violations
        return [one.value for one in said if one.code == code]

    for code, what in (("GROSS_EXPOSURE", "gross"), ("NET_EXPOSURE", "net")):
        exposure, loose = int(plain[what]), 10**30
        if unpriced:
            assert found(code) == ["unknown"]
            continue
        # At the limit it passes, a micro-dollar, or a millionth of the equity, below it does not.
        assert found(code, dollars=exposure, of_equity=loose) == [] or plain["equity"] <= 0 < exposure
        assert len(found(code, dollars=exposure - 1, of_equity=loose)) >= 1
        if exposure > 0 and plain["equity"] > 0:
            part = -(-exposure * USD // int(plain["equity"]))
            assert found(code, dollars=loose, of_equity=part) == []
            assert len(found(code, dollars=loose, of_equity=part - 1)) == 1
        elif exposure > 0:
            assert len(found(code, dollars=loose, of_equity=loose)) == 1
    if not unpriced:
        assert case.equity == plain["equity"]
        assert case.day_pnl == plain["equity"] - account.equity_at_start
