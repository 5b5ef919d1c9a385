"""A gateway that fails as it is told to: for tests of what stands before it. Pure.

It ships because whoever writes a desk, a broker adapter or a strategy of their own needs it as much as we do.

>>> from quantdesk.orders.venues import Fault, FaultyGateway
>>> gateway = FaultyGateway(market, {"send": [Fault.NONE, Fault.DROP_AFTER]})  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TypeVar

import numpy as np

from quantdesk.errors import BadInput, UnknownName
from quantdesk.orders.executions import Execution, ExecutionMode, Gateway, GatewayDown, Kind
from quantdesk.orders.order import Child
from quantdesk.orders.quotes import Quotes

__all__ = ["Fault", "FaultyGateway", "random_faults"]

T = TypeVar("T")
_CALLS = ("send", "cancel", "executions", "quotes", "open_children")


class Fault(StrEnum):
    """What goes wrong with one call."""

    NONE = "none"
    DROP_BEFORE = "drop_before"
    """The connection is refused: provably nothing was sent."""
    LOST = "lost"
    """It was sent, never arrived, and nobody answers."""
    DROP_AFTER = "drop_after"
    """It arrived and was acted on, and nobody answers."""
    DELAY = "delay"
    """It arrived and was acted on; the answer holds nothing yet, and a later question tells all."""
    DUPLICATE = "duplicate"
    """The answer tells every report twice."""
    NONSENSE = "nonsense"
    """The answer holds reports that cannot be: of another order, of shares and prices below 0."""


class FaultyGateway:
    """A gateway around another one.

    Parameters
    ----------
    gateway
        The one that works.
    faults
        By the name of the call: what happens to the first call, the second, and so on; after the last all is well.

    Raises
    ------
    UnknownName
        There is no such call.
    """

    def __init__(self, gateway: Gateway, faults: Mapping[str, Iterable[Fault]]) -> None:
        for name in faults:
            if name not in _CALLS:
                raise UnknownName("call", name, _CALLS)
        self._gateway = gateway
        self._faults: dict[str, Iterator[Fault]] = {name: iter(given) for name, given in faults.items()}

    @property
    def mode(self) -> ExecutionMode:
        """That of the gateway."""
        return self._gateway.mode

    def now(self) -> int:
        """The clock of the gateway, which never fails."""
        return self._gateway.now()

    def quotes(self, symbol: str) -> Quotes:
        """As the gateway says, or not at all."""
        answer, _ = self._through("quotes", lambda: self._gateway.quotes(symbol))
        return answer

    def send(self, child: Child) -> Sequence[Execution]:
        """As the gateway does, or as its fault has it."""
        return _garbled(*self._through("send", lambda: self._gateway.send(child)), child.client_id)

    def cancel(self, client_id: str) -> Sequence[Execution]:
        """As the gateway does, or as its fault has it."""
        return _garbled(*self._through("cancel", lambda: self._gateway.cancel(client_id)), client_id)

    def executions(self, client_id: str) -> Sequence[Execution] | None:
        """As the gateway says, or as its fault has it."""
        answer, fault = self._through("executions", lambda: self._gateway.executions(client_id))
        return answer if answer is None else _garbled(answer, fault, client_id)

    def open_children(self) -> Sequence[str]:
        """As the gateway says, or not at all."""
        answer, _ = self._through("open_children", self._gateway.open_children)
        return answer

    def _through(self, name: str, call: Callable[[], T]) -> tuple[T, Fault]:
        fault = next(self._faults.get(name, iter(())), Fault.NONE)
        if fault is Fault.DROP_BEFORE:
            raise GatewayDown(f"{name}: the connection was refused.", sent=False)
        if fault is Fault.LOST:
            raise GatewayDown(f"{name}: no answer.", sent=True)
        answer = call()
        if fault is Fault.DROP_AFTER:
            raise GatewayDown(f"{name}: no answer.", sent=True)
        return answer, fault


def _garbled(answer: Sequence[Execution], fault: Fault, client_id: str) -> Sequence[Execution]:
    if fault is Fault.DELAY:
        return ()
    if fault is Fault.DUPLICATE:
        return [report for one in answer for report in (one, one)]
    if fault is Fault.NONSENSE:
        at = answer[0].at if answer else 0
        strange = Execution(f"{client_id}:?", client_id, Kind.FILL, at, "nowhere", -100, -1, 0, "remove")
        return [replace(strange, execution_id="?", client_id="somebody else's", shares=1, price=1), strange]
    return answer


def random_faults(rng: np.random.Generator, probability: float, calls: int = 1000) -> dict[str, list[Fault]]:
    """Faults drawn by chance: each call fails with a probability, in any of the ways.

    Parameters
    ----------
    rng
        Where chance comes from.
    probability
        From 0 to 1.
    calls
        How many calls of each kind are drawn; later ones work.

    Raises
    ------
    BadInput
        A probability that is none.
    """
    if not 0 <= probability <= 1:
        raise BadInput(f"The probability {probability!r}.", "Give a number from 0 to 1.")
    bad = [fault for fault in Fault if fault is not Fault.NONE]
    fails = rng.random((len(_CALLS), calls)) < probability
    ways = rng.integers(len(bad), size=fails.shape)
    return {
        name: [
            bad[way] if fail else Fault.NONE for fail, way in zip(fails[row].tolist(), ways[row].tolist(), strict=True)
        ]
        for row, name in enumerate(_CALLS)
    }
