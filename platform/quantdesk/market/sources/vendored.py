"""One verified file of a package, and the description that its series share."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from quantdesk.market.publication import POLICIES
from quantdesk.market.series import FIELDS, Description, Flags
from quantdesk.market.sources.protocol import RawSeries

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["VendoredFile"]


@dataclass(frozen=True)
class VendoredFile:
    """A file that was held against the manifest.

    Attributes
    ----------
    name
        Its name, without a folder.
    content
        Its bytes.
    sha256, package, version, licence
        As the manifest has them.
    """

    name: str
    content: io.BytesIO
    sha256: str
    package: str
    version: str
    licence: str

    def table(self, date: str, content: IO[bytes] | None = None, **options: Any) -> pd.DataFrame:
        """The file as a table whose column `date` became ``session``; numbers are exact to the last bit.

        Parameters
        ----------
        date
            Name of the column of dates.
        content
            What to read instead of the file as it is: a member of an archive.
        **options
            For `pandas.read_csv`.
        """
        import pandas as pd

        options["compression"] = "gzip" if self.name.endswith(".csv.gz") else None
        options["float_precision"] = "round_trip"
        table: pd.DataFrame = pd.read_csv(self.content if content is None else content, **options)
        return table.rename(columns={date: "session"})

    def raw(
        self,
        symbol: str,
        frame: pd.DataFrame,
        *,
        adjusted: bool,
        survivors: bool,
        publication: str = "close",
        **about: Any,
    ) -> RawSeries:
        """Describe `frame` (columns session and fields, in any order) as one series of this file.

        Rows in which every field is missing are left out: the file says that there was nothing.
        """
        fields = tuple(field for field in FIELDS if field in frame)
        description = Description(
            symbol=symbol,
            source=self.package.lower(),
            fields=fields,
            package=self.package,
            version=self.version,
            licence=self.licence,
            sha256=self.sha256,
            flags=Flags(real=True, adjusted_with_hindsight=adjusted, survivors_only=survivors),
            publication=publication,
            publication_lag=POLICIES[publication].lag,
            **about,
        )
        kept = frame[["session", *fields]].dropna(subset=list(fields), how="all").reset_index(drop=True)
        return RawSeries(description, kept.astype(dict.fromkeys(fields, "float64")))
