"""One question put to the function: cut here, changed like this, what does the past look like? Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from quantdesk.features.audit.answers import Answer, Difference, compare
from quantdesk.features.audit.estimators import Fitted
from quantdesk.features.audit.futures import FUTURES, LOUD, another
from quantdesk.features.audit.material import Material
from quantdesk.features.audit.trial import Failure, Trial

__all__ = ["CUT_OFF", "Inquiry"]

CUT_OFF = "cut off"
"""The way of a history that ends; the others are those of :mod:`quantdesk.features.audit.futures`."""


@dataclass(frozen=True)
class Inquiry:
    """What stays the same through an audit.

    Attributes
    ----------
    trial
        Calls the function.
    data, whole
        The data, and the answer to all of them.
    seed
        Of the other futures.
    delay
        How long after its label a row of the answer is used, as a difference of coordinates.
    steady
        False where the function draws random numbers: it is then only given data of the same length.
    fitted
        The estimator, where it is one.
    """

    trial: Trial
    data: Material
    whole: Answer
    seed: int
    delay: float
    steady: bool
    fitted: Fitted | None

    def other(self, how: str, cut: float, until: float | None = None) -> Material:
        """The data with another future after `cut` (and until a later time)."""
        if how == CUT_OFF:
            return self.data.until(cut)
        rng = np.random.default_rng([self.seed, 3, FUTURES.index(how), int(abs(cut)) % 2**63])
        return self.data.changed(another(how, rng), cut, until)

    def ask(self, how: str, cut: float, data: Material | None = None) -> list[Difference] | Failure:
        """How the answer's past differs when the future does."""
        answer = self.trial(self.other(how, cut) if data is None else data)
        if isinstance(answer, Failure):
            return answer
        return self.against(answer, how, cut)

    def against(self, answer: Answer, how: str, cut: float) -> list[Difference]:
        """How an answer differs from that on the whole data, up to a cut."""
        louder = LOUD if how == "extreme" else 1.0
        return compare(self.whole, answer, cut - self.delay, after=self.judged_after, louder=louder)

    @property
    def judged_after(self) -> float:
        """Rows up to here trained an estimator; nobody decides on them."""
        until = None if self.fitted is None else self.fitted.until
        return -np.inf if until is None else until

    def values_until(self, cut: float, column: str) -> int:
        """How many values of a column of the whole answer are compared at a cut."""
        rows = (self.whole.times <= cut - self.delay) & (self.whole.times > self.judged_after)
        return int((~pd.isna(self.whole.columns[column][rows])).sum())
