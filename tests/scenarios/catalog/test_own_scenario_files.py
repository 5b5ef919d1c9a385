"""A user's TOML file: it is read, it runs at once, and each wrong field is one clear sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantdesk.errors import BadInput, UnknownName
from quantdesk.market import MarketStore
from quantdesk.scenarios import catalog
from quantdesk.scenarios.catalog import ScenarioConfig
from quantdesk.scenarios.replay import replay

MINE = """\
name = "mini_crash_2018"
title = "December 2018"
summary = "The worst December since 1931."
aliases = ["december"]
start = 2018-12-03
end = 2018-12-24
history_days = 100
assets = ["SPX", "AAPL", { symbol = "VIX" }]
figures = [
  { what = "return", symbol = "SPX", value = -15.7, tolerance = 0.1, source = "closes" },
]
sources = ["my notes"]

[[closures]]
exchange = "XNYS"
first = 2018-12-05
last = 2018-12-05
reason = "a day of mourning"
source = "NYSE"
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file = tmp_path / "mini.toml"
    file.write_text(MINE, encoding="utf-8")
    return file


def test_a_file_is_loaded_by_its_path_and_runs_at_once(mine: Path, store: MarketStore) -> None:
    scenario = catalog.load(str(mine))
    assert scenario == catalog.load(mine)
    path = replay(scenario, store)
    assert path.symbols == ("SPX", "AAPL", "VIX")
    assert path.share_real() == 1.0


