"""Rules are data: a file of the desk's own is laid over the bundled one, and what is wrong in it is named."""

from __future__ import annotations

import json

import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.alerts import AlertRules, Watch, bundled, in_force, parse, read
from quantdesk.orders.alerts.catalogue import CONDITIONS
from quantdesk.orders.amounts import MICRO

NEW = """
[rules.SMALL_LOSS]
condition = "day_loss"
severity = "info"
of_equity = 0.001
about = "A thousandth."
runbook = "Nothing."
"""


def test_the_bundled_rules_watch_everything_that_there_is():
    rules = bundled()
    assert {rule.condition for rule in rules} == set(CONDITIONS)
    assert {"DRAWDOWN", "VENUE_DOWN", "KILLED", "STALE_QUOTES", "MARKET_HALT", "ORDER_FLOOD"} <= set(rules.rules)
    assert len(rules) == len(rules.rules) == 26
    assert all(rule.enabled and rule.about.endswith(".") and rule.runbook.endswith(".") for rule in rules)
    assert rules.title.startswith("quantdesk defaults ")
    json.dumps(rules.to_dict(), allow_nan=False)


def test_an_overlay_says_what_differs(seen):
    rules = parse("[rules.DAY_LOSS]\nof_equity = 0.01\nseverity = 'critical'\nfor_s = 5" + NEW, "mine", bundled())
    changed, before = rules["DAY_LOSS"], bundled()["DAY_LOSS"]
    assert (changed.limit, changed.severity, changed.for_s) == ({"of_equity": 0.01}, "critical", 5)
    assert (changed.about, changed.condition) == (before.about, before.condition)
    assert before.limit == {"of_equity": 0.03}, "the bundled ones stay"
    assert [rule.rule_id for rule in rules] == [*bundled().rules, "SMALL_LOSS"]
    assert rules.sha256 != bundled().sha256
    assert rules["DRAWDOWN"] == bundled()["DRAWDOWN"]
    fired = Watch(rules).look(seen(0, equity=99_900 * MICRO))
    assert [alert.rule for alert in fired] == ["SMALL_LOSS"]


def test_a_rule_may_watch_something_else_or_be_switched_off():
    whole = 'condition = "cash_negative"\nseverity = "info"\ndollars = 5\nabout = "a"\nrunbook = "b"'
    rules = parse(f'name = "ours"\n[rules.DAY_LOSS]\n{whole}\n[rules.HALTED]\nenabled = false', "mine", bundled())
    assert rules.name == "ours"
    assert rules["DAY_LOSS"].limit == {"dollars": 5}
    assert not rules["HALTED"].enabled
    with pytest.raises(BadInput, match=r"\[rules.DAY_LOSS\]: The new alert rule DAY_LOSS has no severity"):
        parse('[rules.DAY_LOSS]\ncondition = "cash_negative"', "mine", bundled())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("= 1", "mine is not TOML"),
        ("colour = 1", "there is no 'colour' in alert rules"),
        ("name = ''", "the name of the rules is ''"),
        ("name = 3", "the name of the rules is 3"),
        ("rules = 3", "rules is no table of tables"),
        ("[rules]\nDRAWDOWN = 3", "rules is no table of tables"),
        (
            "[rules.DRAWDOWN]\nof_peak = 2",
            r"\[rules.DRAWDOWN\]: of_peak of the alert rule DRAWDOWN: 2 of 1 is not from",
        ),
        ("[rules.DRAWDOWN]\nof_peak = 0", "0 of 1 is not from"),
        ("[rules.DRAWDOWN]\nof_peak = nan", "nan is no finite number"),
        ("[rules.DRAWDOWN]\nof_peak = true", "True is no finite number"),
        ("[rules.DRAWDOWN]\nof_peak = '0.1'", "'0.1' is no finite number"),
        ("[rules.DRAWDOWN]\nof_peek = 0.1", r"number of DRAWDOWN \(drawdown\) 'of_peek'. Did you mean of_peak"),
        ("[rules.DRAWDOWN]\nseverity = 'bad'", "severity of the alert rule DRAWDOWN: 'bad' is none"),
        ("[rules.DRAWDOWN]\nfor_s = -1", "for_s of the alert rule DRAWDOWN: -1 is no number of seconds"),
        ("[rules.DRAWDOWN]\nagain_s = inf", "inf is no number of seconds"),
        ("[rules.DRAWDOWN]\nclear_s = true", "True is no number of seconds"),
        ("[rules.DRAWDOWN]\nabout = ' '", "' ' is no sentence"),
        ("[rules.DRAWDOWN]\nenabled = 1", "enabled of the alert rule DRAWDOWN: 1 is no truth value"),
        ("[rules.NEW]\nseverity = 'info'", "The new alert rule NEW has no condition"),
        (NEW.replace("day_loss", "day_lost"), "condition of an alert rule 'day_lost'. Did you mean day_loss"),
        (NEW.replace("of_equity = 0.001", ""), "of_equity of the alert rule SMALL_LOSS: it is missing"),
    ],
)
def test_what_is_wrong_is_named(text, words):
    with pytest.raises(BadInput, match=words):
        parse(text, "mine", bundled())


def test_a_rule_that_is_not_there():
    with pytest.raises(UnknownName, match=r"alert rule 'DRAWDON'\. Did you mean DRAWDOWN"):
        bundled()["DRAWDON"]


def test_the_file_that_is_in_force(tmp_path, monkeypatch):
    monkeypatch.delenv("QUANTDESK_ALERTS", raising=False)
    assert in_force() is bundled()
    path = tmp_path / "alerts.toml"
    path.write_text(NEW)
    monkeypatch.setenv("QUANTDESK_ALERTS", str(path))
    assert "SMALL_LOSS" in in_force().rules
    path.write_bytes(b"\xff")
    with pytest.raises(BadInput, match="it is not UTF-8 text"):
        in_force()
    with pytest.raises(BadInput, match="No such file"):
        read(tmp_path / "nothing.toml")


def test_names_that_are_not_there():
    import quantdesk.orders.alerts as package

    assert all(getattr(package, name) is not None for name in package.__all__)
    assert dir(package) == package.__all__
    with pytest.raises(AttributeError, match="has no attribute 'nosuch'"):
        package.nosuch  # noqa: B018


def test_rules_without_a_base():
    rules = parse('name = "mine"' + NEW, "mine")
    assert isinstance(rules, AlertRules)
    assert list(rules.rules) == ["SMALL_LOSS"]
    with pytest.raises(BadInput, match="the name of the rules is None"):
        parse(NEW, "mine")
