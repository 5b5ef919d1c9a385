"""What people cost who are known to a hub and are not there.

    python benchmarks/scale/people.py [--people 100,1000,10000,100000] [--json]

A real hub on SQLite, with one user who signed up and was approved; his rows in the hub's database are then copied under
other names, and the hub is started again. Told are the seconds until it answers, until one of the copies is logged in,
of the administrator's page of users and of JupyterHub's own list (50 of them), and the hub's memory.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS))  # who starts real hubs, and visits them


@dataclass(frozen=True)
class Known:
    """A hub that knows so many people: seconds, and MB (10⁶ bytes) of memory and disk."""

    people: int
    start: float
    log_in: float
    page_of_users: float
    list_of_50: float
    hub_mb: float
    disk_mb: float


def copied(database: Path, people: int) -> None:
    """Have the hub know so many more people, who are all like bob."""
    with closing(sqlite3.connect(database)) as file, file:
        for table, column in (("users", "name"), ("users_info", "username")):
            names = [row[1] for row in file.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
            kept = ", ".join(
                "'p' || n.i" if one == column else "hex(randomblob(16))" if one == "cookie_id" else one for one in names
            )
            file.execute(
                f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {kept} FROM n, {table} WHERE {column} = 'bob'",
                (people,),
            )
        file.execute(
            "INSERT INTO user_role_map (user_id, role_id, managed_by_auth) "
            "SELECT copy.id, map.role_id, map.managed_by_auth FROM users AS copy, users AS bob "
            "JOIN user_role_map AS map ON map.user_id = bob.id WHERE bob.name = 'bob' AND copy.name LIKE 'p%'"
        )


def taken(call: Callable[[], Any]) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    call()
    return round(time.perf_counter() - began, 3)


def measure(people: int) -> Known:
    """Start a hub of its own."""
    from modules import module_at
    from quantdesk.reports.memory import proportional

    real = module_at(TESTS / "hub" / "real_hub.py")

    def fine(answer: Any) -> None:
        assert answer.status_code == 200, answer.text[:500]

    with real.ground() as ground:
        state = ground.state()
        with real.RealHub(ground, state) as hub:
            hub.user("bob", hub.first_login())
        copied(hub.files.database, people)
        again = real.RealHub(ground, state)
        start = taken(again.start)
        try:
            admin = again.browser()
            assert admin.login(again.admin, real.PASSWORD, follow=False).status_code == 302
            someone = again.browser()
            seconds = taken(lambda: someone.login(f"p{people // 2 + 1}", real.PASSWORD))
            fine(someone.get("home"))
            page = taken(lambda: fine(admin.get("users")))
            listed = taken(lambda: fine(admin.api("GET", "users?limit=50")))
            (own,) = real.find(lambda one: _is_hub(one, state))
            size = proportional(own.pid) / 1e6
        finally:
            again.end()
        return Known(
            people, start, seconds, page, listed, round(size, 1), round(hub.files.database.stat().st_size / 1e6, 2)
        )


def _is_hub(process: Any, state: Path) -> bool:
    return "jupyterhub" in process.cmdline() and process.environ().get("QUANTDESK_STATE") == str(state)


def main() -> None:
    """Measure each number, and print it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--people", default="100,1000,10000,100000", help="how many, each number by itself")
    options.add_argument("--json", action="store_true", help="one document of JSON")
    given = options.parse_args()
    found = []
    for one in given.people.split(","):
        print(f"  … {int(one):,} people", file=sys.stderr, flush=True)
        found.append(asdict(measure(int(one))))
    print(json.dumps(found) if given.json else "\n".join(map(str, found)))


if __name__ == "__main__":
    main()