def test_a_folder_of_the_settings_stands_beside_the_bundled_ones(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTDESK_SCENARIOS_FOLDER", str(mine.parent))
    assert catalog.names()[-1] == "mini_crash_2018"
    assert len(catalog.all()) == 12
    assert catalog.resolve("december") == "mini_crash_2018"
    assert catalog.load("mini_crash").title == "December 2018"


def test_a_name_that_is_taken_is_refused(mine: Path) -> None:
    (mine.parent / "again.toml").write_text(MINE, encoding="utf-8")
    with pytest.raises(BadInput, match=r"mini\.toml has the name of another scenario, 'mini_crash_2018'"):
        catalog.names(ScenarioConfig(folder=mine.parent))
    mine.write_text(MINE.replace("mini_crash_2018", "covid_2020"), encoding="utf-8")
    (mine.parent / "again.toml").unlink()
    with pytest.raises(BadInput, match="'covid_2020'"):
        catalog.names(ScenarioConfig(folder=mine.parent))


def test_a_path_does_not_pass_for_a_bundled_scenario(mine: Path) -> None:
    mine.write_text(MINE.replace("mini_crash_2018", "covid_2020"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"mini\.toml has the name of another scenario, 'covid_2020'"):
        catalog.load(mine)
    bundled = Path(catalog.__file__).with_name("covid_2020.toml")
    assert catalog.load(bundled) == catalog.load("covid_2020")


def test_a_slip_in_the_name_of_a_field_is_one_fault(mine: Path) -> None:
    mine.write_text(MINE.replace("tolerance = 0.1", "tollerance = 0.1"), encoding="utf-8")
    with pytest.raises(BadInput) as refused:
        catalog.load(mine)
    assert refused.value.problem.count("line") == 1


def test_a_short_name_that_two_have_is_ambiguous(mine: Path) -> None:
    mine.write_text(MINE.replace('"december"', '"covid"'), encoding="utf-8")
    with pytest.raises(UnknownName, match="covid_2020 or mini_crash_2018"):
        catalog.resolve("covid", ScenarioConfig(folder=mine.parent))


def test_a_folder_that_is_none_is_refused(mine: Path) -> None:
    with pytest.raises(BadInput, match="is no folder"):
        catalog.names(ScenarioConfig(folder=mine))


def test_without_a_folder_there_are_the_bundled_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUANTDESK_SCENARIOS_FOLDER", raising=False)
    assert ScenarioConfig.from_env().folder is None
    assert len(catalog.names()) == 11


FAULTS = [
    # what is written, what it becomes, and what must be said: line, field, value, remedy
    ("start = 2018-12-03", 'start = "soon"', ["line 5: start is 'soon'", "should be a valid date"]),
    ("history_days = 100", "history_days = -1", ["line 7: history_days is -1", "greater than or equal to 0"]),
    ("history_days = 100", "histroy_days = 100", ["line 7: there is no field histroy_days", "mean history_days"]),
    ('title = "December 2018"', "", ["title is missing"]),
    ('name = "mini_crash_2018"', 'name = "Mini Crash"', ["line 1: name is 'Mini Crash'", "match pattern"]),
    ('value = -15.7', 'value = "much"', ["line 10: figures[1].value is 'much'", "valid number"]),
    ("value = -15.7", "value = nan", ["line 10: figures[1].value is nan", "finite"]),
    ('what = "return"', 'what = "fall"', ["line 10: figures[1].what is 'fall'", "'return'", "'worst_day'"]),
    ("tolerance = 0.1", "tollerance = 0.1", ["there is no field figures[1].tollerance", "Did you mean tolerance"]),
    ("last = 2018-12-05", "last = 5", ["line 17: closures[1].last is 5"]),
    ('reason = "a day of mourning"', "", ["line 14: closures[1].reason is missing"]),
    ('{ symbol = "VIX" }', '{ symbol = "VIX", kind = "fear" }', ["line 8: assets[3].kind is 'fear'", "'volatility'"]),
    ('"AAPL"', '"aapl"', ["assets[2].symbol is 'aapl'", "match pattern"]),
    ("end = 2018-12-24", "end = 2018-12-01", ["begins on 2018-12-03, after its end on 2018-12-01"]),
    ('"AAPL"', '"SPX"', ["the asset SPX stands twice"]),
    ("assets = [", "assets = 5 #", ["line 8: assets is 5"]),
]  # fmt: skip


@pytest.mark.parametrize(("written", "wrong", "said"), FAULTS)
def test_a_wrong_field_is_named_with_line_and_value(mine: Path, written: str, wrong: str, said: list[str]) -> None:
    assert written in MINE
    mine.write_text(MINE.replace(written, wrong, 1), encoding="utf-8")
    with pytest.raises(BadInput) as refused:
        catalog.load(mine)
    for words in ["mini.toml", *said]:
        assert words in str(refused.value)


def test_every_wrong_field_has_a_sentence_of_its_own(mine: Path) -> None:
    mine.write_text(MINE.replace("-15.7", '"x"').replace("100", '"y"').replace('"my notes"', ""), encoding="utf-8")
    with pytest.raises(BadInput) as refused:
        catalog.load(mine)
    assert str(refused.value).count("mini.toml, line") == 3


def test_many_wrong_fields_are_counted(mine: Path) -> None:
    mine.write_text(MINE + "\n".join(f"[extra_{n}]" for n in range(12)), encoding="utf-8")
    with pytest.raises(BadInput, match="4 more fields of"):
        catalog.load(mine)


def test_a_waypoint_of_no_asset_is_refused(mine: Path) -> None:
    extra = '\n[[waypoints]]\nsymbol = "WTI"\non = 2018-12-10\nvalue = 51.0\nsource = "EIA"\n'
    mine.write_text(MINE + extra, encoding="utf-8")
    with pytest.raises(BadInput, match="the waypoint of WTI on 2018-12-10 is of no asset"):
        catalog.load(mine)


def test_what_is_not_toml_is_refused_with_its_line(mine: Path) -> None:
    mine.write_text(MINE.replace("start = 2018-12-03", "start = = 3"), encoding="utf-8")
    with pytest.raises(BadInput, match=r"is not TOML: .*line 5"):
        catalog.load(mine)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        catalog.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    with pytest.raises(BadInput, match="not UTF-8"):
        catalog.load(tmp_path / "latin.toml")
