"""What runs a scenario with settings, and what is kept of every run. Pure, but for the runner that is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quantdesk.errors import QuantdeskError
from quantdesk.scenarios.recommend.figures import Figures, Told, figures_of
from quantdesk.scenarios.recommend.sizes import Sizes
from quantdesk.scenarios.recommend.space import Change
from quantdesk.scenarios.run.config import RunConfig

__all__ = ["Batch", "Run", "Runs", "Unrun", "one_by_one"]

Run = Callable[[str, RunConfig], Told]
"""From a scenario's name and settings to a result."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Many runs at once, for instance on a grid.

    Attributes
    ----------
    call
        From pairs of a scenario's name and settings to the results in the same order; a run that could not be made
        gives its error instead.
    """

    call: Callable[[Sequence[tuple[str, RunConfig]]], Sequence[Told | QuantdeskError]]


@dataclass(frozen=True, slots=True)
class Unrun:
    """There are no figures.

    Attributes
    ----------
    why
        In words.
    failed
        Whether the strategy ended early; else the scenario cannot price the change.
    """

    why: str
    failed: bool = False


def one_by_one(run: Run) -> Batch:
    """Runs one after the other."""

    def call(cases: Sequence[tuple[str, RunConfig]]) -> list[Told | QuantdeskError]:
        found: list[Told | QuantdeskError] = []
        for scenario, config in cases:
            try:
                found.append(run(scenario, config))
            except QuantdeskError as error:
                found.append(error)
        return found

    return Batch(call)


class Runs:
    """All runs of a search, each made once.

    Parameters
    ----------
    batch
        Runs them.
    base
        The settings without a change.
    sizes
        Of hedges.
    """

    def __init__(self, batch: Batch, base: RunConfig, sizes: Sizes | None) -> None:
        self._batch, self._base, self._sizes = batch, base, sizes
        self._found: dict[tuple[str, Change], Figures | Unrun] = {}
        self._quantities: dict[tuple[str, Change], dict[str, float]] = {}
        self.made = 0

    def take(self, cases: Sequence[tuple[str, Change]]) -> None:
        """Run what was not run yet."""
        new = [case for case in dict.fromkeys(cases) if case not in self._found]
        ready: list[tuple[tuple[str, Change], RunConfig]] = []
        for case in new:
            try:
                ready.append((case, case[1].apply(self._base, self._sized(*case))))
            except QuantdeskError as error:
                self._found[case] = Unrun(str(error))
        results = self._batch.call([(case[0], config) for case, config in ready]) if ready else ()
        for (case, _), result in zip(ready, results, strict=True):
            self._found[case] = _kept(result)
        self.made += len(ready)

    def quantities(self, scenario: str, change: Change) -> dict[str, float]:
        """Of the hedges of a change in a scenario; empty where they could not be sized."""
        return self._quantities.get((scenario, change), {})

    def get(self, scenario: str, change: Change) -> Figures | Unrun | None:
        """The figures; None where it was not run."""
        return self._found.get((scenario, change))

    def _sized(self, scenario: str, change: Change) -> dict[str, float]:
        sized: dict[str, float] = {}
        if change.hedges:
            before = self._found[scenario, Change()]
            if self._sizes is None or not isinstance(before, Figures):
                raise QuantdeskError(f"Nothing says how large a hedge is in {scenario}.")
            sized = {one.instrument: self._sizes(scenario, one, before.start_value) for one in change.hedges}
            self._quantities[scenario, change] = sized
        return sized


def _kept(result: Told | QuantdeskError) -> Figures | Unrun:
    if isinstance(result, QuantdeskError):
        return Unrun(str(result))
    errors = [account.error for account in result.accounts if account.error]
    return Unrun(f"The strategy failed. {errors[0]}", failed=True) if errors else figures_of(result)
