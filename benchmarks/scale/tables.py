"""The figures of a result as tables, and what they mean for a number of users; both go into docs/explanation/scale.md.

    python benchmarks/scale/tables.py [--result benchmarks/results/….json] [--write]
    python benchmarks/scale/tables.py --users 250 --core-hour 0.05 --gib-hour 0.006

What is measured and what is assumed stay apart: an assumption is a field of `Assumed`, and each can be given. Prices
are an example, and nobody's offer.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "scale.md"
USERS = (10, 1_000, 100_000)


@dataclass(frozen=True)
class Assumed:
    """What was not measured.

    Attributes
    ----------
    present
        Part of the users who have a server at the same time.
    working_gib
        Memory for what they compute with, beside server and kernel.
    cores
        Cores that a server which is there keeps busy on average.
    minutes
        Within which everybody has come in the morning.
    reports
        Scheduled reports per user and day, and the hours of the night in which they run.
    hours_of_night
        See `reports`.
    kept_days
        How long runs are kept.
    home_gb
        What a home holds.
    core_hour, gib_hour, gb_month
        Example prices, in dollars: of a core and of a GiB of memory for an hour, of a GB of disk for a month.
    server_hours, platform_hours
        Hours of a month in which servers of users and the platform run.
    """

    present: float = 0.3
    working_gib: float = 2.0
    cores: float = 0.25
    minutes: float = 15.0
    reports: float = 2.0
    hours_of_night: float = 6.0
    kept_days: float = 90.0
    home_gb: float = 5.0
    core_hour: float = 0.04
    gib_hour: float = 0.005
    gb_month: float = 0.10
    server_hours: float = 220.0
    platform_hours: float = 730.0


@dataclass(frozen=True)
class Needs:
    """What a number of users needs, computed from a result and what is assumed."""

    users: int
    present: int
    servers_gib: float
    server_cores: float
    morning_cores: float
    report_cores: float
    runs_a_year: float
    disk_gb: float
    dollars: float


def needs(document: dict[str, Any], users: int, assumed: Assumed) -> Needs:
    """Unit costs times users.

    Parameters
    ----------
    document
        A result of ``make scale``.
    users
        How many people have an account.
    assumed
        The rest.
    """
    load = max((one for one in document["users"] if one["kernels"] == "cold"), key=lambda one: one["users"])
    many = document["curves"]["reports"][-1]
    each = many["steps"]["two at a time"]
    report_seconds, report_mb = 2 * each["seconds"] / many["size"], each["disk_mb"] / many["size"]
    present = math.ceil(users * assumed.present)
    memory = present * (load["user_mb"] * 1e6 / 2**30 + assumed.working_gib)
    reports = users * assumed.reports
    for_reports = reports * report_seconds / (assumed.hours_of_night * 3600)
    disk = users * assumed.home_gb + reports * assumed.kept_days * report_mb / 1e3
    cores = present * assumed.cores
    dollars = (
        assumed.server_hours * (cores * assumed.core_hour + memory * assumed.gib_hour)
        + assumed.platform_hours * for_reports * assumed.core_hour
        + disk * assumed.gb_month
    )
    return Needs(
        users, present, memory, cores, present * load["processor_seconds"] / (assumed.minutes * 60), for_reports,
        reports * 365, disk, dollars,
    )  # fmt: skip


def tables(document: dict[str, Any]) -> dict[str, str]:
    """Each table of the page, by its name."""
    steps = {
        name: [(one["size"], one["peak_mb"], one["steps"]) for one in points]
        for name, points in document["curves"].items()
    }
    return {
        "machine": _machine(document),
        "users": _table(
            ("users", "log-in", "server", "kernel, cell", "all done", "memory each", "processor each", "platform"),
            [
                (f"{one['users']} {one['kernels']}", *(said(one["seconds"][part][0]) for part in one["seconds"]),
                 said(one["all_seconds"]), _mb(one["user_mb"]), said(one["processor_seconds"]), _mb(one["platform_mb"]))
                for one in document["users"]
            ],
        ),
        "people": _table(
            ("people known", "hub starts in", "log-in", "page of users", "list of 50", "hub's memory", "its database"),
            [
                (f"{one['people']:,}", said(one["start"]), said(one["log_in"]), said(one["page_of_users"]),
                 said(one["list_of_50"]), _mb(one["hub_mb"]), _mb(one["disk_mb"]))
                for one in document["people"]
            ],
        ),
        "symbols": _table(
            ("symbols", "into the store", "on disk", "features built", "on disk", "a question", "memory"),
            [
                (f"{size:,}", said(of["load"]["seconds"]), _mb(of["load"]["disk_mb"]), said(of["build"]["seconds"]),
                 _mb(of["build"]["disk_mb"]), said(of["ask"]["seconds"]), _mb(peak))
                for size, peak, of in steps["symbols"]
            ],
        ),
        "rows": _table(
            ("rows that ask", "answer with evidence", "rows a second", "memory"),
            [
                (f"{size:,}", said(of["ask"]["seconds"]), _figures(size / of["ask"]["seconds"]), _mb(peak))
                for size, peak, of in steps["rows"]
            ],
        ),
        "runs": _table(
            ("runs in the ledger", "gallery of 40 reports", "newest 50 runs"),
            [
                (f"{size:,}", said(of["gallery"]["seconds"]), said(of["newest 50"]["seconds"]))
                for size, _, of in steps["runs"]
            ],
        ),
        "reports": _table(
            ("reports", "all done", "reports an hour", "disk for each", "largest kernel"),
            [
                (f"{size:,}", said(each["seconds"]), _figures(3600 * size / each["seconds"]),
                 _mb(each["disk_mb"] / size), _mb(each["child_mb"]))
                for size, _, of in steps["reports"] for each in of.values()
            ],
        ),
        "scenarios": _table(
            ("runs of the grid", "all done", "runs a second", "largest process"),
            [
                (f"{size:,}", said(each["seconds"]), _figures(size / each["seconds"]), _mb(each["child_mb"]))
                for size, _, of in steps["scenarios"] for each in of.values()
            ],
        ),
        "assumed": _table(
            ("assumed", "value"),
            [(f"`{one.name}`", f"{getattr(Assumed(), one.name):g}") for one in dataclasses.fields(Assumed)],
        ),
        "needs": needed([needs(document, users, Assumed()) for users in USERS]),
    }  # fmt: skip


def needed(found: list[Needs]) -> str:
    """A column for each number of users."""
    rows: list[tuple[str, list[str]]] = [
        ("servers at the same time", [f"{one.present:,}" for one in found]),
        ("their memory", [_gib(one.servers_gib) for one in found]),
        ("their cores", [_figures(one.server_cores) for one in found]),
        ("cores while everybody comes", [_figures(one.morning_cores) for one in found]),
        ("cores for the reports of a night", [_figures(one.report_cores) for one in found]),
        ("runs a year", [_figures(one.runs_a_year) for one in found]),
        ("disk for homes and kept runs", [_gb(one.disk_gb) for one in found]),
        ("dollars a month, at the example prices", [_figures(one.dollars) for one in found]),
        ("dollars a month and user", [f"{one.dollars / one.users:.2f}" for one in found]),
    ]
    return _table(("", *(f"{one.users:,} users" for one in found)), [(name, *cells) for name, cells in rows])


def _machine(document: dict[str, Any]) -> str:
    named = document["machine"]
    return (
        f"Measured on {document['at'][:10]} at commit `{document['commit'][:10]}`: {named['cores']} cores "
        f"({named['processor']}), {named['memory_gib']} GiB, Python {named['python']}, {named['system']}."
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" if at == 0 else "---:" for at, _ in enumerate(head)), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _figures(value: float) -> str:
    """Three figures, and no more than was measured."""
    if value >= 1000:
        digits = 10 ** (math.floor(math.log10(value)) - 2)
        return f"{round(value / digits) * digits:,}"
    return f"{value:.3g}"


def said(seconds: float) -> str:
    """Seconds in words, three figures at most."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{_figures(seconds)} s"


