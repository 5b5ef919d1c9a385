"""The two feeds with every quirk that is known of them, and everything that is no feed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantdesk.errors import DataError
from quantdesk.orders.halts.feeds import FeedError, Halt, parse_nasdaq_rss, parse_nyse_csv
from quantdesk.orders.halts.feeds.halt import code_of, is_resumption, market_of, meaning, severity

Text = Callable[..., str]
CHALLENGE = "<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head><body>Checking</body></html>"


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_an_open_halt_of_the_rss(rss: Text) -> None:
    (halt,) = parse_nasdaq_rss(
        rss({"IssueSymbol": "BKSY.W", "HaltTime": "16:05:26.515", "Market": "NYSE", "ReasonCode": "H11"})
    )
    assert halt == Halt(
        symbol="BKSY.W",
        halted_at=utc("2026-11-24 21:05:26.515"),
        code="H11",
        latest="H11",
        name="Abc Corp Cmn",
        exchange="XNYS",
        sources=("nasdaq",),
    )
    assert halt.means == "regulatory concern of another market"


def test_a_volatility_pause_of_the_rss_with_its_resumption(rss: Text) -> None:
    (halt,) = parse_nasdaq_rss(
        rss(
            {
                "ReasonCode": "LUDP",
                "PauseThresholdPrice": "1,012.34",
                "ResumptionDate": "11/24/2026",
                "ResumptionQuoteTime": "10:00:00",
                "ResumptionTradeTime": "10:05:00",
            }
        )
    )
    assert halt.threshold == Decimal("1012.34")
    assert (halt.quoting_resumes_at, halt.trading_resumes_at) == (utc("2026-11-24 15:00"), utc("2026-11-24 15:05"))
    assert [halt.is_halted(utc(f"2026-11-24 {t}")) for t in ("14:59:59", "15:00", "15:04:59", "15:05")] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("10:00:00", "15:00:00"),
        ("9:59:59", "14:59:59"),
        ("10:00:00.5", "15:00:00.500"),
        ("10:00:00.515", "15:00:00.515"),
        ("10:00:00                      .590", "15:00:00.590"),
        ("10:00:00.1234567", "15:00:00.123456"),
    ],
)
def test_times_with_and_without_fractions(rss: Text, time: str, expected: str) -> None:
    assert parse_nasdaq_rss(rss({"HaltTime": time}))[0].halted_at == utc(f"2026-11-24 {expected}")


def test_summer_and_winter_of_new_york(rss: Text) -> None:
    summer, winter = parse_nasdaq_rss(rss({"HaltDate": "07/24/2026", "IssueSymbol": "S"}, {"IssueSymbol": "W"}))
    assert (summer.halted_at.hour, winter.halted_at.hour) == (14, 15)


def test_a_day_without_a_time_is_no_resumption(rss: Text) -> None:
    (halt,) = parse_nasdaq_rss(rss({"ResumptionDate": "11/25/2026"}))
    assert halt.trading_resumes_at is None
    (halt,) = parse_nasdaq_rss(rss({"ResumptionTradeTime": "10:30:00"}))
    assert halt.trading_resumes_at is None


def test_a_resumption_before_the_halt_is_not_believed(rss: Text, nyse: Text) -> None:
    before = {"ResumptionDate": "11/24/2026", "ResumptionTradeTime": "09:00:00", "ResumptionQuoteTime": "09:00:00"}
    row = "2026-11-24,10:00:00,ABC,Abc,Nasdaq,News Pending,2026-11-24,09:00:00"
    for (halt,) in (parse_nasdaq_rss(rss(before)), parse_nyse_csv(nyse(row))):
        assert halt.trading_resumes_at is None
        assert halt.quoting_resumes_at is None
        assert "before the halt, was not believed" in halt.remark
        assert halt.is_halted(utc("2026-11-25 15:00"))


def test_elements_that_may_be_missing_and_letters_of_markets(rss: Text) -> None:
    text = rss({"PauseThresholdPrice": None, "ResumptionQuoteTime": None, "Market": None, "Mkt": "Q"})
    assert parse_nasdaq_rss(text)[0].exchange == "XNAS"


def test_a_feed_without_halts_says_so(rss: Text) -> None:
    assert parse_nasdaq_rss(rss()) == []
    assert parse_nasdaq_rss("\ufeff" + rss()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CHALLENGE, "page for people"),
        ("  \n<HTML><body>no</body></HTML>", "page for people"),
        ("", "sent nothing"),
        ("{}", "cannot be read"),
        ("<rss><channel><item>", "cannot be read"),
        ("<feed/>", "no RSS"),
        ("<rss version='2.0'></rss>", "no RSS"),
        ("<rss><channel><title>News</title></channel></rss>", "not the feed of trade halts"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><rss><channel><title>&b;</title></channel></rss>', "not safe"),
        (
            '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;">]><rss>&d;</rss>',
            "not safe",
        ),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><rss><channel/></rss>', "not safe"),
    ],
)
def test_what_is_no_rss_feed_is_an_error_and_never_no_halts(text: str, words: str) -> None:
    with pytest.raises(FeedError, match=words):
        parse_nasdaq_rss(text)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"HaltTime": ""}, "has no HaltTime"),
        ({"IssueSymbol": ""}, "has no IssueSymbol"),
        ({"ReasonCode": None}, "has no ReasonCode"),
        ({"HaltDate": "24.11.2026"}, "cannot be read"),
        ({"HaltDate": "02/30/2026"}, "cannot be read"),
        ({"HaltTime": "25:00:00"}, "cannot be read"),
        ({"ResumptionDate": "soon", "ResumptionTradeTime": "10:00:00"}, "cannot be read"),
        ({"PauseThresholdPrice": "much"}, "threshold price 'much'"),
        ({"PauseThresholdPrice": "-1"}, "threshold price '-1'"),
    ],
)
def test_an_item_that_lacks_what_all_have_spoils_the_feed(rss: Text, item: dict[str, str], words: str) -> None:
    with pytest.raises(FeedError, match=words):
        parse_nasdaq_rss(rss({}, item))


def test_items_that_were_lost_are_noticed(rss: Text) -> None:
    with pytest.raises(FeedError, match="announces 3 items and holds 1"):
        parse_nasdaq_rss(rss({}, declared=3))


def test_rows_of_the_csv(nyse: Text) -> None:
    halts = parse_nyse_csv(
        nyse(
            '2026-08-07,19:50:00,TNONW,"""Tenon Medical, Inc. Warrant""",Nasdaq,News Pending,,',
            '2026-08-07,16:05:26,BKSY WS,"""BlackSky, one-eighth (1/8th) of a share """,NYSE,Regulatory Concern,,',
            "2026-08-07,15:42:38,MB,MasterBeef Group,Nasdaq,LULD pause,2026-08-07,16:00:00",
            "08/06/2026,15:42:38,OLD,Old form of dates,Nasdaq,LULD PAUSE,08/06/2026,15:47:38",
            "",
        )
    )
    assert [(h.symbol, h.code, h.exchange) for h in halts] == [
        ("OLD", "LUDP", "XNAS"),
        ("MB", "LUDP", "XNAS"),
        ("BKSY.W", "H11", "XNYS"),
        ("TNONW", "T1", "XNAS"),
    ]
    assert [h.name for h in halts][2:] == ["BlackSky, one-eighth (1/8th) of a share", "Tenon Medical, Inc. Warrant"]
    assert halts[1].trading_resumes_at == utc("2026-08-07 20:00")


def test_duplicate_rows_are_one_halt_and_the_one_with_a_resumption_counts(nyse: Text) -> None:
    rows = [
        "2026-09-11,19:50:00,CLSD,Clearside,Nasdaq,News pending,2026-09-14,09:05:00",
        "2026-09-11,19:50:00,CLSD,Clearside,Nasdaq,News Pending,,",
    ]
    for order in (rows, rows[::-1]):
        (halt,) = parse_nyse_csv(nyse(*order))
        assert (halt.code, halt.trading_resumes_at) == ("T1", utc("2026-09-14 13:05"))


def test_see_subsequent_halt_ends_with_the_next_one(nyse: Text) -> None:
    first = "2026-09-24,09:31:00,C,C,NYSE,LULD pause,See Subsequent Halt,See Subsequent Halt"
    (alone,) = parse_nyse_csv(nyse(first))
    assert (alone.continued, alone.trading_resumes_at) == (True, None)
    open_, after = parse_nyse_csv(nyse(first, "2026-09-24,09:40:00,C,C,NYSE,News Pending,,"))
    assert (open_.trading_resumes_at, after.trading_resumes_at) == (None, None)
    chain = parse_nyse_csv(
        nyse(
            first,
            "2026-09-24,09:40:00,C,C,NYSE,LULD pause,See Subsequent Halt,See Subsequent Halt",
            "2026-09-24,09:50:00,C,C,NYSE,News Pending,2026-09-24,11:00:00",
        )
    )
    assert [h.trading_resumes_at for h in chain] == [utc("2026-09-24 15:00")] * 3


def test_a_header_alone_says_that_there_are_none(nyse: Text) -> None:
    assert parse_nyse_csv(nyse()) == []
    assert parse_nyse_csv("\ufeff" + nyse().replace("Symbol,Name", "SYMBOL, name")) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CHALLENGE, "page for people"),
        ("", "sent nothing"),
        ("\n\n", "sent nothing"),
        ('{"results": []}', "lacks the column"),
        ("Symbol,Reason\nA,B\n", "lacks the column 'Halt Date'"),
    ],
)
def test_what_is_no_csv_feed_is_an_error_and_never_no_halts(text: str, words: str) -> None:
    with pytest.raises(FeedError, match=words):
        parse_nyse_csv(text)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("2026-08-07,19:50:00,A,A,Nasdaq", "has 5 fields, not 8"),
        ("2026-08-07,19:50:00,A,A,Nasdaq,News Pending,,,", "has 9 fields"),
        ('2026-08-07,19:50:00,A,"""Cut off', "cannot be read"),
        ("2026-08-07,19:50,A,A,Nasdaq,News Pending,,", "cannot be read"),
        ("2026-08-07,19:50:00,,A,Nasdaq,News Pending,,", "names nothing"),
        ("2026-08-07,19:50:00,A,A,Nasdaq,News Pending,tomorrow,09:30:00", "cannot be read"),
    ],
)
def test_a_row_that_is_none_spoils_the_file(nyse: Text, row: str, words: str) -> None:
    with pytest.raises(FeedError, match=words):
        parse_nyse_csv(nyse("2026-08-07,15:42:38,MB,MasterBeef,Nasdaq,LULD pause,,", row))


