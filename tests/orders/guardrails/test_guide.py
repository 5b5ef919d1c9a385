"""The guide is true: its Python runs and gives what it says, its policy can be read, its table is complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from quantdesk.orders.guardrails import bundled, parse
from quantdesk.orders.guardrails.catalogue import CHECKS

GUIDE = (Path(__file__).parents[3] / "docs" / "how-to" / "set-guardrails.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, flags=re.DOTALL)


def test_its_python_gives_what_it_says(calm: Any) -> None:
    held: dict[str, Any] = {}
    for code in blocks("python"):
        exec(compile(code, "guide", "exec"), held)
    found = {one.code: (one.limit, one.value) for one in held["decision"].blocking}
    assert found == {"CONCENTRATION": ("25 %", "38 %")}
    assert held["decision"].warnings
    order = calm.order(shares=200_000)
    situation = calm.situation(at=held["now"], quotes=calm.quotes(at=held["now"]))
    assert "MAX_SHARES" not in [one.code for one in held["guardrails"].check(order, situation).violations]
    assert len(held["kills"]) == 1


def test_its_policy_can_be_read() -> None:
    (text,) = blocks("toml")
    policy = parse(text, "guide.toml", bundled())
    assert policy.settings("MAX_SHARES", "alice", "SPY")["shares"] == 100_000


def test_its_table_names_every_check_and_what_lets_risk_reducing_orders_pass() -> None:
    table = "\n".join(line for line in GUIDE.splitlines() if line.startswith("|"))
    assert dict(re.findall(r"`([A-Z_]+)`( ↓)?", table)) == {one.code: " ↓" if one.lets_reduce else "" for one in CHECKS}