def _mb(size: float) -> str:
    return f"{_figures(size / 1000)} GB" if size >= 1000 else f"{size:.0f} MB" if size >= 10 else f"{size:.1f} MB"


def _gb(size: float) -> str:
    return f"{_figures(size / 1000)} TB" if size >= 1000 else f"{_figures(size)} GB"


def _gib(size: float) -> str:
    return f"{_figures(size)} GiB"


def newest() -> Path:
    """The newest result."""
    return max((ROOT / "benchmarks" / "results").glob("*-scale.json"))


def filled(page: str, document: dict[str, Any]) -> str:
    """The page with each table between its marks."""
    for name, table in tables(document).items():
        mark = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if len(mark.findall(page)) != 1:
            raise SystemExit(f"The page has no place for the table {name!r}, or more than one.")
        page = mark.sub(lambda found, table=table: f"{found[1]}\n{table}\n\n{found[2]}", page)
    return page


def main() -> None:
    """Print the needs of a number of users, or all tables; or write them into the page."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--result", type=Path, help="the newest when left out")
    options.add_argument("--write", action="store_true", help="into docs/explanation/scale.md")
    options.add_argument("--users", type=int, action="append", help="what so many need; may be repeated")
    for one in dataclasses.fields(Assumed):
        options.add_argument(f"--{one.name.replace('_', '-')}", type=float, default=one.default, help=argparse.SUPPRESS)
    given = options.parse_args()
    document = json.loads((given.result or newest()).read_text(encoding="utf-8"))
    if given.write:
        PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), document), encoding="utf-8")
    elif given.users:
        assumed = Assumed(**{one.name: getattr(given, one.name) for one in dataclasses.fields(Assumed)})
        print(needed([needs(document, users, assumed) for users in given.users]))
    else:
        print("\n\n".join(f"{name}\n{table}" for name, table in tables(document).items()))


if __name__ == "__main__":
    main()
