"""Kill switches: who stopped what, why and when. Pure.

A switch is a value like everything that guardrails are asked about. The desk keeps it in its ledger, so that it is
still thrown after a restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from quantdesk.errors import BadInput
from quantdesk.orders.symbols import canonical

__all__ = ["Kill", "Kills", "Scope"]

Scope = Literal["all", "user", "symbol"]


@dataclass(frozen=True, slots=True)
class Kill:
    """One switch that was thrown.

    Attributes
    ----------
    scope, name
        What is stopped: ``all`` (without a name), a ``user``, or a ``symbol``.
    by, why
        Who threw it, and the reason.
    at
        When: nanoseconds since 1970 (UTC).

    Raises
    ------
    BadInput
        A scope that does not exist, a name that is missing or too many, nobody, or no reason.
    """

    scope: Scope
    name: str
    by: str
    why: str
    at: int

    def __post_init__(self) -> None:
        if self.scope not in ("all", "user", "symbol"):
            raise BadInput(f"There is no scope {self.scope!r}.", "Give all, user or symbol.")
        if (self.scope == "all") == bool(self.name):
            raise BadInput(f"A kill switch for {self.scope} has the name {self.name!r}.",
                           "Name the user or the symbol; leave the name of all empty.")  # fmt: skip
        if self.scope == "symbol":
            object.__setattr__(self, "name", canonical(self.name))
        if not self.by or not self.why:
            raise BadInput("A kill switch without a person or a reason.", "Say who throws it, and why.")

    def to_dict(self) -> dict[str, Any]:
        """Text and whole numbers; the arguments of another one like it."""
        return asdict(self)


class Kills:
    """The switches that are thrown. A value: :meth:`thrown` and :meth:`lifted` give new ones.

    Parameters
    ----------
    active
        One for each scope and name; of several, the first stays, because it says since when.
    """

    __slots__ = ("_by",)

    def __init__(self, active: tuple[Kill, ...] = ()) -> None:
        self._by: dict[tuple[str, str], Kill] = {}
        for kill in active:
            self._by.setdefault((kill.scope, kill.name), kill)

    def thrown(self, kill: Kill) -> Kills:
        """The same with one more."""
        return Kills((*self, kill))

    def lifted(self, scope: Scope, name: str = "") -> Kills:
        """The same without one.

        Raises
        ------
        BadInput
            It is not thrown.
        """
        key = (scope, canonical(name) if scope == "symbol" else name)
        if key not in self._by:
            about = f" for {name}" if name else ""
            raise BadInput(f"The kill switch of {scope}{about} is not thrown.", "See which ones are.")
        return Kills(tuple(kill for kill in self if (kill.scope, kill.name) != key))

    def of(self, user: str | None, symbol: str) -> tuple[Kill, ...]:
        """Those that stop an order of a user in a symbol."""
        if not self._by:
            return ()
        asked = (("all", ""), ("user", user or ""), ("symbol", symbol))
        return tuple(self._by[key] for key in asked if key in self._by)

    def __iter__(self) -> Iterator[Kill]:
        yield from self._by.values()

    def __len__(self) -> int:
        return len(self._by)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kills) and self._by == other._by

    def __hash__(self) -> int:
        return hash(frozenset(self._by))

    def __repr__(self) -> str:
        return f"Kills({', '.join(f'{kill.scope} {kill.name}'.strip() for kill in self)})"
