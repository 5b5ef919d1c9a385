"""The feed of the New York Stock Exchange: CSV with the trade halts of all US listings. Pure.

https://www.nyse.com/api/trade-halts/current/download, and ``historical/download`` for past days. It gives reasons in
words and times in whole seconds; rows come twice, once with and once without their resumption.
"""

from __future__ import annotations

import csv
import datetime as dt
import io

from quantdesk.orders.halts.feeds.halt import FeedError, Halt, code_of, market_of
from quantdesk.orders.halts.feeds.lifecycle import merged, named
from quantdesk.orders.halts.feeds.times import moment

__all__ = ["parse_nyse_csv"]

_COLUMNS = ("Halt Date", "Halt Time", "Symbol", "Name", "Exchange", "Reason", "Resume Date", "NYSE Resume Time")
_CONTINUED = "see subsequent halt"


def parse_nyse_csv(text: str) -> list[Halt]:
    """The halts of the file, in the order of time, each once; an empty list only where the header stands alone.

    Parameters
    ----------
    text
        What the server answered.

    Raises
    ------
    FeedError
        It is a page for people, it lacks the header or a column, a row has too few or too many fields, a quotation mark
        is open at the end, or a time cannot be read. Nothing of it is believed then.
    """
    plain = text.lstrip("\ufeff \t\r\n")
    if plain.startswith("<"):
        raise FeedError("The server sent a page for people instead of the file.", "It may be a challenge: ask later.")
    try:
        rows = list(csv.reader(io.StringIO(plain, newline=""), strict=True))
    except csv.Error as error:
        raise FeedError(f"The file of halts cannot be read ({error}).", "It may be cut off: ask again.") from error
    if not rows:
        raise FeedError("The server sent nothing, not even the header.", "Ask again later.")
    header = {name.strip().lower(): place for place, name in enumerate(rows[0])}
    missing = [name for name in _COLUMNS if name.lower() not in header]
    if missing:
        raise FeedError(f"The file of halts lacks the column {missing[0]!r}.", f"Its header is {','.join(_COLUMNS)}.")
    halts = []
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(rows[0]):
            raise FeedError(f"Row {number} has {len(row)} fields, not {len(rows[0])}.", "The file may be cut off.")
        halts.append(_halt({name: row[header[name.lower()]].strip() for name in _COLUMNS}, number))
    return merged(halts)


def _halt(row: dict[str, str], number: int) -> Halt:
    where = f"Row {number} ({row['Symbol'] or 'without a symbol'})"
    if not row["Symbol"]:
        raise FeedError(f"{where} names nothing.", "The file may have changed.")
    halted_at = moment(row["Halt Date"], row["Halt Time"], where)
    symbol, remark = named(row["Symbol"])
    resumes: dt.datetime | None = None
    continued = _CONTINUED in f"{row['Resume Date']} {row['NYSE Resume Time']}".lower()
    if not continued and row["Resume Date"] and row["NYSE Resume Time"]:
        resumes = moment(row["Resume Date"], row["NYSE Resume Time"], where)
        if resumes < halted_at:
            remark = f"{remark} A resumption at {resumes.isoformat()}, before the halt, was not believed.".strip()
            resumes = None
    code = code_of(row["Reason"])
    return Halt(
        symbol=symbol,
        halted_at=halted_at,
        code=code,
        latest=code,
        name=" ".join(row["Name"].replace('"', " ").split()),
        exchange=market_of(row["Exchange"]),
        trading_resumes_at=resumes,
        continued=continued,
        sources=("nyse",),
        remark=remark,
    )
