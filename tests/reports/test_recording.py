"""What a notebook records: named, bounded, exact on its way to a file, and a stranger's record is not believed."""

from __future__ import annotations

import io
import json
import math
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.reports import record
from quantdesk.reports.declaration import Declaration, from_toml
from quantdesk.reports.recorded import METRIC, TABLE, Recorded, TableMessage, collect, parquet
from quantdesk.reports.result import Metric


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is put under a cell, as in a kernel."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr("IPython.display.publish_display_data", lambda data: found.append(json.loads(json.dumps(data))))
    return found


def executed(*outputs: dict[str, Any]) -> Any:
    """A notebook whose second code cell gave these outputs."""
    cells = [nbformat.v4.new_code_cell("1"), nbformat.v4.new_markdown_cell("words"), nbformat.v4.new_code_cell("2")]
    cells[2].outputs = [nbformat.v4.new_output("display_data", data) for data in outputs]
    return nbformat.v4.new_notebook(cells=cells)


def kept(shown: list[dict[str, Any]], declaration: Declaration | None = None) -> Recorded:
    return collect(executed(*shown), declaration or Declaration())


@pytest.mark.parametrize(
    ("value", "held", "words"),
    [
        (1.5, 1.5, "1.5 bp"),
        (-1234567, -1234567, "-1,234,567 bp"),
        (np.float64(0.1), 0.1, "0.1 bp"),
        (np.int32(7), 7, "7 bp"),
        (np.bool_(True), True, "True bp"),
        (Decimal("2.25"), 2.25, "2.25 bp"),
        ("calm", "calm", "calm bp"),
    ],
)
def test_a_metric_is_kept_as_it_was(shown: list[dict[str, Any]], value: Any, held: Any, words: str) -> None:
    record("spread", value, "bp")
    (metric,) = kept(shown).metrics
    assert metric == Metric("spread", held, "bp", cell=2)
    assert type(metric.value) is type(held)
    assert shown[0]["text/plain"] == f"spread = {words}"
    assert words in shown[0]["text/html"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no value was given"),
        (math.nan, "not a number (NaN)"),
        (np.float32("nan"), "not a number (NaN)"),
        (math.inf, "infinite (+inf)"),
        (-math.inf, "infinite (-inf)"),
        (pd.NA, "not a number (NA)"),
        (pd.NaT, "not a number (NA)"),
    ],
)
def test_no_number_is_no_value_with_its_reason(shown: list[dict[str, Any]], value: Any, reason: str) -> None:
    record("sharpe", value)
    (metric,) = kept(shown).metrics
    assert (metric.value, metric.reason) == (None, reason)
    assert reason in shown[0]["text/plain"]
    record("sharpe", value, reason="fewer than 20 sessions")
    assert kept(shown[1:]).metrics[0].reason == "fewer than 20 sessions"


@pytest.mark.parametrize("name", ["", "1a", "a b", "../x", "a/b", "a.", "x" * 65, "é", "a\n", None, 5, ".a", "_a"])
def test_a_name_is_a_name(name: Any) -> None:
    for call in (lambda: record(name, 1), lambda: record.table(name, pd.DataFrame({"a": [1]}))):
        with pytest.raises(BadInput, match="is no name of a"):
            call()


@pytest.mark.parametrize("value", [[1], {"a": 1}, 2**63, 1j, "x" * 1001, object(), pd.Timestamp("2020-01-01")])
def test_what_is_no_scalar_is_refused(value: Any) -> None:
    with pytest.raises(BadInput, match="The metric x is a"):
        record("x", value)


def test_outside_of_a_kernel_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    record("sharpe", 1.25)
    record.table("positions", pd.DataFrame({"weight": [0.5, 0.5]}))
    said = capsys.readouterr().out
    assert "sharpe = 1.25" in said
    assert "positions: 2 rows, 1 columns" in said


FRAME = pd.DataFrame(
    {
        "close": [1.1, math.nan, math.inf],
        "shares": [1, 2, 3],
        "big": np.array([2**63 - 1, 0, -(2**63)], dtype="int64"),
        "name": ["<b>", None, "c"],
        "side": pd.Categorical(["buy", "sell", "buy"]),
        "day": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"]).date,
        "at": pd.to_datetime(["2020-01-01T10:00:00.123456", None, "2020-01-03T00:00:00.0"]),
        "zoned": pd.to_datetime(["2020-01-01", "2020-07-01", "2020-01-03"]).tz_localize("America/New_York"),
        "open": [True, False, True],
        "some": pd.array([1, None, 3], dtype="Int64"),
        "half": np.array([0.5, 1, 2], dtype="float32"),
    },
    index=pd.Index(["AAPL", "MSFT", "GE"], name="symbol"),
)


def read(recorded: Recorded) -> pd.DataFrame:
    (content,) = recorded.files.values()
    return pd.read_parquet(io.BytesIO(content), dtype_backend="pyarrow")


