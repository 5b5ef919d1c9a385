"""`make scale`: what more users, symbols, rows, runs, reports and scenarios cost, in time, memory and disk.

    python benchmarks/scale [--quick] [--users 1,5,10,25,50]

The result is kept in benchmarks/results with the machine named, and goes into docs/explanation/scale.md: its tables,
and docs/assets/scale.svg. It takes about half an hour on two cores, and the machine must have nothing else to do. See
users.py, people.py and curves.py beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import draw
import tables

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))


def asked(script: str, *words: str) -> Any:
    """What a script beside this one measures."""
    line = [sys.executable, str(Path(__file__).with_name(script)), *words, "--json"]
    return json.loads(subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def main() -> None:
    """Measure, keep, and draw."""
    from run import machine

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="small sizes alone; nothing is kept")
    options.add_argument("--users", default="1,5,10,25,50", help="how many people come at once, each number by itself")
    given = options.parse_args()
    users = [1, 2] if given.quick else [int(one) for one in given.users.split(",")]
    loads = []
    for kernels, numbers in (("cold", users), ("warm", [one for one in users if one <= 10])):
        for number in numbers:
            print(f"  … {number} users, {kernels} kernels", file=sys.stderr, flush=True)
            loads.append(asked("users.py", "--users", str(number), "--kernels", kernels))
    people = asked("people.py", *(["--people", "100"] if given.quick else []))
    curves = asked("curves.py", *(["--quick"] if given.quick else []))
    at = datetime.now(UTC)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    document = {
        "at": at.isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "machine": {**machine(), "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)},
        "users": loads,
        "people": people,
        "curves": curves,
    }
    if given.quick:
        print(json.dumps(document, indent=1))
        return
    kept = ROOT / "benchmarks" / "results" / f"{at:%Y-%m-%d}-{os.cpu_count()}-cores-scale.json"
    kept.write_text(json.dumps(document, indent=1) + "\n")
    drawn = draw.to(ROOT / "docs" / "assets" / "scale.svg", document)
    tables.PAGE.write_text(tables.filled(tables.PAGE.read_text(encoding="utf-8"), document), encoding="utf-8")
    print(f"kept in {kept.relative_to(ROOT)}; {tables.PAGE.relative_to(ROOT)} and {drawn.relative_to(ROOT)} show it")


if __name__ == "__main__":
    main()
