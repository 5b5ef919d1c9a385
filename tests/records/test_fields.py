"""What people write in a file, read into a model: a wrong field is told with its line, its value and a remedy."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict

from quantdesk.errors import BadInput, DataError
from quantdesk.records.fields import of_mapping, of_toml, places


class Leg(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    symbol: str
    weight: float = 1.0


class Book(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    legs: tuple[Leg, ...] = ()
    limits: dict[str, Leg] = {}
    day: str = ""


TEXT = """# a book
name = "one"

[[legs]]
symbol = "A"

[[legs]]
symbol = 5
wieght = 2

[limits."x.y"]
symbol = "B"
  weight = "heavy"
"""


def test_every_wrong_field_is_a_sentence_with_its_line() -> None:
    with pytest.raises(DataError) as refused:
        of_toml(Book, TEXT, "book.toml", remedy="See Book.")
    assert refused.value.problem == (
        "book.toml, line 8: legs[2].symbol is 5; it should be a valid string. "
        "book.toml, line 9: there is no field legs[2].wieght. Did you mean weight? "
        "book.toml, line 13: limits.x.y.weight is 'heavy'; it should be a valid number."
    )
    assert refused.value.remedy == "See Book."


def test_what_is_right_is_read_and_a_day_is_its_text() -> None:
    book = of_toml(Book, 'name = "a"\nday = 2020-01-31\nlegs = [{symbol = "A"}]', "b", remedy="")
    assert (book.name, book.day, book.legs) == ("a", "2020-01-31", (Leg(symbol="A"),))


@pytest.mark.parametrize("text", ["name =", "[", "name = 'a'\nname = 'b'", "= 1"])
def test_what_is_no_toml_says_so(text: str) -> None:
    with pytest.raises(BadInput, match="b is not TOML"):
        of_toml(Book, text, "b", remedy="", error=BadInput)


def test_a_missing_field_and_many_wrong_ones() -> None:
    with pytest.raises(DataError, match="b, line 1: name is missing; give it"):
        of_toml(Book, "", "b", remedy="")
    many = "name = 1\n" + "\n".join(f"x{n} = 1" for n in range(20))
    with pytest.raises(DataError, match="13 more fields are wrong"):
        of_toml(Book, many, "b", remedy="")


@pytest.mark.parametrize("content", [{"name": {1, 2}}, {"name": object()}])
def test_what_json_does_not_hold_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(DataError, match="it holds what JSON does not"):
        of_mapping(Book, content, lambda _: "here", remedy="")


def test_lines_of_tables_arrays_and_texts() -> None:
    text = "\n".join(
        [
            'a.b = 1', 'note = """', 'c = 1', '"""', 'list = [', '  { d = 1 },', '  { d = 2 },', ']',
            '[t]', '[[t.u]]', 'e = 1', '[[t.u]]', 'e = 2 # [x]', "[t.'v w']", 'f = 1',
        ]
    )  # fmt: skip
    where = places(text, "n")
    found = {
        path: int(where(path).rpartition(" ")[2])
        for path in [
            ("a", "b"), ("note",), ("c",), ("list", 0, "d"), ("list", 1), ("t", "u", 0, "e"), ("t", "u", 1, "e"),
            ("t", "u", 1, "zz"), ("t", "v w", "f"), ("unknown",),
        ]
    }  # fmt: skip
    assert list(found.values()) == [1, 2, 1, 6, 7, 11, 13, 12, 15, 1]
