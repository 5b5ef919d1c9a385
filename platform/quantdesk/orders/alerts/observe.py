"""An observation of a live desk. An edge module: it asks the desk, its ledger and its gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from quantdesk.errors import UnknownName
from quantdesk.orders.alerts.observation import Observation, Shown
from quantdesk.orders.desk.desk import Desk

__all__ = ["Surroundings", "observe_desk"]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a desk does not know by itself.

    Attributes
    ----------
    symbols
        To be watched besides those that are held.
    shown
        What the market shows, by symbol, where somebody has just looked; asked of the gateway when None.
    marks
        Micro-dollars a share at which positions are valued; where there is none, the midpoint of what is shown, and
        without one the last mark of the account.
    sectors, normal_spreads, value_at_risk
        See :class:`Observation`.
    """

    symbols: tuple[str, ...] = ()
    shown: Mapping[str, Shown] | None = None
    marks: Mapping[str, int] = field(default_factory=dict)
    sectors: Mapping[str, str] = field(default_factory=dict)
    normal_spreads: Mapping[str, float] = field(default_factory=dict)
    value_at_risk: int | None = None


def observe_desk(desk: Desk, around: Surroundings | None = None, *, after: int = 0) -> Observation:
    """Look at a desk.

    Parameters
    ----------
    desk
        Which. Nobody else works on it meanwhile.
    around
        What it does not know by itself.
    after
        The number of the last entry of the ledger that was shown already: ``watch.seq``.

    Returns
    -------
    Observation
        Positions that nothing values count for nothing in the equity.
    """
    around = around or Surroundings()
    with desk.alone():
        at, world, account = desk.world.now(), desk.world, desk.portfolio
        held = [(symbol, position) for symbol, position in account if position.shares]
        symbols = list(dict.fromkeys([*(symbol for symbol, _ in held), *around.symbols]))
        shown, down = (around.shown, "") if around.shown is not None else _shown(desk, symbols)
        marks = {symbol: _mark(symbol, position.mark, around, shown) for symbol, position in held}
        entries, last = [], after
        for one in desk.ledger.entries(after=after):
            last = one.seq
            if one.mode in (None, desk.mode):
                entries.append(one)
        return Observation(
            at=at,
            equity=account.cash + sum(position.shares * marks[symbol] for symbol, position in held),
            cash=account.cash,
            positions={symbol: position.shares for symbol, position in held},
            marks=marks,
            equity_at_start=account.equity_at_start if account.day is not None else 0,
            entries=entries,
            seq=last,
            shown=shown,
            halts={symbol: world.halts.status(symbol, at) for symbol in symbols},
            market_halt=world.halts.market_halt(at),
            in_session=not symbols or world.halts.phase(symbols[0], at).trades,
            down=down,
            sectors=around.sectors,
            normal_spreads=around.normal_spreads,
            value_at_risk=around.value_at_risk,
        )


def _shown(desk: Desk, symbols: Iterable[str]) -> tuple[dict[str, Shown], str]:
    """What the gateway shows, and why it cannot be asked."""
    found, down = {}, ""
    for symbol in symbols:
        try:
            quotes = desk.world.shown(symbol)
        except UnknownName:
            continue  # it is held, and not traded there: its halts are known all the same
        if quotes is None:
            down = down or f"no quotes of {symbol}."
        else:
            found[symbol] = Shown.of(quotes)
    return found, down


def _mark(symbol: str, last: int, around: Surroundings, shown: Mapping[str, Shown]) -> int:
    given = around.marks.get(symbol, 0)
    if given or symbol not in shown:
        return given or last
    return shown[symbol].midpoint or last