def test_a_frame_comes_back_as_it_was(shown: list[dict[str, Any]]) -> None:
    record.table("positions", FRAME)
    found = kept(shown)
    (table,) = found.tables
    assert (table.name, table.file, table.rows, table.cell) == ("positions", "tables/positions.parquet", 3, 2)
    assert table.columns == ("symbol", *FRAME.columns)
    back = read(found)
    assert back["symbol"].tolist() == ["AAPL", "MSFT", "GE"]
    assert back["close"].tolist()[0] == 1.1
    assert back["close"].isna().tolist() == [False, True, False]
    assert back["close"].tolist()[2] == math.inf
    assert back["big"].tolist() == [2**63 - 1, 0, -(2**63)]
    assert back["side"].tolist() == ["buy", "sell", "buy"]
    assert back["at"].tolist()[0] == pd.Timestamp("2020-01-01T10:00:00.123456")
    assert [str(moment) for moment in back["zoned"]][:2] == ["2020-01-01 05:00:00+00:00", "2020-07-01 04:00:00+00:00"]
    assert [str(kind) for kind in back.dtypes][-3:] == ["bool[pyarrow]", "int64[pyarrow]", "float[pyarrow]"]
    assert "&lt;b&gt;" in shown[0]["text/html"]
    assert "<b>" not in shown[0]["text/html"]


@given(st.lists(st.floats(allow_subnormal=True) | st.none(), min_size=1, max_size=20))
def test_floats_are_exact(values: list[float | None]) -> None:
    dtype = "double"
    held = [None if v is None or math.isnan(v) else v if math.isfinite(v) else str(v) for v in values]
    message = TableMessage.model_validate(
        json.loads(json.dumps({"name": "t", "columns": [{"name": "x", "dtype": dtype, "values": held}]}))
    )
    back = pd.read_parquet(io.BytesIO(parquet(message)))["x"].to_numpy()
    expected = np.array([math.nan if v is None else v for v in values])
    np.testing.assert_array_equal(back, expected)


