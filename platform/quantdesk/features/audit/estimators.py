"""A scikit-learn transformer, estimator or pipeline as a function of the data, the way it would be used. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from quantdesk.errors import BadInput
from quantdesk.features.audit.clock import Clock
from quantdesk.features.audit.marks import Past, differing, mark
from quantdesk.features.audit.material import Material

__all__ = ["Fitted", "is_estimator"]


def is_estimator(function: Any) -> bool:
    """Whether it is fitted and then transforms or predicts."""
    if isinstance(function, type) or not hasattr(function, "fit"):
        return False
    return any(hasattr(function, verb) for verb in ("transform", "predict", "fit_transform", "fit_predict"))


class Fitted:
    """Fit a clone on the training rows, then apply it to all rows.

    Parameters
    ----------
    estimator
        Any scikit-learn estimator; it is cloned for each call and never fitted itself.
    target
        The name of the target among the data; None where there is none.
    until
        The last row of training, as a coordinate of `clock`; None trains on all rows.
    clock
        How times are read.
    """

    def __init__(self, estimator: Any, target: str | None, until: float | None, clock: Clock) -> None:
        self.estimator = estimator
        self.target = target
        self.until = until
        self.clock = clock
        self.last: Any = None

    def __call__(self, data: Any) -> Any:
        """What the fitted estimator gives for each row."""
        from sklearn.base import clone

        entries = list(data.values()) if isinstance(data, dict) else [data]
        rows = entries[0]
        labels = data[self.target] if self.target is not None else None
        train = self._training(rows)
        if isinstance(labels, pd.Series) and isinstance(rows, pd.Series | pd.DataFrame):
            train &= rows.index.isin(labels.index)  # whoever trains early has fewer labels than rows
        model = self.last = clone(self.estimator)
        answers = None if labels is None else _aligned(labels, rows)[train]
        fitted_on = (rows[train],) if answers is None else (rows[train], answers)
        if not hasattr(model, "transform") and not hasattr(model, "predict"):
            verb = "fit_transform" if hasattr(model, "fit_transform") else "fit_predict"
            if self.until is not None:
                raise BadInput(
                    f"{type(model).__name__} has only {verb}: it cannot be fitted on some rows and applied to others.",
                    "Leave fit_until out, or use a transformer with a transform method.",
                )
            return _indexed(model, getattr(model, verb)(*fitted_on), rows)
        model.fit(*fitted_on)
        verb = "transform" if hasattr(model, "transform") else "predict"
        return _indexed(model, getattr(model, verb)(rows), rows)

    def _training(self, rows: Any) -> Any:
        count = len(rows)
        if self.until is None:
            return np.ones(count, dtype=bool)
        times = np.arange(count) if isinstance(rows, np.ndarray) else self.clock.read(rows.index)
        return times <= self.until

    def culprit(self, whole: Material, other: Material, cut: float) -> str | None:
        """The first fitted part that learned something else from the other data, in words."""
        learned = []
        for data in (whole, other):
            self(data.given())
            past = Past(data, cut)
            learned.append([(name, mark(part, past)) for name, part in _parts(self.last)])
        for (name, mine), (_, theirs) in zip(*learned, strict=False):
            if differing(mine, theirs):
                return str(name)
        return None


def _parts(model: Any) -> Iterator[tuple[str, Any]]:
    steps = getattr(model, "steps", None)
    if isinstance(steps, list):
        for name, part in steps:
            yield f"step {name!r}: {type(part).__name__}", part
    else:
        yield type(model).__name__, model


def _names_out(model: Any, count: int) -> list[str] | None:
    try:
        names = [str(name) for name in model.get_feature_names_out()]
    except (AttributeError, ValueError, TypeError):  # not every transformer can name what it makes
        return None
    return names if len(names) == count else None


def _aligned(labels: Any, rows: Any) -> Any:
    if isinstance(labels, pd.Series) and isinstance(rows, pd.Series | pd.DataFrame):
        return labels.reindex(rows.index).to_numpy()
    return np.asarray(labels)


def _indexed(model: Any, output: Any, rows: Any) -> Any:
    """Put what came back on the index of the rows, which scikit-learn drops, under the names that the model gives."""
    if hasattr(output, "toarray"):
        output = output.toarray()
    if isinstance(rows, pd.Series | pd.DataFrame) and isinstance(output, np.ndarray) and len(output) == len(rows):
        if output.ndim == 1:
            return pd.Series(output, index=rows.index)
        return pd.DataFrame(output, index=rows.index, columns=_names_out(model, output.shape[1]))
    return output
