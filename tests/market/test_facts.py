"""A user's own actions and universes: loaded whole or not at all, added to and never rewritten."""

from __future__ import annotations

import datetime as dt
import errno

import pandas as pd
import pytest

from quantdesk.errors import BadDates, BadInput, DataError, EnvironmentProblem, UnknownName
from quantdesk.market import MarketStore, load
from quantdesk.market.actions.intake import load_actions, loaded_actions, remove_actions
from quantdesk.market.facts import FactMapping
from quantdesk.market.universes import Membership, Universe
from quantdesk.market.universes.intake import load_universe, loaded_universe, remove_universe

ACTIONS = """symbol,kind,ex_date,value,known_at,currency
TEST,split,2020-01-08,7:1,2019-12-01T09:00:00-05:00,
TEST,dividend,2020-01-06,0.50,2019-12-20T16:30:00-05:00,USD
OTHER,dividend,2020-01-06,0.1,,
"""
MEMBERS = """symbol,start,end,known_at,end_known_at
LIVES,2007-01-03,,2006-12-15,
FAILS,2007-01-03,2008-09-12,2006-12-15,2008-09-15
LATER,2008-09-16,,2008-09-10,
BACK,2007-01-03,2007-06-29,2006-12-15,
BACK,2008-01-02,,2007-12-14,
"""


def written(folder, text, name="mine.csv"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.fixture
def market(tmp_path, closes, made):
    load([made("made", [closes(rows=10)])], tmp_path / "market")
    return MarketStore(tmp_path / "market")


def test_a_users_actions_adjust_a_users_prices(tmp_path, market):
    assert load_actions(written(tmp_path, ACTIONS), market.root) == ("mine", 3)
    split, dividend = sorted(loaded_actions(market.root, "TEST"), key=lambda one: one.kind, reverse=True)
    assert (split.value, split.label, split.source, split.currency) == (7.0, "real", "mine", "")
    assert split.known_at == dt.datetime(2019, 12, 1, 14, tzinfo=dt.UTC)
    assert dividend.known_at == dt.datetime(2019, 12, 20, 21, 30, tzinfo=dt.UTC)
    (other,) = loaded_actions(market.root, "OTHER")
    assert (other.currency, other.known_at) == ("USD", dt.datetime(2020, 1, 6, 14, 30, tzinfo=dt.UTC))
    found = market.adjusted("TEST")
    assert found.labels == ("not_real",)
    assert found.actions == (dividend, split)
    raw = found.frame["traded_close"].tolist()
    assert found.frame["close"].tolist()[4:] == raw[4:]
    step = raw[4] / (7 * raw[4])
    assert found.frame["close"].iloc[3] == pytest.approx(raw[3] * step)
    assert found.frame["close"].iloc[0] == pytest.approx(raw[0] * step * raw[2] / (raw[2] + 0.5))
    eve = market.adjusted("TEST", as_of="2020-01-07")
    assert eve.frame["close"].tolist()[2:] == raw[2:4]


def test_parquet_and_another_mapping_say_the_same(tmp_path, market):
    frame = pd.DataFrame(
        {"Ticker": ["TEST/A"], "what": ["Dividend"], "day": [dt.date(2020, 1, 6)], "cash": [0.5], "told": [pd.NaT]}
    )
    frame.to_parquet(tmp_path / "own.parquet")
    mapping = FactMapping(
        name="vendor",
        columns={"symbol": "Ticker", "kind": "what", "ex_date": "day", "value": "cash"},
        symbols={"TEST/A": "TEST"},
        real=False,
    )
    assert load_actions(tmp_path / "own.parquet", market.root, mapping) == ("vendor", 1)
    (found,) = loaded_actions(market.root, "TEST")
    assert (found.value, found.label, found.ex_date) == (0.5, "reconstructed", dt.date(2020, 1, 6))


def test_a_mapping_beside_the_file_is_read(tmp_path, market):
    written(tmp_path, 'name = "desk"\ndelimiter = ";"\ndecimal = ","\ncurrency = "EUR"\n', "mine.toml")
    load_actions(written(tmp_path, "symbol;kind;ex_date;value\nTEST;dividend;2020-01-06;0,5\n"), market.root)
    (found,) = loaded_actions(market.root, "TEST")
    assert (found.source, found.value, found.currency) == ("desk", 0.5, "EUR")


def test_a_correction_is_added_and_what_was_known_cannot_be_rewritten(tmp_path, market):
    load_actions(written(tmp_path, ACTIONS), market.root)
    assert load_actions(written(tmp_path, ACTIONS), market.root) == ("mine", 0)
    before = (market.root / "actions" / "mine.parquet").read_bytes()
    with pytest.raises(BadInput, match=r"hold value = 0\.5 for TEST, dividend, 2020-01-06.*the file says 0\.4"):
        load_actions(written(tmp_path, ACTIONS.replace("0.50", "0.40")), market.root)
    assert (market.root / "actions" / "mine.parquet").read_bytes() == before
    mended = "symbol,kind,ex_date,value,known_at\nTEST,dividend,2020-01-06,0.40,2020-01-09\n"
    assert load_actions(written(tmp_path, mended), market.root) == ("mine", 1)
    (known,) = [one for one in loaded_actions(market.root, "TEST") if one.value == 0.4]
    assert known.known_at == dt.datetime(2020, 1, 10, 4, 59, 59, 999999, tzinfo=dt.UTC), "a date means its end there"
    assert [one.value for one in market.adjusted("TEST", as_of="2020-01-08").actions] == [0.5, 7.0]
    assert [one.value for one in market.adjusted("TEST", as_of="2020-01-10").actions] == [0.4, 7.0]


HEAD = "symbol,kind,ex_date,value,known_at,currency\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "TEST,merger,2020-01-06,1,,\n", r"line 2, column kind: 'merger' is no kind of action.*dividend, split"),
        (HEAD + "TEST,split,2020-13-06,2,,\n", r"line 2, column ex_date: '2020-13-06' is no date"),
        (HEAD + "TEST,split,,2,,\n", r"line 2, column ex_date"),
        (HEAD + "TEST,split,2020-01-06,two,,\n", r"column value: 'two' is no number.*7:1"),
        (HEAD + "TEST,split,2020-01-06,7:0,,\n", r"'7:0' is no number"),
        (HEAD + "TEST,split,2020-01-06,0,,\n", r"'0' cannot be the value of a split"),
        (HEAD + "TEST,dividend,2020-01-06,-1,,\n", r"'-1' cannot be the value of a dividend"),
        (HEAD + "TEST,dividend,2020-01-06,inf,,\n", r"'inf' cannot be the value"),
        (HEAD + "TEST,dividend,2020-01-06,1,2020-01-05 10:00,\n", r"has a time of day but no time zone"),
        (HEAD + "TEST,dividend,2020-01-06,1,yesterday,\n", r"'yesterday' is no time"),
        (HEAD + "TEST,dividend,2020-01-06,1,,dollars\n", r"'dollars' is no currency"),
        (HEAD + "TE ST,dividend,2020-01-06,1,,\n", r"'TE ST' cannot be used as a symbol"),
        (HEAD + "TEST,dividend,1300-01-06,1,,\n", r"1886 to 2200|no date"),
        (HEAD + "T,split,2020-01-06,2,,\nT,split,2020-01-06,3,,\n", r"line 3.*second split of T.*line 2"),
        (HEAD, r"holds no rows"),
        ("", r"is empty"),
        ("symbol,kind,ex_date\nT,split,2020-01-06\n", r"no column that looks like value"),
        (HEAD + "TEST,split\n", r"line 2 has 2 fields, and the header 6"),
    ],
)
def test_a_file_that_cannot_be_is_refused_whole(tmp_path, market, text, said):
    with pytest.raises(DataError, match=said):
        load_actions(written(tmp_path, text), market.root)
    assert not (market.root / "actions").exists()


