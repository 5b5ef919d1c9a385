"""Parameters: read without being run, checked before a kernel starts, and data until the end."""

from __future__ import annotations

import ast
import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from papermill.translators import PythonTranslator

from quantdesk.errors import BadParameter, DataError
from quantdesk.reports.spec import Parameter, check, parse, read_parameters

CELL = '''"""What to look at."""
symbols: list[str] = ["AAPL", "MSFT"]   # which series
start = "2010-01-04"                     # first session
end: str | None = None
window: int | None = None                # sessions; None for all
cost = 5.0  # bp
weights = [
    1,
    2.5,
]  # one for each symbol
names = [  # at the first line
    "a",  # not this one
]
mode: Literal["long", "both"] = "long"
flag = True
seed = -7
anything = None
notes: "dict[str, float]" = {"a": 1.5}
'''
READ = read_parameters(CELL, where="test.ipynb")
NAMES = {parameter.name: parameter for parameter in READ}


def test_names_types_defaults_and_help_are_read() -> None:
    assert [(item.name, item.type, item.default, item.help) for item in READ] == [
        ("symbols", "list[str]", ["AAPL", "MSFT"], "which series"),
        ("start", "date", "2010-01-04", "first session"),
        ("end", "str | None", None, ""),
        ("window", "int | None", None, "sessions; None for all"),
        ("cost", "float", 5.0, "bp"),
        ("weights", "list[float]", [1, 2.5], "one for each symbol"),
        ("names", "list[str]", ["a"], "at the first line"),
        ("mode", "Literal['long', 'both']", "long", ""),
        ("flag", "bool", True, ""),
        ("seed", "int", -7, ""),
        ("anything", "any", None, ""),
        ("notes", "dict[str, float]", {"a": 1.5}, ""),
    ]