def test_a_feed_error_is_a_data_error_with_its_exit_code() -> None:
    assert issubclass(FeedError, DataError)
    assert FeedError.exit_code == 3


def test_a_symbol_in_a_form_of_its_own_spoils_nothing(rss: Text) -> None:
    odd, plain = parse_nasdaq_rss(rss({"IssueSymbol": "A-B*C"}, {"IssueSymbol": "ABC", "HaltTime": "11:00:00"}))
    assert (odd.symbol, plain.symbol) == ("A-B*C", "ABC")
    assert "a form of its own" in odd.remark


def test_codes_reasons_and_markets() -> None:
    assert meaning("LUDP") == "volatility pause at a price band"
    assert meaning("T3").startswith("news is out")
    assert "does not know (X9)" in meaning("X9")
    assert (is_resumption("T3"), is_resumption("T1"), is_resumption("X9")) == (True, False, False)
    assert [severity(code) for code in ("MWC1", "H10", "T1", "O1", "LUDP", "X9")] == [5, 4, 3, 2, 1, 3]
    assert [code_of(text) for text in ("News  pending", "LULD PAUSE", "T12", "Bad weather")] == [
        "T1",
        "LUDP",
        "T12",
        "BAD WEATHER",
    ]
    assert [market_of(text) for text in ("NASDAQ", "NYSE American", "p", "Mars")] == ["XNAS", "XASE", "ARCX", "Mars"]