def test_an_index_of_row_numbers_is_no_column_and_levels_are(shown: list[dict[str, Any]]) -> None:
    record.table("plain", pd.DataFrame({"a": [1, 2]}))
    record.table("series", pd.Series([1.0, 2.0], index=pd.bdate_range("2020-01-01", periods=2)))
    levels = pd.MultiIndex.from_product([["A", "B"], [1]], names=["symbol", None])
    record.table("levels", pd.DataFrame([[1], [2]], index=levels, columns=pd.MultiIndex.from_tuples([("pnl", "usd")])))
    assert [table.columns for table in kept(shown).tables] == [
        ("a",),
        ("index", "value"),
        ("symbol", "index_1", "pnl / usd"),
    ]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pd.DataFrame({"a": [1, "x"]}), "The column a of the table t cannot be kept"),
        (pd.DataFrame({"a": [[1], [2]]}), "The column a of the table t cannot be kept"),
        (pd.DataFrame({"a": [1 + 2j]}), "The column a of the table t cannot be kept"),
        (pd.DataFrame(np.zeros((1, 201))), "has 201 columns"),
        (pd.DataFrame(), "has 0 columns"),
        (pd.DataFrame({"a": np.zeros(100_001)}), "has 100,001 rows"),
        (pd.DataFrame({"a": ["x" * 1000] * 6000}), "has 6.0 MB"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns 'a'"),
        ([1, 2], "is a list"),
    ],
)
def test_a_frame_that_cannot_be_kept_is_refused_with_its_reason(frame: Any, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        record.table("t", frame)
    assert said in refused.value.problem
    assert refused.value.remedy


DECLARED = from_toml(
    """
    [[metrics]]
    name = "var"
    label = "Value at risk"
    unit = "USD"
    direction = "lower"
    bounds = { lower = 0, upper = 100, severity = "critical" }
    [[metrics]]
    name = "beta"
    [[tables]]
    name = "positions"
    label = "Positions"
    [[tables]]
    name = "trades"
    """,
    "x",
)


def test_a_metric_carries_what_was_declared_and_what_is_missing_is_told(shown: list[dict[str, Any]]) -> None:
    record("var", 150)
    record.table("positions", FRAME)
    found = kept(shown, DECLARED)
    (metric,) = found.metrics
    assert (metric.label, metric.unit, metric.direction) == ("Value at risk", "USD", "lower")
    assert (metric.lower, metric.upper, metric.severity) == (0.0, 100.0, "critical")
    assert metric.breach == "var is 150 USD, above 100 USD"
    assert metric.bounds == "0 to 100 USD"
    assert found.tables[0].label == "Positions"
    assert found.missing == ("beta", "trades")


@pytest.mark.parametrize(
    ("value", "lower", "upper", "breach", "bounds"),
    [
        (1.0, None, None, "", ""),
        (1.0, 1.0, 1.0, "", "1 to 1 bp"),
        (0.5, 1.0, None, "m is 0.5 bp, below 1 bp", "at least 1 bp"),
        (2, None, 1.5, "m is 2 bp, above 1.5 bp", "at most 1.5 bp"),
        (None, 1.0, None, "m has no number to hold against its bounds (NaN)", "at least 1 bp"),
        ("calm", 1.0, None, "m has no number to hold against its bounds (NaN)", "at least 1 bp"),
        (True, 1.0, None, "m has no number to hold against its bounds (NaN)", "at least 1 bp"),
    ],
)
def test_bounds_include_their_ends_and_no_number_is_outside(
    value: Any, lower: float | None, upper: float | None, breach: str, bounds: str
) -> None:
    metric = Metric("m", value, "bp", reason="NaN", lower=lower, upper=upper)
    assert (metric.breach, metric.bounds) == (breach, bounds)


def test_of_a_name_recorded_twice_the_last_counts_and_it_is_noted(shown: list[dict[str, Any]]) -> None:
    record("a", 1)
    record("b", 1)
    record("a", 2)
    record.table("t", pd.DataFrame({"x": [1]}))
    record.table("t", pd.DataFrame({"x": [1, 2]}))
    found = kept(shown)
    assert [(metric.name, metric.value) for metric in found.metrics] == [("a", 2), ("b", 1)]
    assert found.tables[0].rows == len(read(found)) == 2
    assert found.notes == (
        "The metric a was recorded more than once; the last one counts.",
        "The table t was recorded more than once; the last one counts.",
    )


def test_a_unit_that_differs_from_the_declared_one_is_noted(shown: list[dict[str, Any]]) -> None:
    record("var", 5, "EUR")
    found = kept(shown, DECLARED)
    assert found.metrics[0].unit == "EUR"
    assert found.notes == ("The metric var was recorded in EUR, and is declared in USD.",)


GOOD = {"name": "t", "columns": [{"name": "x", "dtype": "int64", "values": [1]}]}


@pytest.mark.parametrize(
    "data",
    [
        {METRIC: None},
        {METRIC: "x"},
        {METRIC: {"name": "../x", "value": 1}},
        {METRIC: {"name": "a", "value": [1]}},
        {METRIC: {"name": "a", "value": "x" * 2000}},
        {METRIC: {"name": "a", "value": 1, "html": "<script>"}},
        {METRIC: {"name": "a\n", "value": 1}},
        {TABLE: {"name": "t", "columns": []}},
        {TABLE: {**GOOD, "columns": GOOD["columns"] * 2}},
        {TABLE: {"name": "t", "columns": [{"name": "x", "dtype": "object", "values": [1]}]}},
        {TABLE: {"name": "t", "columns": [{"name": "x", "dtype": "int64", "values": ["1"]}]}},
        {TABLE: {"name": "t", "columns": [{"name": "x", "dtype": "int8", "values": [1000]}]}},
        {TABLE: {"name": "t", "columns": [{"name": "x", "dtype": "bool", "values": [1]}]}},
        {TABLE: {"name": "t", "columns": [{"name": "x", "dtype": "string", "values": [1]}]}},
        {TABLE: {"name": "t", "columns": [{"name": "x", "dtype": "date32[day]", "values": ["soon"]}]}},
        {
            TABLE: {
                "name": "t",
                "columns": [{"name": "x", "dtype": "timestamp[us]", "values": ["2020-01-01T00:00+00:00"]}],
            }
        },
        {TABLE: {"name": "t", "columns": [{"name": "x", "dtype": "timestamp[us, tz=UTC]", "values": ["2020-01-01"]}]}},
        {TABLE: {"name": "t", "columns": [*GOOD["columns"], {"name": "y", "dtype": "int64", "values": [1, 2]}]}},
    ],
)
def test_a_record_that_is_none_is_left_out_and_noted(data: dict[str, Any]) -> None:
    found = collect(executed(data, {METRIC: {"name": "fine", "value": 1}}), Declaration())
    assert [metric.name for metric in found.metrics] == ["fine"]
    assert found.tables == ()
    (note,) = found.notes
    assert note.startswith("A record of cell 2 is left out: ")


def test_too_many_are_cut_with_a_note() -> None:
    many = [{METRIC: {"name": f"m{number}", "value": number}} for number in range(1005)]
    found = collect(executed(*many), Declaration())
    assert len(found.metrics) == 1000
    assert "The metric m1000 is left out: a run keeps at most 1000." in found.notes


FIELDS = st.sampled_from(["name", "value", "columns", "dtype", "values", "unit"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner) | st.dictionaries(FIELDS, inner),
    max_leaves=12,
)


@given(ANYTHING)
def test_whatever_an_output_holds_the_rest_is_collected(content: Any) -> None:
    found = collect(
        executed({METRIC: content}, {TABLE: content}, {METRIC: {"name": "fine", "value": 1}}), Declaration()
    )
    assert found.metrics[-1].name == "fine"
