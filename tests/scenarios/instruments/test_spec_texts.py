"""The texts of instruments: what is understood, and that anything else is one clear error."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quantdesk.errors import BadInput, UnknownName
from quantdesk.scenarios.instruments import FORMS, parse
from quantdesk.scenarios.instruments.specs import FORMS as DOCUMENTED

GOOD = [form for forms in FORMS.values() for form in forms.split(" or ")] + ["AAPL", "SPX", "FX:USDJPY", "UST:18M"]


@pytest.mark.parametrize("text", GOOD)
def test_every_form_that_errors_recommend_binds(state, text):
    instrument = parse(text).bind(state)
    assert isinstance(instrument.value(state), float)
    for said in (instrument.label, instrument.unit, instrument.asset_class, instrument.needs):
        assert said


def test_units_are_stated(state):
    units = {text: parse(text).bind(state).unit for text in GOOD}
    assert units["AAPL"] == "share"
    assert units["SPX"] == "index unit"
    assert units["UST:10Y"] == units["UST_LADDER:2Y,5Y,10Y,30Y"] == "dollar of face"
    assert units["FX:EURUSD"] == "1 EUR"
    assert units["FUT:WTI"] == "contract of 1,000"
    assert units["OPT:SPX:P:90%:3M"] == "contract of 100"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1 to 200 plain letters"),
        (None, "None"),
        (5, "5"),
        ("A" * 201, "1 to 200"),
        ("ΑAPL", "plain letters"),
        ("A\nB", "plain letters"),
        (" AAPL", "no symbol"),
        ("AA PL", "no symbol"),
        ("UST", None),
        ("UST:", "''"),
        ("UST:10", "'10'"),
        ("UST:10y", "'10y'"),
        ("UST:0Y", "'0Y'"),
        ("UST:-5Y", "'-5Y'"),
        ("UST:31Y", "longer than 30 years"),
        ("UST:10Y:x", "one maturity"),
        ("UST:7M", "half-years"),
        ("UST:400D", "half-years"),
        ("UST:١Y", "plain letters"),
        ("UST_LADDER:", "''"),
        ("UST_LADDER:2Y,,5Y", "''"),
        ("UST_LADDER:2Y,2Y", "twice"),
        ("UST_LADDER:" + ",".join(f"{n}Y" for n in range(1, 32)), "30 maturities"),
        ("FX:EURUSD:3M", "one part"),
        ("FX:EUR", "'EUR'"),
        ("FX:eurusd", "'eurusd'"),
        ("FX:USDUSD", "two different"),
        ("FXFWD:EURUSD", "a pair and a time"),
        ("FXFWD:EURUSD:11Y", "longer than 10"),
        ("FXFWD:EURUSD:3M:4.2", "'4.2'"),
        ("FXFWD:EURUSD:3M:nan%", "'nan%'"),
        ("FXFWD:EURUSD:3M:101%", "'101%'"),
        ("FXFWD:EURJPY:3M:1%", "neither currency is the dollar"),
        ("FUT:", "a symbol"),
        ("FUT:WTI:6M", "a symbol"),
        ("FUT:WTI:6M:--8%", "'--8%'"),
        ("OPT:SPX:P:90%", "a strike and a time"),
        ("OPT:SPX:X:90%:3M", "'X'"),
        ("OPT:SPX:P:0%:3M", "'0%'"),
        ("OPT:SPX:P:1e3:3M", "'1e3'"),
        ("OPT:SPX:P:inf:3M", "'inf'"),
        ("OPT:SPX:P:90%:6Y", "longer than 5"),
        ("OPT::P:90%:3M", "a symbol"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(text, said):
    if said is None:  # a word without a colon is a symbol, which the scenario may lack
        assert parse(text).text == text
        return
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert said in caught.value.problem
    assert "Give" in caught.value.remedy


def test_an_unknown_prefix_gets_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean OPT"):
        parse("OPTT:SPX:P:90%:3M")


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.text(max_size=40),
        st.builds(
            lambda head, rest: f"{head}:{rest}",
            st.sampled_from(sorted(DOCUMENTED)),
            st.text(alphabet="UST10Y3M:%,.-PCEURJPYWTIX90", max_size=25),
        ),
    )
)
@example("OPT:SPX:P:1000%:5Y")
@example("UST:9999D")
def test_any_text_binds_or_is_bad_input(state, text):
    try:
        value = parse(text).bind(state).value(state)
    except BadInput:
        return
    assert abs(value) < 1e9


@pytest.mark.parametrize(
    ("text", "better"),
    [("EURUSD", "FX:EURUSD"), ("WTI", "FUT:WTI"), ("UST10Y", "UST:10Y"), ("VIX", "OPT:SPX:P:90%:3M")],
)
def test_what_nobody_can_hold_comes_with_what_one_can(state, text, better):
    with pytest.raises(BadInput, match=better):
        parse(text).bind(state)


def test_a_symbol_that_the_scenario_lacks_is_named_with_the_nearest(state):
    with pytest.raises(UnknownName, match="Did you mean AAPL"):
        parse("AAPPL").bind(state)
    with pytest.raises(UnknownName, match="'MSFT'"):
        parse("OPT:MSFT:P:90%:3M").bind(state)