HALTING = """T1 T2 T5 T6 T8 T12 H4 H9 H10 H11 O1 LUDP LUDS MWC0 MWC1 MWC2 MWC3 IPO1 M1 M2 M D"""
RESUMING = """T3 T7 R1 R2 R4 R9 C3 C4 C9 C11 MWCQ IPOQ IPOE"""


def test_every_code_of_the_facts_is_known() -> None:
    assert [code for code in (HALTING + " " + RESUMING).split() if "does not know" in meaning(code)] == []
    assert [code for code in HALTING.split() if is_resumption(code)] == []
    assert [code for code in RESUMING.split() if not is_resumption(code)] == []


def test_a_halt_goes_to_text_and_back(rss: Text) -> None:
    (halt,) = parse_nasdaq_rss(rss({"PauseThresholdPrice": "1.5", "HaltTime": "10:00:00.515"}))
    assert Halt.from_dict(halt.to_dict()) == halt
    for wrong in ({}, {**halt.to_dict(), "halted_at": "2026-11-24T10:00:00"}, {**halt.to_dict(), "threshold": "x"}):
        with pytest.raises(DataError, match="no halt"):
            Halt.from_dict(wrong)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2000), st.booleans())
def test_a_feed_that_is_cut_anywhere_is_an_error_or_the_whole(cut: int, of_csv: bool) -> None:
    from quantdesk.orders.halts.feeds import parse_nasdaq_rss as by_rss

    text = WHOLE_CSV if of_csv else WHOLE_RSS
    part = text[: max(0, len(text) - 1 - cut)]
    try:
        found = parse_nyse_csv(part) if of_csv else by_rss(part)
    except FeedError:
        return
    if not of_csv:
        assert len(found) == 2
    else:  # a cut between two rows cannot be seen in the text: the length that HTTP gives shows it
        assert part.rstrip("\n").count("\n") == len(found)


WHOLE_CSV = (
    "Halt Date,Halt Time,Symbol,Name,Exchange,Reason,Resume Date,NYSE Resume Time\n"
    '2026-08-07,19:50:00,TNONW,"""Tenon, Inc""",Nasdaq,News Pending,,\n'
    "2026-08-07,15:42:38,MB,MasterBeef Group,Nasdaq,LULD pause,2026-08-07,16:00:00\n"
)
_ITEM = (
    "<item><ndaq:HaltDate>08/07/2026</ndaq:HaltDate><ndaq:HaltTime>10:00:0{n}</ndaq:HaltTime>"
    "<ndaq:IssueSymbol>A{n}</ndaq:IssueSymbol><ndaq:ReasonCode>T1</ndaq:ReasonCode></item>"
)
WHOLE_RSS = (
    '<rss xmlns:ndaq="http://www.nasdaqtrader.com/"><channel><title>t</title><ndaq:numItems>2</ndaq:numItems>'
    + _ITEM.format(n=1)
    + _ITEM.format(n=2)
    + "</channel></rss>"
)
