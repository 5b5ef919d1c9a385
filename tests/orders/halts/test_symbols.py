"""One form of a symbol, whatever feed or broker wrote it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.errors import BadInput
from quantdesk.orders.symbols import canonical


@pytest.mark.parametrize(
    ("forms", "expected"),
    [
        (("AAPL", "aapl", " AAPL "), "AAPL"),
        (("BRK B", "BRK.B", "BRK/B", "brk.b"), "BRK.B"),
        (("BKSY WS", "BKSY.W", "BKSY+", "BKSY/WS", "BKSY.WS"), "BKSY.W"),
        (("XYZ WSA", "XYZ+A", "XYZ/WS/A", "XYZ.W.A"), "XYZ.W.A"),
        (("BAC PR", "BAC$"), "BAC.PR"),
        (("BAC PRB", "BAC$B", "BAC.PRB"), "BAC.PRB"),
        (("XYZ U", "XYZ.U", "XYZ="), "XYZ.U"),
        (("XYZ RT", "XYZ.R", "XYZ^"), "XYZ.R"),
        (("XYZ WI", "XYZ.V", "XYZ#"), "XYZ.WI"),
        (("TNONW",), "TNONW"),
    ],
)
def test_forms_of_one_symbol_are_crossed_to_one(forms: tuple[str, ...], expected: str) -> None:
    assert {form: canonical(form) for form in forms} == dict.fromkeys(forms, expected)


@pytest.mark.parametrize("text", ["", "  ", "BRK-B", "1X", "A.B.C.D", "AAPL!", "<html>", "A" * 12, None, 7, "AÄ"])
def test_what_cannot_be_a_symbol_is_refused(text: object) -> None:
    with pytest.raises(BadInput, match="no symbol"):
        canonical(text)  # type: ignore[arg-type]


def test_a_hyphen_is_refused_with_what_would_be_right() -> None:
    with pytest.raises(BadInput, match=r"BRK\.B for a class, BAC\.PRB for a preferred"):
        canonical("BAC-B")


@given(st.from_regex(r"[A-Za-z]{1,5}([ ./](WS|PR|PRA|U|RT|R|W|WI|A|B))?", fullmatch=True))
def test_the_one_form_stays_what_it_is(text: str) -> None:
    once = canonical(text)
    assert canonical(once) == once