def test_other_trouble_has_one_clear_error(tmp_path, market, monkeypatch):
    with pytest.raises(BadInput, match="There is no file"):
        load_actions(tmp_path / "none.csv", market.root)
    with pytest.raises(BadInput, match="cannot name its facts"):
        load_actions(written(tmp_path, ACTIONS, "My File!.csv"), market.root)
    with pytest.raises(BadInput, match="The mapping names a column 'when'"):
        load_actions(written(tmp_path, ACTIONS), market.root, FactMapping(columns={"when": "ex_date"}))
    with pytest.raises(DataError, match="has no column 'Tick'"):
        load_actions(written(tmp_path, ACTIONS), market.root, FactMapping(columns={"symbol": "Tick"}))
    with pytest.raises(DataError, match="two columns called"):
        load_actions(written(tmp_path, "symbol,symbol,kind\na,b,c\n"), market.root)
    with pytest.raises(UnknownName, match="mine"):
        remove_actions("mine", market.root)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(EnvironmentProblem, match="disk space"):
        load_actions(written(tmp_path, ACTIONS), market.root)
    assert list((market.root / "actions").glob("*.parquet")) == []


def test_a_file_of_the_store_that_was_cut_is_named(tmp_path, market):
    load_actions(written(tmp_path, ACTIONS), market.root)
    path = market.root / "actions" / "mine.parquet"
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:100] + b"\x55" * 8 + content[108:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"mine\.parquet is damaged"):
            market.adjusted("TEST")
    remove_actions("mine", market.root)
    assert market.actions("TEST") == ()


# Universes.


@pytest.fixture
def members(tmp_path, market):
    mapping = FactMapping(survivors_only=False, note="made up")
    assert load_universe(written(tmp_path, MEMBERS, "index.csv"), market.root, mapping) == ("index", 7)
    return market.universe("index")


def test_members_are_those_of_the_day_as_known_on_it(members):
    assert members.members("2007-03-01") == ("BACK", "FAILS", "LIVES")
    assert members.members("2007-08-01") == ("FAILS", "LIVES")
    assert members.members("2008-09-12") == ("BACK", "FAILS", "LIVES")
    assert members.members("2008-09-13") == ("BACK", "FAILS", "LIVES"), "that it failed was known on the 15th"
    assert members.members("2008-09-16") == ("BACK", "LATER", "LIVES")
    assert members.members("2008-09-13", as_of="2008-09-20") == ("BACK", "LIVES")
    assert members.members("2008-12-01", as_of="2008-01-02") == ("BACK", "FAILS", "LIVES")
    assert members.members("2006-12-31") == ()
    assert members.symbols == ("BACK", "FAILS", "LATER", "LIVES")
    assert members.labels == ()


