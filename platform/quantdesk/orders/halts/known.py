"""Halts that the caller declares: for scenarios, simulated venues and tests. Pure.

Nothing here was observed. Statuses, bands, halts of the market and phases are what somebody set by hand or what a
scenario generated, and whoever shows them says so; every status names its ``source``, which is ``declared`` unless the
caller gives another.
"""

from __future__ import annotations

from quantdesk.errors import BadInput
from quantdesk.orders.halts.phases import Phase
from quantdesk.orders.halts.status import HaltStatus, Status
from quantdesk.orders.symbols import canonical

__all__ = ["FOREVER", "KnownHalts"]

FOREVER = 2**63 - 1
"""The end of a window that has none."""


class KnownHalts:
    """Implements :class:`~quantdesk.orders.halts.status.Halts` from windows set by hand.

    Windows are half open, ``[since, until)``, in nanoseconds since 1970 (UTC). Where several hold, the one set last
    is told.

    Parameters
    ----------
    otherwise
        What a symbol is outside of all windows: TRADING, as the caller declares, or UNKNOWN.
    phase
        The phase of the day outside of all windows.
    source
        What the statuses name as their source.

    Examples
    --------
    >>> halts = KnownHalts()
    >>> halts.halt("ABC", since=100, until=200, code="LUDP")
    >>> [str(halts.status("ABC", at).status) for at in (99, 100, 199, 200)]
    ['TRADING', 'HALTED', 'HALTED', 'TRADING']
    """

    def __init__(
        self, *, otherwise: Status = Status.TRADING, phase: Phase = Phase.CONTINUOUS, source: str = "declared"
    ) -> None:
        if otherwise is Status.HALTED:
            raise BadInput("Everything would be halted.", "Give TRADING or UNKNOWN, and declare the halts.")
        self._otherwise = otherwise
        self._phase = phase
        self._source = source
        self._statuses: dict[str, list[tuple[int, int, Status, str, str]]] = {}
        self._market: list[tuple[int, int, str, str]] = []
        self._bands: dict[str, list[tuple[int, int, tuple[int, int]]]] = {}
        self._phases: list[tuple[int, int, Phase]] = []

    def halt(self, symbol: str, since: int, until: int = FOREVER, *, code: str = "T1", message: str = "") -> None:
        """A symbol is halted in a window.

        Raises
        ------
        BadInput
            The window is empty, or the symbol is none.
        """
        text = message or f"{symbol} is halted ({code})."
        self._statuses.setdefault(canonical(symbol), []).append((*_window(since, until), Status.HALTED, code, text))

    def unknown(self, symbol: str, since: int, until: int = FOREVER, *, message: str = "") -> None:
        """Whether a symbol trades is not known in a window."""
        text = message or f"Whether {symbol} trades is not known."
        self._statuses.setdefault(canonical(symbol), []).append((*_window(since, until), Status.UNKNOWN, "", text))

    def halt_market(self, since: int, until: int = FOREVER, *, code: str = "MWC1", message: str = "") -> None:
        """The whole market is halted in a window: every symbol with it."""
        text = message or f"The whole market is halted ({code})."
        self._market.append((*_window(since, until), code, text))

    def band(self, symbol: str, lower: int, upper: int, since: int = 0, until: int = FOREVER) -> None:
        """A symbol has these price bands in a window; micro-dollars.

        Raises
        ------
        BadInput
            The bands are no whole numbers, or the lower is not below the upper.
        """
        if any(isinstance(price, bool) or not isinstance(price, int) for price in (lower, upper)) or not (
            0 <= lower < upper
        ):
            raise BadInput(f"Bands of {lower!r} and {upper!r}.", "Give whole micro-dollars, the lower one first.")
        self._bands.setdefault(canonical(symbol), []).append((*_window(since, until), (lower, upper)))

    def set_phase(self, phase: Phase, since: int, until: int = FOREVER) -> None:
        """The day is in a phase in a window, for every symbol."""
        self._phases.append((*_window(since, until), Phase(phase)))

    def status(self, symbol: str, at: int) -> HaltStatus:
        """Whether a symbol trades; a halt of the market stops it too."""
        market = self.market_halt(at)
        name = canonical(symbol)
        for since, until, status, code, text in reversed(self._statuses.get(name, ())):
            if since <= at < until and (market is None or status is Status.HALTED):
                return HaltStatus(name, status, code, text, self._source, (at - since) / 1e9)
        if market is not None:
            return HaltStatus(name, Status.HALTED, market.halt_type, market.message, self._source, market.age_s)
        return HaltStatus(name, self._otherwise, "", f"No halt of {name} is declared.", self._source, 0.0)

    def market_halt(self, at: int) -> HaltStatus | None:
        """The declared halt of the whole market, or None."""
        for since, until, code, text in reversed(self._market):
            if since <= at < until:
                return HaltStatus("*", Status.HALTED, code, text, self._source, (at - since) / 1e9)
        return None

    def bands(self, symbol: str, at: int) -> tuple[int, int] | None:
        """The declared bands, or None."""
        for since, until, bands in reversed(self._bands.get(canonical(symbol), ())):
            if since <= at < until:
                return bands
        return None

    def phase(self, symbol: str, at: int) -> Phase:  # noqa: ARG002 (one phase for all)
        """The declared phase."""
        for since, until, phase in reversed(self._phases):
            if since <= at < until:
                return phase
        return self._phase


def _window(since: int, until: int) -> tuple[int, int]:
    if since >= until:
        raise BadInput(f"The window from {since} to {until} is empty.", "Give an end after its beginning.")
    return since, until
