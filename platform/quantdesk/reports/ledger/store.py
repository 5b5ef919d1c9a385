"""The ledger of runs. An edge module: a database."""

from __future__ import annotations

from types import TracebackType

from pydantic import SecretStr

from quantdesk.records.database import Database
from quantdesk.records.lease import Leases
from quantdesk.records.migrations import brought_up
from quantdesk.reports.ledger.config import RunLedgerConfig
from quantdesk.reports.ledger.deliveries import Deliveries
from quantdesk.reports.ledger.keeping import Keeping
from quantdesk.reports.ledger.queue import Queue
from quantdesk.reports.ledger.remarks import Remarks
from quantdesk.reports.ledger.schedules import Schedules
from quantdesk.reports.ledger.search import Search

__all__ = ["RunLedger"]

SCHEMA = "quantdesk_reports"
VERSIONS = "quantdesk.reports.ledger.versions"


class RunLedger:
    """Runs, schedules, remarks and deliveries, in one database.

    Made by :meth:`open`. One ledger may be used by several threads and processes: writers take turns.

    Parameters
    ----------
    database
        With the tables of the newest revision.

    Attributes
    ----------
    queue
        Runs, as workers see them.
    search
        Runs, as people see them.
    schedules, remarks, deliveries
        The rest.
    keeping
        Which runs keep their files.
    leases
        Who may do something now.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.queue = Queue(database)
        self.search = Search(database)
        self.schedules = Schedules(database)
        self.remarks = Remarks(database)
        self.deliveries = Deliveries(database)
        self.keeping = Keeping(database)
        self.leases = Leases(database)

    @classmethod
    def open(cls, url: str | SecretStr | None = None) -> RunLedger:
        """Open a ledger; one that is not there, or is of an older version, is made or brought up to date.

        Parameters
        ----------
        url
            ``sqlite:///path``, ``sqlite:///:memory:`` or ``postgresql://...``; see :class:`RunLedgerConfig` when None.

        Raises
        ------
        BadInput
            It is no such address.
        EnvironmentProblem
            It cannot be reached or written.
        DataError
            It is damaged, or a newer version of quantdesk wrote it.
        """
        database = Database(RunLedgerConfig.from_env().address if url is None else url, SCHEMA)
        return cls(brought_up(database, VERSIONS))

    def __repr__(self) -> str:
        return f"RunLedger({str(self.database)!r})"

    def __enter__(self) -> RunLedger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. A later question opens new ones."""
        self.database.close()