def test_the_mask_says_the_same_as_the_members(members):
    days = pd.bdate_range("2007-01-01", "2008-12-31", unit="ns")
    mask = members.mask(days)
    closes = members.mask((days + pd.Timedelta("21h")).tz_localize("UTC"), ["LIVES", "FAILS", "NOBODY"])
    for day in days[::17]:
        assert tuple(mask.columns[mask.loc[day]]) == members.members(day)
    assert closes["FAILS"].to_numpy().tolist() == mask["FAILS"].tolist()
    assert not closes["NOBODY"].any()
    late = members.mask(days, as_of=dt.datetime(2009, 1, 1, tzinfo=dt.UTC))
    assert not late.loc["2008-09-15":, "FAILS"].any()


def test_what_was_known_earlier_does_not_change_when_more_is_known(members):
    """The property an audit asks for: membership on a day as of that day needs nothing later."""
    for day in pd.bdate_range("2006-12-01", "2008-12-31", freq="19B"):
        end = (day + pd.Timedelta(days=1)).tz_localize("UTC").to_pydatetime() - dt.timedelta(microseconds=1)
        assert members.truncated(end).members(day) == members.members(day)


def test_the_bundled_panel_says_that_it_survived(store):
    panel = store.universe("skfolio")
    assert panel.labels == ("survivors_only",)
    assert "no index membership" in panel.note
    assert len([name for name in panel.members("2008-09-15") if name in {"AAPL", "JPM", "XOM"}]) == 3
    assert store.universe("bokeh-sampledata").members("2004-08-18") == (
        "AAPL@bokeh-sampledata",
        "IBM",
        "MSFT@bokeh-sampledata",
    )
    with pytest.raises(UnknownName, match="skfolio"):
        store.universe("skfolo")


def test_a_membership_that_cannot_be_is_refused(tmp_path, market):
    for text, said in (
        ("symbol,start,end\nA,2020-01-02,2019-01-02\n", "lies before the start"),
        ("symbol,start,end\nA,,2019-01-02\n", "column start"),
        ("symbol,start,end_known_at\nA,2020-01-02,2020-01-09\n", "exit without a date"),
        ("symbol,start,end\nA,2020-01-02,\nA,2021-01-04,\n", "A is a member from 2020-01-02 to now and again"),
        ("symbol,end\nA,2020-01-02\n", "no column that looks like start"),
    ):
        with pytest.raises(DataError, match=said):
            load_universe(written(tmp_path, text, "bad.csv"), market.root)
    assert not (market.root / "universes").exists()
    with pytest.raises(BadInput, match="Swap the two dates"):
        Membership(symbol="A", start=dt.date(2020, 1, 2), end=dt.date(2019, 1, 2), known_at=dt.datetime.now(dt.UTC))
    with pytest.raises(BadInput, match="Give both, or neither"):
        Membership(symbol="A", start=dt.date(2020, 1, 2), end=dt.date(2021, 1, 2), known_at=dt.datetime.now(dt.UTC))
    with pytest.raises(BadInput, match="zone"):
        Membership(symbol="A", start=dt.date(2020, 1, 2), end=None, known_at=dt.datetime(2020, 1, 1))  # noqa: DTZ001


def test_an_exit_is_added_when_it_becomes_known(tmp_path, market):
    head = "symbol,start,end,known_at,end_known_at\n"
    load_universe(written(tmp_path, head + "A,2020-01-02,,2020-01-01,\n", "u.csv"), market.root)
    left = head + "A,2020-01-02,2020-06-30,2020-01-01,2020-06-01\n"
    assert load_universe(written(tmp_path, left, "u.csv"), market.root) == ("u", 1)
    found = loaded_universe(market.root, "u")
    assert found.members("2020-07-01", as_of="2020-05-01") == ("A",)
    assert found.members("2020-07-01") == ()
    assert found.labels == ("survivors_only",), "what is not declared is taken at its worst"
    again = head + "A,2020-03-02,,2020-01-01,\n"
    with pytest.raises(BadInput, match="again from 2020-03-02"):
        load_universe(written(tmp_path, again, "u.csv"), market.root)
    remove_universe("u", market.root)
    with pytest.raises(UnknownName):
        loaded_universe(market.root, "u")


def test_times_are_checked(members):
    with pytest.raises(BadDates, match="no day"):
        members.members("soon")
    with pytest.raises(BadDates, match="no time zone"):
        members.members("2008-01-02", as_of=dt.datetime(2008, 1, 2, 12))  # noqa: DTZ001
    with pytest.raises(BadDates, match="no time"):
        members.members("2008-01-02", as_of="soon")
    assert members.to_dict()["memberships"][0]["symbol"] == "BACK"
    assert isinstance(members, Universe)
