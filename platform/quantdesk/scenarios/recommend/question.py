"""Which scenario is asked about, which others choose, which judge, and which price. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from quantdesk.errors import BadInput

__all__ = ["Question"]


@dataclass(frozen=True)
class Question:
    """On what a change is chosen, judged and priced.

    Attributes
    ----------
    scenario
        In question; changes are always chosen on it.
    others
        The other crises.
    calm
        Calm windows, of which at least one is needed: a change without a price is not recommended.
    judged
        Those of the others that judge and do not choose. When None: of the others in the order of their names the
        first, the third, the fifth and so on.

    Raises
    ------
    BadInput
        A name that stands twice, no calm window, or a judge that is none of the others.
    """

    scenario: str
    others: tuple[str, ...]
    calm: tuple[str, ...]
    judged: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        names = [self.scenario, *self.others, *self.calm]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadInput(f"The scenario {twice[0]} stands twice.", "Give each one once: as crisis or as calm.")
        if not self.calm:
            raise BadInput("There is no calm window.", "Give one: else nobody knows what a change costs.")
        strange = sorted(set(self.judged or ()) - set(self.others))
        if strange:
            raise BadInput(f"{strange[0]} is to judge, and is none of the others.", "Choose among the others.")

    def split(self, usable: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Crises that choose, the one in question first, and crises that judge."""
        others = sorted(set(usable) & set(self.others))
        judges = others[::2] if self.judged is None else [name for name in others if name in self.judged]
        return (self.scenario, *(name for name in others if name not in judges)), tuple(judges)
