"""What this installation keeps, and where: folders and databases, as its settings say. An edge module: the environment.

The folders of market data, features and reports may lie outside of the state directory, and each database may be a file
or a server. Backup and restore both ask here, so that what is read from one place is put back into the place that the
settings name then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from quantdesk.features.config import FeatureConfig
from quantdesk.features.online.address import OnlineConfig
from quantdesk.hub import database as hub_database
from quantdesk.hub.app.config import ServiceConfig
from quantdesk.hub.config import HubConfig, HubFiles
from quantdesk.market.store.config import MarketConfig
from quantdesk.orders.ledger.config import LedgerConfig
from quantdesk.records.address import Address, parse
from quantdesk.records.database import Database
from quantdesk.reports.ledger.config import RunLedgerConfig
from quantdesk.reports.runs import RunsConfig

__all__ = ["LEDGER", "SCHEMAS", "Plan", "Root", "plan"]

SCHEMAS = {
    "hub": (hub_database.SCHEMA,),
    "service": ("quantdesk_service",),
    "reports": ("quantdesk_reports",),
    "orders": ("quantdesk_ledger",),
    "features": ("quantdesk", "quantdesk_registry"),
    "online": ("quantdesk_online",),
}
"""Of each database, where it is in PostgreSQL."""
LEDGER = "reports"
"""The database that names the folders of runs."""
_UNFINISHED = re.compile(
    r"lost\+found|\.restoring|\.(before-)?restore-[^/]*|\.[^/]*\.tmp|\.new-[^/]*|\.lock|[^/]*\.lock"
)
"""What is being written, what restores keep within a mounted volume, and locks."""


@dataclass(frozen=True)
class Root:
    """A folder that becomes a part.

    Attributes
    ----------
    part, title
        Its name, and what people read.
    path
        Where it is.
    leave
        Which paths below it are no part of it.
    lock
        What writers hold: it is held while the folder is read.
    open_links, copies
        See :func:`.tree.take`: links of users may lead out; databases of ours are copied as one state.
    """

    part: str
    title: str
    path: Path
    leave: Callable[[str], bool]
    lock: Path | None = None
    open_links: bool = False
    copies: bool = True


@dataclass(frozen=True)
class Plan:
    """All of it.

    Attributes
    ----------
    files
        Of the hub.
    reports
        The folder of the reports, as the settings name it and the ledger knows it.
    roots
        In the order in which they are read. That of the reports is one of them.
    databases
        By name the path of a file, the address of a PostgreSQL database, or what is shown of a Redis.
    isolated
        Whether each user has an account of his own.
    """

    files: HubFiles
    reports: Path
    isolated: bool
    roots: tuple[Root, ...] = ()
    databases: dict[str, Path | Address | str] = field(default_factory=dict)

    def root(self, part: str) -> Root | None:
        """The folder of a part."""
        return next((one for one in self.roots if one.part == part), None)

    def holder(self, path: Path) -> tuple[str, str] | None:
        """The part that a file is in, and where in it; the innermost one."""
        fitting = [one for one in self.roots if path.is_relative_to(one.path)]
        if not fitting:
            return None
        best = max(fitting, key=lambda one: len(one.path.parts))
        return best.part, str(path.relative_to(best.path))


def plan(config: HubConfig, files: HubFiles, *, homes: bool = True) -> Plan:
    """What the settings of this process say.

    Parameters
    ----------
    config, files
        Of the hub.
    homes
        Whether the users' homes and the teams' folders are wanted.

    Raises
    ------
    BadInput
        An address of a database cannot be read.
    """
    market, features = MarketConfig.from_env().root, FeatureConfig.from_env()
    reports = RunsConfig.from_env().reports_root.absolute()
    state = files.state
    databases: dict[str, Path | Address | str] = {
        "hub": hub_database.place(config, files),
        "service": _place(ServiceConfig.from_env().database_url.get_secret_value()),
        "reports": _place(RunLedgerConfig.from_env().address.get_secret_value()),
        "orders": _place(LedgerConfig.from_env().address.get_secret_value()),
    }
    if features.url is not None:
        databases["features"] = parse(features.url, "A feature store")
    online = OnlineConfig.from_env().url
    if online is not None and online.get_secret_value():
        databases["online"] = _online(online.get_secret_value())
    ledger = databases[LEDGER]
    skipped = {"scratch", "trash", "control", *_database_files("ledger.sqlite")}
    if isinstance(ledger, Path) and ledger.is_relative_to(reports.resolve()):
        skipped |= set(_database_files(str(ledger.relative_to(reports.resolve()))))
    inner = [
        Root("market", "Market data", market.resolve(), _leaving(), lock=market / ".lock"),
        Root("features", "Features", features.root.resolve(), _leaving(), lock=features.root / ".lock"),
        Root("reports", "Reports and runs", reports.resolve(), _leaving(*skipped)),
        Root("homes", "Homes", files.homes.resolve(), _in_homes, open_links=True, copies=False),
        Root("shared", "Team folders", (state / "shared").resolve(), _leaving(), open_links=True, copies=False),
        Root("hub", "Hub: users, secrets", files.root, _in_hub),
    ]
    gone = {"proxy", "lab"}  # `quantdesk up` makes them again
    gone |= {str(one.path.relative_to(state)) for one in inner if one.path.is_relative_to(state)}
    if isinstance(ledger, Path) and ledger.is_relative_to(state):
        gone |= set(_database_files(str(ledger.relative_to(state))))
    wanted = [one for one in inner if homes or one.part not in ("homes", "shared")]
    rest = Root("rest", "Service, orders, the rest", state, _leaving(*gone))
    return Plan(files, reports, config.isolated, (*wanted, rest), databases)


def _place(url: str) -> Path | Address | str:
    place = Database(url).place
    return place.parent.resolve() / place.name if isinstance(place, Path) else place


def _online(url: str) -> Path | Address | str:
    from quantdesk.features.online.address import Address as OnlineAddress

    found = OnlineAddress(url)
    return found.shown if found.scheme.startswith("redis") else parse(url, "An online store")


def _database_files(path: str) -> tuple[str, ...]:
    from quantdesk.hub.backup.databases import others_of

    return (path, *others_of(path))


def _leaving(*paths: str) -> Callable[[str], bool]:
    """Leave out these paths, what is being written, locks, and the caches of accounts."""

    def leave(path: str) -> bool:
        at = PurePosixPath(path).parts
        return path in paths or _UNFINISHED.fullmatch(at[-1]) is not None or (len(at) == 2 and at[1] == ".cache")

    return leave


def _in_homes(path: str) -> bool:
    """Caches are left out: of each home, also of one that was put aside."""
    at = PurePosixPath(path).parts
    return at[-1] == ".cache" and (len(at) == 2 or (len(at) == 3 and at[0] == ".retired"))


def _in_hub(path: str) -> bool:
    """Logs, process numbers and locks are left out."""
    name = path.partition("/")[0]
    return name == "servers" or ".log" in name or name.endswith((".pid", ".lock", ".upgrading")) or _leaving()(path)
