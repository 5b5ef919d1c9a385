"""Picks, explanations, and the settings that are kept ready."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

from quantdesk.errors import BadInput
from quantdesk.orders.guardrails import Guardrails, LimitChange, bundled, engine
from quantdesk.orders.guardrails.catalogue import CHECKS
from quantdesk.orders.halts.status import Status

PICKS = ("CIRCUIT_BREAKER", "SYMBOL_HALTED", "HALT_STATUS_UNKNOWN", "AUCTION_PERIOD", "RESTRICTED_LIST")


def test_the_example_of_the_docstring_is_true() -> None:
    failed, tried = doctest.testmod(engine)
    assert failed == 0
    assert tried > 0


def test_picks_keep_their_rank_and_are_asked_what_makes_sense(calm: Any) -> None:
    states = {
        "AAPL": calm.status(Status.TRADING),
        "GME": calm.status(Status.HALTED, "GME", halt_type="LUDP", message="Paused."),
        "XYZ": calm.status(Status.TRADING, "XYZ"),
        "BRK.B": calm.status(Status.UNKNOWN, "BRK.B"),
    }
    guardrails = calm.guardrails('[checks.RESTRICTED_LIST]\nsymbols = ["XYZ"]')
    answers = guardrails.check_picks(
        ["GME", "aapl", "XYZ", "brk b"],
        lambda symbol: calm.situation(use="research", halt=states[symbol], quotes=None, rules=None, recent=None),
    )
    assert [symbol for symbol, _ in answers] == ["GME", "AAPL", "XYZ", "BRK.B"]
    said = {symbol: [(one.code, one.severity) for one in decision.violations] for symbol, decision in answers}
    assert said == {
        "GME": [("SYMBOL_HALTED", "blocking")],
        "AAPL": [],
        "XYZ": [("RESTRICTED_LIST", "blocking")],
        "BRK.B": [("HALT_STATUS_UNKNOWN", "warning")],
    }
    assert {decision.checked for _, decision in answers} == {PICKS}
    assert [decision.allowed for _, decision in answers] == [False, True, False, True]


def test_picks_are_stopped_by_a_breaker_and_warned_of_by_the_phase(calm: Any) -> None:
    breaker = calm.status(Status.HALTED, "SPX", halt_type="MWC1", message="Level 1.")
    (answer,) = calm.guardrails().check_picks(
        ["AAPL"], lambda symbol: calm.situation(market_halt=breaker, phase="closed")
    )
    assert [one.code for one in answer[1].violations] == ["CIRCUIT_BREAKER", "AUCTION_PERIOD"]
    assert not answer[1].allowed
    with pytest.raises(BadInput, match="no symbol"):
        calm.guardrails().check_picks(["?"], lambda symbol: calm.situation())


def test_picks_follow_the_overrides_of_a_user(calm: Any) -> None:
    guardrails = calm.guardrails('[users.alice.RESTRICTED_LIST]\nsymbols = ["AAPL"]')
    asked = {user: guardrails.check_picks(["AAPL"], lambda symbol: calm.situation(), user)[0][1].allowed
             for user in (None, "alice", "bob")}  # fmt: skip
    assert asked == {None: True, "alice": False, "bob": True}


def test_explain_tells_every_check(calm: Any) -> None:
    rows = {one.code: one for one in Guardrails().explain()}
    assert list(rows) == [one.code for one in CHECKS]
    assert all(one.about and one.clause and one.enabled for one in rows.values())
    assert rows["MAX_SHARES"].limits == "100,000 shares"
    assert rows["MAX_SHARES"].hard == "1,000,000 shares"
    assert rows["CONCENTRATION"].limits == "25 % of equity"
    assert rows["GROSS_EXPOSURE"].limits == "$50,000,000, 200 % of equity"
    assert rows["MESSAGE_RATE"].limits == "messages 500, 1 s"
    assert rows["UNAUTHORISED_USER"].limits == "users any name, nameless research"
    assert (rows["NO_QUOTE"].severity, rows["NO_QUOTE"].research, rows["NO_QUOTE"].live) == ("", "warns", "blocks")
    assert (rows["MAX_SHARES"].research, rows["MAX_SHARES"].live) == ("", "")
    assert {code for code, one in rows.items() if one.reducing} == {
        "KILL_SWITCH", "POSITION_LIMIT", "CONCENTRATION", "GROSS_EXPOSURE", "NET_EXPOSURE", "DAILY_LOSS",
    }  # fmt: skip
    assert tuple(code for code, one in rows.items() if one.picks) == PICKS
    assert set(rows["MAX_SHARES"].to_dict()) == set(rows["MAX_SHARES"].__slots__)


def test_explain_tells_overrides_and_what_holds_at_a_moment(calm: Any) -> None:
    guardrails = calm.guardrails("[users.alice.MAX_SHARES]\nshares = 5\n[symbols.GME.MAX_SHARES]\nenabled = false")
    said = {one.code: one for one in guardrails.explain()}["MAX_SHARES"]
    assert said.overrides == "alice: 5 shares; GME: enabled false"
    assert {one.code: one for one in guardrails.explain("alice")}["MAX_SHARES"].limits == "5 shares"
    assert not {one.code: one for one in guardrails.explain(symbol="GME")}["MAX_SHARES"].enabled
    changed = Guardrails(bundled().with_change(LimitChange("MAX_SHARES", "shares", 7, 20, "carol", "test", 10)))
    limits = {at: {one.code: one for one in changed.explain(at=at)}["MAX_SHARES"].limits for at in (9, 10, 20)}
    assert limits == {9: "100,000 shares", 10: "7 shares", 20: "100,000 shares"}


def test_settings_are_worked_out_once_and_the_memory_is_bounded(calm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    guardrails = calm.guardrails()
    asked: list[Any] = []
    rules = type(guardrails.policy).rules
    monkeypatch.setattr(type(guardrails.policy), "rules", lambda *args: asked.append(args[1:]) or rules(*args))
    monkeypatch.setattr(engine, "_KEPT", 3)
    situation = calm.situation()
    for user in ["a", "b", "a", "b", "c", "c", "d", "d"]:
        guardrails.check(calm.order(user_id=user), situation)
    assert [one[1] for one in asked] == ["a", "b", "c", "d"]
    assert len(guardrails._ready) <= 3


def test_a_disabled_check_is_not_asked(calm: Any) -> None:
    decision = calm.check(calm.order(shares=200_000), "[checks.MAX_SHARES]\nenabled = false")
    assert "MAX_SHARES" not in decision.checked
    assert "MAX_SHARES" not in [one.code for one in decision.violations]
