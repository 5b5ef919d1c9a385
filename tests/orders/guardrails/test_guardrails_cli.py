"""``quantdesk guardrails``: what it asks, what it shows, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from quantdesk.cli.guardrails import app
from quantdesk.errors import BadInput
from quantdesk.orders.guardrails import bundled

NOON = ("--at", "2026-03-02T12:00")
KNOWN = (
    "--symbol", "aapl", "--bid", "99.99", "--ask", "100.01", "--status", "trading", "--bands", "95:105",
    "--previous-close", "100", "--volume", "50000000", "--unrestricted", "--user", "alice", "--use", "live", *NOON,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_policy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUANTDESK_GUARDRAILS", raising=False)
    monkeypatch.delenv("QUANTDESK_RULEBOOK", raising=False)


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def answer(*arguments: str) -> tuple[int, Any]:
    code, output = run("check", *arguments, "--json")
    return code, json.loads(output)


def test_a_good_order_is_allowed_live() -> None:
    code, said = answer(*KNOWN, "--action", "buy", "--shares", "100")
    assert code == 0
    assert said["allowed"] is True
    assert said["violations"] == []
    assert len(said["checked"]) == 27
    assert said["order"]["symbol"] == "AAPL"
    assert said["phase"] == "continuous"
    assert said["at"] == "2026-03-02T12:00:00-05:00"


def test_a_blocked_order_ends_with_6() -> None:
    code, said = answer(*KNOWN, "--action", "buy", "--shares", "200000", "--cash", "1000000000")
    assert code == 6
    assert [one["code"] for one in said["violations"]] == ["MAX_SHARES", "MAX_NOTIONAL"]
    assert said["violations"][0]["limit"] == "100,000 shares"
    assert said["violations"][0]["value"] == "200,000 shares"
    code, text = run("check", *KNOWN, "--action", "buy", "--shares", "200000", "--cash", "1000000000")
    assert code == 6
    assert text.startswith("✗ blocked · buy 200,000 AAPL market · live · continuous, 2026-03-02 12:00 EST\n")
    assert "✗ blocks\tMAX_SHARES\tAn order of 200,000 shares; 100,000 shares are allowed.\t15c3-5(c)(1)(ii)" in text
    assert "25 of 27 checks passed · policy quantdesk defaults " in text


def test_what_is_not_given_is_not_known() -> None:
    plain = ("--symbol", "AAPL", "--action", "buy", "--shares", "100", *NOON)
    code, said = answer(*plain)
    unknown = {one["code"] for one in said["violations"] if one["value"] == "unknown"}
    assert code == 0
    assert {"HALT_STATUS_UNKNOWN", "NO_QUOTE", "PARTICIPATION"} <= unknown
    assert {one["severity"] for one in said["violations"]} == {"warning"}
    code, said = answer(*plain, "--use", "live")
    assert code == 6
    code, text = run("check", *plain)
    assert text.startswith("✓ allowed")
    assert "! warns\tNO_QUOTE" in text


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        (("--action", "sell", "--shares", "100", "--position", "AAPL=100"), []),
        (("--action", "sell", "--shares", "100", "--position", "AAPL=50"), ["ORDER_MARKING"]),
        (("--action", "sell_short", "--shares", "100", "--restricted"), ["SHORT_SALE_RESTRICTION"]),
        (("--action", "buy", "--shares", "100", "--limit-price", "106"), ["PRICE_COLLAR", "LULD_BAND"]),
        (("--action", "buy", "--shares", "100", "--stop-price", "99"), ["PRICE_COLLAR"]),
        (("--action", "buy", "--shares", "100", "--stop-price", "101", "--limit-price", "102"), []),
        (("--action", "buy", "--shares", "100", "--market-halted"), ["CIRCUIT_BREAKER"]),
        (("--action", "buy", "--shares", "100", "--status", "halted"), ["SYMBOL_HALTED"]),
        (("--action", "buy", "--shares", "100", "--bid", "100.02"), ["CROSSED_MARKET"]),
        (("--action", "buy", "--shares", "100", "--cash", "10000"), ["CONCENTRATION"]),
        (("--action", "buy", "--shares", "100", "--cash", "100000", "--day-pnl", "-6000"), ["DAILY_LOSS"]),
        (("--action", "buy", "--shares", "100", "--position", "MSFT=5000@410.20", "--cash", "-1100000"),
         ["GROSS_EXPOSURE", "NET_EXPOSURE"]),
        (("--action", "buy", "--shares", "100", "--position", "MSFT=50"),
         ["CONCENTRATION", "GROSS_EXPOSURE", "NET_EXPOSURE", "DAILY_LOSS"]),  # at what price?
        (("--action", "buy", "--shares", "100", "--at", "2026-03-02T09:00"), ["AUCTION_PERIOD"]),
        (("--action", "buy", "--shares", "100", "--at", "2026-03-01T12:00:00-05:00"), ["AUCTION_PERIOD"]),
    ],
)  # fmt: skip
def test_what_is_given_is_asked_about(arguments: tuple[str, ...], codes: list[str]) -> None:
    _, said = answer(*KNOWN, *arguments)
    assert [one["code"] for one in said["violations"]] == codes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--position", "AAPL"), "no position"),
        (("--position", "AAPL=1.5"), "no position"),
        (("--position", "?=5"), "no position"),
        (("--bands", "95"), "no bands"),
        (("--status", "open"), "no status 'open'"),
        (("--at", "noon"), "no moment"),
        (("--cash", "much"), "no price"),
        (("--use", "paper"), "no use 'paper'"),
        (("--order-type", "limit"), "no limit price"),
        (("--exchange", "XXXX"), "XXXX"),
    ],
)
def test_wrong_input_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        run("check", *KNOWN, "--action", "buy", "--shares", "100", *arguments)


def test_now_is_the_moment_where_none_is_given() -> None:
    code, _ = answer("--symbol", "AAPL", "--action", "buy", "--shares", "100", "--cash", "0")
    assert code == 0


def test_a_policy_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "desk.toml"
    file.write_text('name = "desk"\n[checks.MAX_SHARES]\nshares = 50\n[users.bob.MAX_SHARES]\nshares = 5\n')
    code, said = answer(*KNOWN, "--action", "buy", "--shares", "100", "--policy", str(file))
    assert code == 6
    assert said["violations"][0]["limit"] == "50 shares"
    assert said["policy"].startswith("desk ")
    code, text = run("explain", "--policy", str(file), "--user", "bob", "--symbol", "aapl")
    assert code == 0
    assert "\nMAX_SHARES\t✗ blocks\t5 shares\t\t\t15c3-5(c)(1)(ii)\n" in text


def test_explain_shows_the_policy() -> None:
    code, text = run("explain")
    assert code == 0
    assert text.splitlines()[0] == "check\tdoes\tlimits\tunknown\treducing\tserves"
    assert "DAILY_LOSS\t✗ blocks\t$500,000, 5 % of equity\twarns / blocks\tpass\t15c3-5(c)(1)(i)" in text
    assert "NO_QUOTE\t? if unknown\t\twarns / blocks\t\t15c3-5(c)(1)(ii)" in text
    code, output = run("explain", "--json")
    said = json.loads(output)
    assert said["sha256"] == bundled().sha256
    assert len(said["checks"]) == 27


def test_explain_shows_one_check_in_full(tmp_path: Path) -> None:
    code, text = run("explain", "price_collar")
    assert code == 0
    assert "hard bound\taway 20 %, spread 20 %" in text
    assert "serves\t15c3-5(c)(1)(ii); FIA 2024: price tolerance" in text
    code, output = run("explain", "MAX_SHARES", "--json")
    assert [one["code"] for one in json.loads(output)["checks"]] == ["MAX_SHARES"]
    with pytest.raises(BadInput, match="Did you mean MAX_SHARES"):
        run("explain", "MAX_SHARE")
    file = tmp_path / "desk.toml"
    file.write_text('name = "desk"\n[checks.MAX_SHARES]\nenabled = false\n')
    assert "does\t· off" in run("explain", "max_shares", "--policy", str(file))[1]
