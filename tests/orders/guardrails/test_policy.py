"""Policies: what they may say, what they refuse and where, overrides, and temporary changes that revert."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.amounts import SECOND
from quantdesk.orders.guardrails import Guardrails, LimitChange, Policy, bundled, in_force, parse, read
from quantdesk.orders.guardrails.catalogue import BY_CODE, CHECKS, spec

HOUR = 3600 * SECOND


def own(text: str, name: str = "own.toml") -> Policy:
    return parse(text, name, bundled())


def test_the_bundled_policy_holds_every_check() -> None:
    assert list(BY_CODE) == [one.code for one in CHECKS]
    assert set(bundled().checks) == set(BY_CODE)
    assert len(BY_CODE) == 27


def test_a_policy_that_is_laid_over_holds_what_differs() -> None:
    found = own('name = "mine"\n[checks.MAX_SHARES]\nshares = 5\n')
    assert found.name == "mine"
    assert found.checks["MAX_SHARES"] == {**bundled().checks["MAX_SHARES"], "shares": 5}
    assert {**found.checks, "MAX_SHARES": None} == {**bundled().checks, "MAX_SHARES": None}


def test_the_hash_is_of_what_a_policy_says() -> None:
    first, same = own('name = "mine"'), own('# a comment\nname = "mine"\n[checks.MAX_SHARES]\nshares = 100_000')
    assert first.sha256 == same.sha256
    assert len(first.sha256) == 64
    others = [
        own('name = "yours"'),
        own('name = "mine"\n[checks.MAX_SHARES]\nshares = 99_999'),
        own('name = "mine"\nlongest_change_hours = 12'),
        own('name = "mine"\n[users.alice.MAX_SHARES]\nshares = 5'),
        own('name = "mine"\n[checks.RESTRICTED_LIST]\nsymbols = ["GME"]'),
        first.with_change(LimitChange("MAX_SHARES", "shares", 5, 10, "carol", "test", 1)),
    ]
    assert len({first.sha256, *(one.sha256 for one in others)}) == len(others) + 1
    assert first.title == f"mine {first.sha256[:12]}"


WRONG = [
    ("name = ,", 1, "not TOML"),
    ("[checks.MAX_SHARES]\nshares = 5", 1, "the name of the policy is None"),
    ('name = ""', 1, "the name"),
    ('name = "x"\nlimits = 5', 2, "no 'limits' in a policy"),
    ('name = "x"\n\n[checks.MAX_SHARE]\nshares = 5', 3, "no check 'MAX_SHARE'"),
    ('name = "x"\n[checks.MAX_SHARES]\nenabled = true\nshare = 5', 4, "MAX_SHARES has no 'share'"),
    ('name = "x"\n[checks.MAX_SHARES]\nshares = -5', 3, "no whole number of at least 0, not -5"),
    ('name = "x"\n[checks.MAX_SHARES]\nshares = 5.5', 3, "no whole number of at least 0, not 5.5"),
    ('name = "x"\n[checks.MAX_SHARES]\nshares = true', 3, "no whole number of at least 0, not True"),
    ('name = "x"\n[checks.MAX_SHARES]\nshares = "many"', 3, "no whole number"),
    ('name = "x"\n[checks.MAX_SHARES]\nenabled = "yes"', 3, "valid boolean, not 'yes'"),
    ('name = "x"\n[checks.MAX_SHARES]\nseverity = "fatal"', 3, "'blocking' or 'warning', not 'fatal'"),
    ('name = "x"\n[checks.MAX_SHARES]\nfail = { live = "open" }', 3, "MAX_SHARES has no 'fail'"),
    ('name = "x"\n[checks.NO_QUOTE]\nseverity = "warning"', 3, "NO_QUOTE has no 'severity'"),
    ('name = "x"\n[checks.NO_QUOTE]\nfail = { live = "ajar" }', 3, "'open' or 'closed', not 'ajar'"),
    ('name = "x"\n[checks.NO_QUOTE]\nfail = { paper = "open" }', 3, "no 'fail.paper'"),
    ('name = "x"\n[checks.MAX_NOTIONAL]\ndollars = 0.1', 3, 'write "0.1", so that it stays exact'),
    ('name = "x"\n[checks.MAX_NOTIONAL]\ndollars = "a lot"', 3, "it is no number, not 'a lot'"),
    ('name = "x"\n[checks.MAX_NOTIONAL]\ndollars = "NaN"', 3, "not between 0"),
    ('name = "x"\n[checks.MAX_NOTIONAL]\ndollars = "-1"', 3, "not between 0"),
    ('name = "x"\n[checks.MAX_NOTIONAL]\ndollars = "1e999999"', 3, "not between 0"),
    ('name = "x"\n[checks.MAX_NOTIONAL]\ndollars = "0.0000001"', 3, "finer than 6 decimals"),
    ('name = "x"\n[checks.MAX_NOTIONAL]\ndollars = "60_000_000"', 3, "$60,000,000, beyond its hard bound"),
    ('name = "x"\n[checks.MAX_NOTIONAL]\nhard = { dollars = "1" }', 2, "beyond its hard bound"),
    ('name = "x"\n[checks.DUPLICATE_ORDER]\nseconds = "0.05"', 3, "0.05 s, beyond its hard bound"),
    ('name = "x"\n[checks.MESSAGE_RATE]\nseconds = "3601"', 3, "more than 3,600 s"),
    ('name = "x"\n[checks.MESSAGE_RATE]\nhard = { messages = 10_001 }', 3, "more than 10,000"),
    ('name = "x"\n[checks.RESTRICTED_LIST]\nsymbols = ["A-A"]', 3, "'A-A' is no symbol"),
    ('name = "x"\n[checks.RESTRICTED_LIST]\nsymbols = "GME"', 3, "no list of names"),
    ('name = "x"\n[checks.UNAUTHORISED_USER]\nnameless = ["paper"]', 3, "no list of uses"),
    ('name = "x"\nchecks = 5', 2, "checks is no table"),
    ('name = "x"\n[checks]\nMAX_SHARES = 5', 3, "MAX_SHARES"),
    ('name = "x"\nlongest_change_hours = 0.5', 2, "longest_change_hours is 0.5"),
    ('name = "x"\n[users.alice.MAX_SHARE]\nshares = 5', 2, "no check 'MAX_SHARE'"),
    ('name = "x"\n[users.alice]\n\nMAX_SHARES.share = 5', 4, "MAX_SHARES has no 'share'"),
    ('name = "x"\n[users.alice.MAX_SHARES]\nshares = 2_000_000', 3, "beyond its hard bound"),
    ('name = "x"\n[users.alice.MAX_SHARES]\nhard = { shares = 5 }', 3, "MAX_SHARES has no 'hard"),
    ('name = "x"\n[users]\nalice = 5', 3, "alice is no table"),
    ('name = "x"\n[symbols."?".MAX_SHARES]\nshares = 5', 2, "'?' is no symbol"),
    ('name = "x"\n[symbols."brk b".MAX_SHARES]\nshares = -5', 3, "not -5"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_policy_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(BadInput) as refused:
        own(text)
    assert message in str(refused.value)
    assert f"line {line}" in str(refused.value)
    assert refused.value.remedy


def test_a_policy_of_its_own_needs_every_check() -> None:
    text = resources.files("quantdesk.orders.guardrails").joinpath("policy.toml").read_text(encoding="utf-8")
    assert parse(text, "policy.toml").to_dict() == bundled().to_dict()
    with pytest.raises(BadInput, match="the check SYMBOL_HALTED is missing"):
        parse(text.replace('[checks.SYMBOL_HALTED]\nenabled = true\nseverity = "blocking"\n', ""), "policy.toml")
    with pytest.raises(BadInput, match=r"line \d+: shares of MAX_SHARES: field required"):
        parse(text.replace("shares = 100_000\n", ""), "policy.toml")


def test_a_policy_is_read_from_a_file_and_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUANTDESK_GUARDRAILS", raising=False)
    assert in_force() is bundled()
    assert Guardrails().policy is bundled()
    file = tmp_path / "desk.toml"
    file.write_text('name = "desk"\n[checks.MAX_SHARES]\nshares = 7\n')
    monkeypatch.setenv("QUANTDESK_GUARDRAILS", str(file))
    assert in_force() == read(file)
    assert in_force().checks["MAX_SHARES"]["shares"] == 7
    with pytest.raises(BadInput, match=r"desk.toml, line 2: there is no check 'X'"):
        file.write_text('name = "desk"\n[checks.X]\n')
        read(file)
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "none.toml")
    file.write_bytes(b"\xff")
    with pytest.raises(BadInput, match="not UTF-8"):
        read(file)


# ---------------------------------------------------------------------------------------------------------- overrides

OVERRIDDEN = """
name = "desk"
[checks.MAX_SHARES]
shares = 1000
[users.alice.MAX_SHARES]
shares = 5000
[users.bob.MAX_SHARES]
shares = 500
[users.carol.MAX_SHARES]
enabled = false
[symbols.SPY.MAX_SHARES]
shares = 10_000
[symbols.GME.MAX_SHARES]
shares = 100
enabled = true
severity = "warning"
[symbols.GME.NO_QUOTE]
fail = { research = "closed" }
[checks.RESTRICTED_LIST]
symbols = ["XYZ"]
[users.bob.RESTRICTED_LIST]
symbols = ["GME"]
[symbols.GME.UNAUTHORISED_USER]
users = ["alice", "bob"]
[users.bob.DUPLICATE_ORDER]
seconds = "2"
[symbols.GME.DUPLICATE_ORDER]
seconds = "5"
"""


@pytest.mark.parametrize(
    ("user", "symbol", "shares"),
    [
        (None, "AAPL", 1000),
        ("dave", "AAPL", 1000),
        ("alice", "AAPL", 5000),
        ("bob", "AAPL", 500),
        (None, "SPY", 10_000),
        ("alice", "SPY", 5000),  # both say something: the stricter holds
        ("bob", "SPY", 500),
        ("alice", "GME", 100),
    ],
)
def test_an_override_takes_the_place_of_a_limit(user: str | None, symbol: str, shares: int) -> None:
    assert own(OVERRIDDEN).settings("MAX_SHARES", user, symbol)["shares"] == shares


def test_other_overrides() -> None:
    policy = own(OVERRIDDEN)
    assert policy.settings("MAX_SHARES", "carol", "AAPL")["enabled"] is False
    assert policy.settings("MAX_SHARES", "carol", "GME")["enabled"] is True  # the stricter
    assert policy.settings("MAX_SHARES", "alice", "GME")["severity"] == "warning"
    assert policy.settings("NO_QUOTE", None, "GME")["fail.research"] == "closed"
    assert policy.settings("NO_QUOTE", None, "GME")["fail.live"] == "closed"
    assert policy.settings("RESTRICTED_LIST", "bob", "AAPL")["symbols"] == {"XYZ", "GME"}  # a list only grows
    assert policy.settings("RESTRICTED_LIST", "alice", "AAPL")["symbols"] == {"XYZ"}
    assert policy.settings("UNAUTHORISED_USER", "dave", "GME")["users"] == {"alice", "bob"}
    assert policy.settings("DUPLICATE_ORDER", "bob", "GME")["seconds"] == 5 * SECOND  # of a span the longer is stricter
    with pytest.raises(UnknownName, match="MAX_SHARES"):
        policy.settings("MAX_SHARE")


def test_overrides_reach_the_checks(calm: Any) -> None:
    text = OVERRIDDEN.replace('name = "desk"', "").replace("symbols.GME", "symbols.AAPL")
    found = calm.found("MAX_SHARES", calm.order(shares=101), text)
    assert [(one.severity, one.limit) for one in found] == [("warning", "100 shares")]
    guardrails = calm.guardrails(text)
    assert guardrails.check(calm.order(user_id="carol"), calm.situation()).violations[0].code == "UNAUTHORISED_USER"
    assert "MAX_SHARES" in guardrails.check(calm.order(user_id="alice"), calm.situation()).checked


# --------------------------------------------------------------------------------------------------- temporary changes

CHANGE = LimitChange("MAX_SHARES", "shares", 500_000, 2 * HOUR, "carol", "block trade of the fund", HOUR)


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 4 * HOUR))
def test_a_change_holds_from_its_beginning_until_its_end(at: int) -> None:
    policy = bundled().with_change(CHANGE)
    expected = 500_000 if HOUR <= at < 2 * HOUR else 100_000
    assert policy.settings("MAX_SHARES", "alice", "AAPL", at)["shares"] == expected


def test_it_reverts_exactly_at_its_end_by_itself(calm: Any) -> None:
    change = replace(CHANGE, at=calm.at, until=calm.at + HOUR)
    guardrails = Guardrails(bundled().with_change(change))
    order = calm.order(shares=100_001)
    blocks = {}
    for at in (calm.at - 1, calm.at, calm.at + HOUR - 1, calm.at + HOUR, calm.at):
        situation = calm.situation(at=at, quotes=calm.quotes(at=at))
        codes = [one.code for one in guardrails.check(order, situation).violations]
        blocks[at] = "MAX_SHARES" in codes
    assert blocks == {calm.at - 1: True, calm.at: False, calm.at + HOUR - 1: False, calm.at + HOUR: True}
    assert bundled().changes == ()  # the policy itself is another one


def test_the_last_change_that_holds_counts() -> None:
    policy = bundled().with_change(CHANGE)
    policy = policy.with_change(replace(CHANGE, value=5, at=HOUR + 10, until=HOUR + 20))
    found = {at: policy.settings("MAX_SHARES", at=at)["shares"] for at in (0, HOUR, HOUR + 10, HOUR + 20, 2 * HOUR)}
    assert found == {0: 100_000, HOUR: 500_000, HOUR + 10: 5, HOUR + 20: 500_000, 2 * HOUR: 100_000}


def test_a_change_for_a_user_or_a_symbol_is_one_for_them() -> None:
    policy = own(OVERRIDDEN)
    mine = policy.with_change(replace(CHANGE, value=20_000, user="bob"))
    assert mine.settings("MAX_SHARES", "bob", "AAPL", HOUR)["shares"] == 20_000
    assert mine.settings("MAX_SHARES", "bob", "SPY", HOUR)["shares"] == 10_000  # still the stricter of both
    assert mine.settings("MAX_SHARES", "alice", "AAPL", HOUR)["shares"] == 5000
    about = policy.with_change(replace(CHANGE, value=20_000, symbol="aapl"))
    assert about.settings("MAX_SHARES", None, "AAPL", HOUR)["shares"] == 20_000
    assert about.settings("MAX_SHARES", None, "MSFT", HOUR)["shares"] == 1000
    everybody = policy.with_change(replace(CHANGE, value=20_000))
    assert everybody.settings("MAX_SHARES", None, "AAPL", HOUR)["shares"] == 20_000
    assert everybody.settings("MAX_SHARES", "bob", "AAPL", HOUR)["shares"] == 500  # the override stays


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"check": "MAX_SHARE"}, "Unknown check 'MAX_SHARE'"),
        ({"field": "enabled"}, "limit of MAX_SHARES"),
        ({"check": "RESTRICTED_LIST", "field": "symbols", "value": "GME"}, "limit of RESTRICTED_LIST"),
        ({"value": 1_000_001}, "beyond the hard bound"),
        ({"value": -1}, "no whole number"),
        ({"value": "many"}, "no whole number"),
        ({"check": "MESSAGE_RATE", "field": "seconds", "value": "0.5"}, "no hard bound"),
        ({"check": "MAX_NOTIONAL", "field": "dollars", "value": "0.1e-9"}, "finer"),
        ({"until": HOUR}, "Let it end after it begins, within 86,400 s"),
        ({"until": 26 * HOUR}, "within 86,400 s"),
        ({"by": ""}, "without a person"),
        ({"why": ""}, "without a person or a reason"),
        ({"user": "bob", "symbol": "GME"}, "Name one of them"),
        ({"symbol": "?"}, "no symbol"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message.replace("(", r"\(")):
        bundled().with_change(replace(CHANGE, **changes))


def test_a_limit_without_a_hard_bound_may_be_made_stricter() -> None:
    policy = bundled().with_change(replace(CHANGE, check="MESSAGE_RATE", field="seconds", value="2"))
    assert policy.settings("MESSAGE_RATE", at=HOUR)["seconds"] == 2 * SECOND


def test_a_change_is_a_value_for_the_ledger() -> None:
    assert LimitChange(**CHANGE.to_dict()) == CHANGE
    policy = bundled().with_change(CHANGE)
    assert policy.to_dict()["changes"] == [CHANGE.to_dict()]
    assert policy.epoch(0) != policy.epoch(HOUR) != policy.epoch(2 * HOUR)


def test_changes_come_back_from_a_ledger_without_those_that_are_over() -> None:
    later = replace(CHANGE, value=7, at=HOUR + 5, until=3 * HOUR)
    kept = [LimitChange(**one.to_dict()) for one in (CHANGE, later)]
    assert bundled().with_changes(kept, HOUR) == bundled().with_change(CHANGE).with_change(later)
    assert bundled().with_changes(kept, 2 * HOUR).changes == (later,)
    assert bundled().with_changes(kept, 3 * HOUR) == bundled()
    strict = own('name = "x"\n[checks.MAX_SHARES]\nhard = { shares = 200_000 }')
    assert strict.with_changes([CHANGE], 2 * HOUR) == strict  # over, so that nobody need mind
    with pytest.raises(BadInput, match="beyond the hard bound"):
        strict.with_changes([CHANGE], HOUR)


def test_every_limit_is_read_and_shown_in_its_unit() -> None:
    for one in CHECKS:
        for name, limit in one.limits.items():
            value = bundled().checks[one.code][name]
            assert limit.unit.show(value)
            assert limit.strictest(value, value) == value
    assert spec("PARTICIPATION").limits["of_volume"].unit.show(1_234_500) == "123.45 %"