def test_an_optional_text_that_holds_a_date_takes_dates() -> None:
    (parameter,) = read_parameters('end: str | None = "2020-12-31"', where="n")
    assert parameter.type == "date | None"
    assert parameter.accepts(None)
    assert not parameter.accepts("tomorrow")


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "window = int('20')",
        "window = 5 * 4",
        "a = b = 1",
        "a, b = 1, 2",
        "window += 1",
        "print('x')",
        "%time x = 1",
        "window = 20 if True else 30",
        "x = __import__('os').system('true')",
        "x = f'{1}'",
        "x = b'bytes'",
        "x = {1, 2}",
        "x = 1e999",
        "x: os.PathLike = 'a'",
        "x: __import__('os') = 'a'",
        "x: int = 'a'",
        "x: list[int] = ['a']",
        "x = " + "[" * 300 + "]" * 300,
        "x = '\\ud800'",
        "x = 99999999999999999999",
    ],
)
def test_a_cell_that_holds_more_than_plain_values_is_refused(source: str) -> None:
    with pytest.raises(DataError, match=r"parameters cell of test\.ipynb cannot be read") as refused:
        read_parameters(source, where="test.ipynb")
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('symbols=["X"]', "symbols", ["X"]),
        ("symbols=[]", "symbols", []),
        ("start=2011-03-01", "start", "2011-03-01"),
        ('start="2011-03-01"', "start", "2011-03-01"),
        ("window=3", "window", 3),
        ("window=null", "window", None),
        ("cost=3", "cost", 3),
        ("cost=1e-4", "cost", 1e-4),
        ("flag=false", "flag", False),
        ("mode=both", "mode", "both"),
        ("end=2012", "end", "2012"),
        ("end=a=b", "end", "a=b"),
        ("end=", "end", ""),
        (" window =3", "window", 3),
        ('anything={"a": [1, null]}', "anything", {"a": [1, None]}),
        ("anything=AAPL", "anything", "AAPL"),
        ("notes={}", "notes", {}),
    ],
)
def test_a_value_means_what_it_looks_like(text: str, name: str, value: Any) -> None:
    assert parse(READ, [text], report="r") == {name: value}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("window=2.5", "2.5 is no value for the parameter window of r: it takes int | None"),
        ('window="20"', "'20' is no value for the parameter window"),
        ("window=true", "True is no value for the parameter window"),
        ("window=9223372036854775808", "9223372036854775808 is no value for the parameter window"),
        ("window=" + "9" * 5000, "is no value for the parameter window"),
        ("flag=1", "1 is no value for the parameter flag of r: it takes true or false"),
        ("cost=NaN", "nan is no value for the parameter cost"),
        ("cost=1e999", "inf is no value for the parameter cost"),
        ("cost=free", "'free' is no value for the parameter cost of r: it takes a number"),
        ("symbols=AAPL", "'AAPL' is no value for the parameter symbols of r: it takes list"),
        ("symbols=[1]", r"\[1\] is no value for the parameter symbols"),
        ("start=2011-1-1", "'2011-1-1' is no value for the parameter start of r: it takes a date"),
        ("start=20110101", "20110101 is no value for the parameter start"),
        ("start=2011-02-30", "'2011-02-30' is no value for the parameter start"),
        ("mode=short", "'short' is no value for the parameter mode"),
        ("windw=3", "no parameter 'windw'. Did you mean window"),
        ("zzzz=3", "no parameter 'zzzz'. It has: symbols, start"),
        ("window", "'window' is no parameter. Write it as name=value"),
        ("=3", "'=3' is no parameter"),
        ('end="\\ud800"', "is no value for the parameter end"),
        ("anything=[NaN]", "is no value for the parameter anything"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_type(text: str, says: str) -> None:
    with pytest.raises(BadParameter, match=says.replace("|", r"\|").replace(".", r"\.")) as refused:
        parse(READ, [text], report="r")
    assert len(str(refused.value)) < 500
    assert str(refused.value).isprintable()
    assert refused.value.remedy


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(BadParameter, match="'window' is given twice"):
        parse(READ, ["window=1", "window=2"], report="r")


def test_far_too_much_is_refused() -> None:
    with pytest.raises(BadParameter, match=r"have 1,0.* characters"):
        check(READ, {"end": "x" * 1_000_001}, report="r")


def test_a_report_without_parameters_says_so() -> None:
    with pytest.raises(BadParameter, match="It has: none"):
        check((), {"a": 1}, report="r")


def test_the_remedy_can_be_pasted() -> None:
    with pytest.raises(BadParameter) as refused:
        parse(READ, ["symbols=AAPL"], report="r")
    assert refused.value.remedy == """For example: symbols='["AAPL", "MSFT"]'"""


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

HOSTILE = [
    '"); import os; os.system("true") #',
    "'); raise SystemExit('#",
    '"""\nraise SystemExit\n"""',
    "\\",
    '\\"',
    "a\nimport os",
    "a\r\nimport os",
    "\u2028import os\u2029",
    "\x00\x1b[31m\x85",
    "{x}",
    "%matplotlib",
    "!true",
    "\N{RIGHT-TO-LEFT OVERRIDE}\U0001f4a3",
]


@given(json_values)
def test_a_value_that_is_accepted_reaches_the_notebook_as_itself(value: Any) -> None:
    """What papermill writes into the notebook is one literal, equal to the value: nothing in it can run."""
    checked = check([Parameter("x", "any", None)], {"x": value}, report="r")
    written = ast.parse(PythonTranslator.codify(checked)).body
    assert len(written) == 1
    assert isinstance(written[0], ast.Assign)
    assert ast.literal_eval(written[0].value) == value


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_stays_a_text(text: str) -> None:
    for value in (text, [text], {text: text}):
        (written,) = ast.parse(PythonTranslator.codify({"x": value})).body
        assert isinstance(written, ast.Assign)
        assert ast.literal_eval(written.value) == value


@given(st.text(max_size=60))
@example("x=" + "[" * 100_000)
def test_any_text_is_a_value_or_a_clear_refusal(text: str) -> None:
    try:
        values = parse(READ, [text], report="r")
    except BadParameter as refused:
        assert len(str(refused)) < 500  # noqa: PT017
    else:
        assert set(values) <= set(NAMES)


@given(st.text(max_size=200))
def test_any_cell_is_read_or_refused(source: str) -> None:
    try:
        found = read_parameters(source, where="n")
    except DataError:
        return
    assert all(parameter.accepts(parameter.default) for parameter in found)


@given(st.floats())
def test_only_finite_numbers_pass(number: float) -> None:
    assert NAMES["cost"].accepts(number) == math.isfinite(number)


def test_types_of_examples_survive_json() -> None:
    assert json.loads(json.dumps({item.name: item.default for item in READ})) == {
        item.name: item.default for item in READ
    }
