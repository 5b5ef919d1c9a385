"""Every error names the value and says what would be right."""

from __future__ import annotations

import pytest

from quantdesk import errors


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn = errors.__doc__ or ""
    for name in errors.__all__:
        assert name in drawn
        assert issubclass(getattr(errors, name), errors.QuantdeskError)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (["AAPL", "MSFT"], "Did you mean AAPL?"),
        (["XOM", "PG"], "Known: PG, XOM."),
        ([f"S{n}{n}Z" for n in range(10)], "and 2 more"),
        ([], "There is no symbol at all yet."),
    ],
)
def test_an_unknown_name_offers_what_would_be_right(known: list[str], words: str) -> None:
    error = errors.UnknownName("symbol", "AAPPL", known)
    assert str(error).startswith("Unknown symbol 'AAPPL'.")
    assert words in str(error)
    assert error.exit_code == 2
    assert isinstance(error, LookupError)


def test_exit_codes_tell_the_kinds_apart() -> None:
    codes = [errors.BadInput, errors.DataError, errors.EnvironmentProblem, errors.RunFailed]
    assert [kind.exit_code for kind in codes] == [2, 3, 4, 5]
