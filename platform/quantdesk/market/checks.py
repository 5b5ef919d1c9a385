"""What a raw frame must satisfy before the store takes it. Pure: pandera says what is wrong, we say where.

Two degrees. Everything that enters the store has dates that are unique and ascending, and numbers that are finite. A
user's file must in addition be plausible (positive prices where the kind has them, a high that is the highest), since
a wrong column mapping shows up there. A published package's file is kept as it is: what is odd in it is the business
of the quality report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantdesk.market.series import PRICE_FIELDS, Description

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["POSITIVE_KINDS", "TOLERANCE", "Problem", "inside_high_low", "problems"]

POSITIVE_KINDS = frozenset({"equity", "etf", "index", "fx", "volatility"})
"""Kinds whose prices are above zero by definition. A commodity (WTI in 2020) and a yield can be zero or negative."""

TOLERANCE = 1e-6
"""Relative slack in high >= open, low, close: adjusted prices were rounded after a multiplication."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a frame.

    Attributes
    ----------
    row
        Label of the row in the frame's index, or None when it is about the whole column.
    column, value
        Where, and what stands there.
    rule
        What should hold.
    """

    row: Any
    column: str
    value: Any
    rule: str

    def __str__(self) -> str:
        """As half a sentence, without the row."""
        value = self.value.date().isoformat() if hasattr(self.value, "date") else self.value
        where = self.column if self.row is not None else f"the column {self.column}"
        return f"{where} should {self.rule}" if value is None else f"{where} is {value}; it should {self.rule}"


def inside_high_low(frame: pd.DataFrame) -> pd.Series:
    """Per row: the high is the highest and the low the lowest of what is there. NaN is no contradiction."""
    prices = frame[[name for name in ("open", "high", "low", "close") if name in frame]]
    slack = TOLERANCE * prices.abs().max(axis=1)
    fine = prices.max(axis=1).notna() | prices.isna().all(axis=1)
    if "high" in prices:
        fine &= ~(prices.max(axis=1) > prices["high"] + slack)
    if "low" in prices:
        fine &= ~(prices.min(axis=1) < prices["low"] - slack)
    return fine


def problems(description: Description, frame: pd.DataFrame, *, strict: bool) -> list[Problem]:
    """What is wrong with `frame`, in the order of its rows; an empty list when nothing is.

    Parameters
    ----------
    description
        Says which fields there must be, and whether prices are positive by definition.
    frame
        Columns ``session`` and the fields.
    strict
        Also ask for plausible values: positive prices, no negative volume, a high that is the highest.
    """
    import pandera.errors

    schema = _schema(description, strict=strict)
    try:
        schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        return _explained(errors.failure_cases, frame)
    return []


def _schema(description: Description, *, strict: bool) -> Any:
    import numpy as np
    import pandera.pandas as pa

    finite = pa.Check(lambda values: np.isfinite(values), name="be a finite number")
    above_zero = pa.Check(lambda values: values > 0, name=f"be above zero in a series of kind {description.kind}")
    not_negative = pa.Check(lambda values: values >= 0, name="not be negative")
    columns: dict[str, Any] = {
        "session": pa.Column(
            "datetime64[ns]",
            checks=[pa.Check(lambda days: days.diff().dt.days.fillna(1) > 0, name="come after the date before it")],
        )
    }
    for field in description.fields:
        checks = [finite]
        if strict and field in PRICE_FIELDS and description.kind in POSITIVE_KINDS:
            checks.append(above_zero)
        if strict and field == "volume":
            checks.append(not_negative)
        columns[field] = pa.Column("float64", checks=checks, nullable=not (strict and field == description.main_field))
    wide = []
    if strict and {"high", "low"} & set(description.fields):
        wide.append(pa.Check(inside_high_low, name="lie between low and high"))
    return pa.DataFrameSchema(columns, checks=wide, strict=True)


_RULES = {
    "not_nullable": "have a value",
    "column_in_dataframe": "be there",
    "column_in_schema": "not be there",
}


def _explained(cases: pd.DataFrame, frame: pd.DataFrame) -> list[Problem]:
    """Pandera's failure cases as problems; one that concerns a whole row is reported once, for that row."""
    found: dict[tuple[Any, str, str], Problem] = {}
    for number in range(len(cases)):
        case: dict[str, Any] = {str(name): cases[name].iloc[number] for name in cases}
        check, row, value = str(case["check"]), case["index"], case["failure_case"]
        rule = _RULES.get(check) or (f"be of type {check[7:-2]}" if check.startswith("dtype(") else check)
        if case["schema_context"] == "DataFrameSchema" and check in _RULES:
            problem = Problem(None, str(value), None, rule)
        elif case["schema_context"] == "DataFrameSchema":
            names = [name for name in ("open", "high", "low", "close") if name in frame]
            prices = frame.loc[row, names].to_numpy(dtype="float64")
            problem = Problem(row, ", ".join(names), ", ".join(f"{price:g}" for price in prices), rule)
        else:
            problem = Problem(row, str(case["column"]), value, rule)
        found.setdefault((problem.row, problem.column, problem.rule), problem)
    place = {row: number for number, row in enumerate(frame.index)}
    return sorted(found.values(), key=lambda problem: place.get(problem.row, -1))
