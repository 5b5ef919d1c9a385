"""Words, shapes, numbers and times; a line of values as a picture; where a notebook opens."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantdesk.hub.app.gallery import look
from quantdesk.hub.app.gallery.lab import home_of, opening
from quantdesk.hub.app.gallery.sparkline import Spark
from quantdesk.hub.config import HubFiles
from quantdesk.reports.ledger import State, Verdict

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)


def test_every_state_and_verdict_has_a_word_and_a_shape_of_its_own() -> None:
    states = [look.state(one) for one in State]
    assert len({one.word for one in states}) == len(states)
    assert all(one.shape and one.tone for one in states)
    assert len({look.verdict(one).shape for one in Verdict}) == len(Verdict)
    assert sorted(one for group in look.GROUPS.values() for one in group) == sorted(State)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (math.nan, "–"), (0.4, "0.40 s"), (12.34, "12.3 s"), (59.97, "1 min 00 s"), (245, "4 min 05 s"),
     (3599.6, "1 h 00 min"), (7800, "2 h 10 min"), (277_200, "3 d 5 h"), (-3, "0.00 s")],
)  # fmt: skip
def test_durations(seconds: float | None, words: str) -> None:
    assert look.duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "just now"), (-20, "in a moment"), (60, "1 min ago"), (240, "4 min ago"), (-10_800, "in 3 h"),
     (172_800, "2 d ago"), (3599, "1 h ago")],
)  # fmt: skip
def test_how_far_a_moment_is_away(seconds: float, words: str) -> None:
    assert look.ago(NOW - timedelta(seconds=seconds), NOW) == words


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(None, "USD", "–"), (math.inf, "", "–"), (0.0, "bp", "0 bp"), (226_773.41, "USD", "226,773 USD"),
     (-4.25, "%", "−4.25 %"), (0.95, "", "0.95"), (1234.5, "", "1,234.5"), (2000.0, "", "2,000"),
     (1.5e-7, "", "1.5e−07"),
     ("flat", "USD", "flat"), (True, "", "True")],
)  # fmt: skip
def test_numbers(value: float | str | None, unit: str, words: str) -> None:
    assert look.number(value, unit).replace("\N{NO-BREAK SPACE}", " ") == words


@given(st.floats())
def test_a_number_of_any_size_is_short_and_read_back_close(value: float) -> None:
    words = look.number(value)
    assert len(words) <= 24
    if abs(value) < 1e308:
        assert math.isclose(float(words.replace("−", "-").replace(",", "")), value, rel_tol=1e-3)


def test_times_are_in_utc_and_keep_the_moment() -> None:
    at = datetime(2026, 11, 27, 22, 30, 5, tzinfo=UTC).astimezone(__import__("zoneinfo").ZoneInfo("Asia/Tokyo"))
    assert look.moment(at) == '<time datetime="2026-11-27T22:30:05Z" data-utc>2026-11-27 22:30 UTC</time>'
    assert "22:30:05 UTC" in look.moment(at, seconds=True)
    assert look.moment(None) == "–"


def test_values_and_sizes_are_cut_where_they_are_long() -> None:
    assert look.value("x" * 500) == "x" * 399 + "…"
    assert [look.value(one) for one in ("", None, [1, "a"], True)] == ["“”", "none", '[1, "a"]', "true"]
    assert [look.size(one) for one in (None, 12, 1_234, 5_600_000, 7e9)] == ["–", "12 B", "1.2 kB", "5.6 MB", "7.00 GB"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40),
       st.none() | st.floats(allow_nan=False, allow_infinity=False))  # fmt: skip
def test_a_line_of_values_stays_in_its_picture(values: list[float], upper: float | None) -> None:
    spark = Spark('<b>"m"', "USD", tuple(values), upper=upper)
    picture = ElementTree.fromstring(spark.svg())
    assert picture.attrib["aria-label"] == spark.words
    line = next(one for one in picture if one.tag.endswith("polyline"))
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert len(points) == len(values)
    assert all(0 <= x <= 132 and 0 <= y <= 34 for x, y in points)
    assert "style" not in spark.svg()


def test_the_picture_says_in_words_what_it_shows() -> None:
    spark = Spark("Loss", "USD", (1.0, 3.0, 2.5), upper=2.0)
    assert spark.words.replace("\N{NO-BREAK SPACE}", " ") == (
        "Loss over 3 runs: from 1 USD to 3 USD, last 2.5 USD, outside of its bounds"
    )
    assert "qg-bound" in spark.svg()
    assert not Spark("Loss", "", (1.0,), lower=0.0).is_outside
    assert Spark("Loss", "", (-1.0,), lower=0.0).is_outside
    # A bound far away would flatten the line: it is left out.
    assert "qg-bound" not in Spark("Loss", "", (1.0, 2.0), upper=1e6).svg()


def test_a_notebook_opens_in_the_home_of_who_looks(tmp_path: Path) -> None:
    home = tmp_path / "homes" / "ana"
    (home / "my work").mkdir(parents=True)
    own = home / "my work" / "idea #1.ipynb"
    assert opening(own, home).path == "hub/user-redirect/lab/tree/my%20work/idea%20%231.ipynb"
    assert opening(own, home).why == ""
    other = opening(tmp_path / "notebooks" / "daily_risk.ipynb", home)
    assert other.path == "hub/user-redirect/lab"
    assert "card Template" in other.why
    assert "daily_risk" in other.why
    out = home / "link.ipynb"
    out.symlink_to(tmp_path / "elsewhere.ipynb")
    assert opening(out, home).path == "hub/user-redirect/lab"


def test_the_home_is_that_of_the_account(tmp_path: Path) -> None:
    files = HubFiles(tmp_path)
    assert home_of("ana", files) == tmp_path / "homes" / "ana"
    files.root.mkdir()
    files.accounts.write_text("no json", "utf-8")
    assert home_of("ana", files) == tmp_path / "homes" / "ana"
