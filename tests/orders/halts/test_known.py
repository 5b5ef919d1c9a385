"""Halts that a caller declares."""

from __future__ import annotations

import subprocess
import sys

import pytest

from quantdesk.errors import BadInput
from quantdesk.orders import halts
from quantdesk.orders.halts.known import KnownHalts
from quantdesk.orders.halts.phases import Phase
from quantdesk.orders.halts.status import Status


def test_what_nothing_is_declared_of_trades_as_the_caller_says() -> None:
    assert KnownHalts().status("ABC", 0).status is Status.TRADING
    assert KnownHalts(otherwise=Status.UNKNOWN).status("ABC", 0).status is Status.UNKNOWN
    assert KnownHalts(source="scenario covid_2020").status("ABC", 0).source == "scenario covid_2020"
    with pytest.raises(BadInput, match="Everything would be halted"):
        KnownHalts(otherwise=Status.HALTED)


def test_windows_are_half_open_and_the_last_one_set_counts() -> None:
    known = KnownHalts()
    known.halt("brk b", 100, 200, code="LUDP")
    known.unknown("BRK.B", 150, 160)
    at = {moment: known.status("BRK.B", moment) for moment in (99, 100, 150, 160, 199, 200)}
    assert [str(one.status) for one in at.values()] == [
        "TRADING",
        "HALTED",
        "UNKNOWN",
        "HALTED",
        "HALTED",
        "TRADING",
    ]
    assert (at[100].halt_type, at[199].age_s) == ("LUDP", 99e-9)
    known.halt("XYZ", 5)
    assert known.status("XYZ", 10**18).is_halted


def test_a_halt_of_the_market_stops_every_symbol() -> None:
    known = KnownHalts()
    known.halt_market(100, 200, code="MWC2")
    known.unknown("ABC", 0)
    assert known.status("ABC", 150).halt_type == "MWC2"
    market = known.market_halt(100)
    assert market is not None
    assert (market.symbol, market.halt_type) == ("*", "MWC2")
    assert known.market_halt(99) is None
    assert known.market_halt(200) is None
    known.halt("ABC", 150, 160, code="H10")
    assert known.status("ABC", 155).halt_type == "H10"


def test_bands_and_phases() -> None:
    known = KnownHalts()
    known.band("ABC", 95_000_000, 105_000_000)
    known.band("ABC", 90_000_000, 110_000_000, 100, 200)
    assert [known.bands("ABC", at) for at in (0, 100, 200)] == [
        (95_000_000, 105_000_000),
        (90_000_000, 110_000_000),
        (95_000_000, 105_000_000),
    ]
    assert known.bands("XYZ", 0) is None
    known.set_phase(Phase.CLOSED, 100, 200)
    assert [known.phase("ABC", at) for at in (99, 100, 200)] == [Phase.CONTINUOUS, Phase.CLOSED, Phase.CONTINUOUS]


def test_names_of_the_room_are_there_and_light() -> None:
    for name in halts.__all__:
        assert getattr(halts, name) is not None
    assert dir(halts) == halts.__all__
    with pytest.raises(AttributeError, match="nothing_here"):
        halts.nothing_here  # noqa: B018
    heavy = "print([name for name in ('numpy', 'pandas', 'httpx') if name in sys.modules])"
    script = f"import sys, quantdesk.orders.halts.status; {heavy}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "call",
    [
        lambda h: h.halt("ABC", 5, 5),
        lambda h: h.halt_market(5, 4),
        lambda h: h.halt("A-B", 1),
        lambda h: h.band("ABC", 10, 10),
        lambda h: h.band("ABC", 1.5, 10),
        lambda h: h.band("ABC", -1, 10),
        lambda h: h.band("ABC", True, 10),
    ],
)
def test_what_cannot_be_declared_is_refused(call: object) -> None:
    with pytest.raises(BadInput):
        call(KnownHalts())  # type: ignore[operator]
