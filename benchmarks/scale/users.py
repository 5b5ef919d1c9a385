"""What one more user costs: people log in, start a server and run a cell, all at the same moment.

    python benchmarks/scale/users.py [--users 50] [--kernels cold] [--json]

The hub is a real one, with service and worker, on the market data of the package. Everybody has signed up and was
approved before. Then, from one moment on, each logs in through the login page, starts a server, opens a kernel and runs
a cell that reads six years of a stock and averages them; nobody leaves before all have their answer. As root each has
an account of its own. The answer is compared with what this process reads.

Seconds are told at the median and at the slowest, and how long all of them took together. Memory is the proportional
set size (what is shared counts once) of the users' processes, after their cells, and of all others of the platform.
Everybody is on one machine with those who ask, whose processors are shared by both.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[2] / "tests"
sys.path.insert(0, str(TESTS))  # who starts real hubs, and visits them

STOCK = "AAPL"
CELL = f"""
import os
os.environ["QUANTDESK_STATE"] = {{state!r}}
from quantdesk.market import MarketStore
closes = MarketStore().panel([{STOCK!r}], start="2015-01-01", end="2020-12-31")[{STOCK!r}]
print(len(closes), f"{{{{closes.rolling(20).mean().iloc[-1]:.6f}}}}")
"""
PARTS = ("log in", "server", "kernel and cell")
PATIENCE_S = 900.0


@dataclass(frozen=True)
class Load:
    """What a number of users took.

    Attributes
    ----------
    users
        How many.
    kernels
        Whether their kernels started cold or were forked.
    answered
        How many got the right answer.
    seconds
        For each part, at the median and at the slowest user, in seconds from the moment at which he began that part.
    all_seconds
        From the moment on until the last had his answer.
    processor_seconds
        What users' processes and the platform's used together, per user.
    users_mb, platform_mb
        Proportional set sizes in MB (10⁶ bytes): of all users' processes; of hub, proxy, service and worker.
    user_mb
        The part of one user.
    refused
        How often a start was refused at first because too many were under way.
    """

    users: int
    kernels: str
    answered: int
    seconds: dict[str, tuple[float, float]]
    all_seconds: float
    processor_seconds: float
    users_mb: float
    platform_mb: float
    user_mb: float
    refused: int


class Visitor:
    """One user, from the log-in to the answer of a cell."""

    def __init__(self, hub: Any, name: str, password: str, real: Any) -> None:
        self.browser, self._name, self._password, self._real = hub.browser(), name, password, real
        self.browser.name = name
        self.taken: dict[str, float] = {}
        self.refused = 0
        self.answer = ""

    def come(self, gate: threading.Barrier, leave: threading.Event, code: str) -> None:
        """Do all of it, when everybody is there; stay until all have done it."""
        gate.wait()
        with self._part("log in"):
            answer = self.browser.login(self._name, self._password, follow=False)
            assert answer.status_code == 302, f"{self._name} was not let in: {answer.status_code}"
        with self._part("server"):
            self._start()
        with contextlib.ExitStack() as opened:
            with self._part("kernel and cell"):
                run = opened.enter_context(self.browser.kernel())
                self.answer = run(code).strip()
            gate.wait()
            leave.wait()

    @contextlib.contextmanager
    def _part(self, name: str) -> Any:
        began = time.monotonic()
        yield
        self.taken[name] = time.monotonic() - began

    def _start(self) -> None:
        assert self.browser.get("home").status_code == 200
        deadline = time.monotonic() + PATIENCE_S
        while (answer := self.browser.api("POST", f"users/{self._name}/server")).status_code == 429:
            self.refused += 1
            assert time.monotonic() < deadline, answer.text
            time.sleep(1)
        assert answer.status_code in {201, 202}, answer.text
        made = self.browser.api("POST", f"users/{self._name}/tokens", json={"note": "load"})
        self.browser.token = made.json()["token"]
        self._real.until(lambda: self.browser.server("GET", "api/status").status_code == 200, PATIENCE_S)


def measure(users: int, kernels: str) -> Load:
    """Have so many people come to a hub of their own."""
    from modules import module_at

    real = module_at(TESTS / "hub" / "real_hub.py")
    with real.ground() as ground:
        state = ground.state()
        load = [str(ground.python), "-P", "-c", "from quantdesk.cli import main; main()", "data", "load"]
        env = {name: value for name, value in os.environ.items() if not name.startswith("QUANTDESK_")}
        subprocess.run(load, env={**env, "QUANTDESK_STATE": str(state)}, check=True, capture_output=True)
        warm = {"QUANTDESK_SERVICE": "true", "QUANTDESK_KERNELS_WARM": "true" if kernels == "warm" else "false"}
        with real.RealHub(ground, state, env=warm) as hub:
            real.until(hub.service_answers, 120, lambda: hub.service_log)
            return _visited(hub, users, kernels, real)


def _visited(hub: Any, users: int, kernels: str, real: Any) -> Load:
    admin = hub.first_login()
    names = [f"user{number:03d}" for number in range(users)]
    for name in names:
        assert hub.browser().sign_up(name).status_code == 200
        assert admin.post("users", user=name, action="approve").status_code == 200
    visitors = [Visitor(hub, name, real.PASSWORD, real) for name in names]
    gate, leave = threading.Barrier(users + 1), threading.Event()
    code = CELL.format(state=str(hub.state))

    def come(one: Visitor) -> None:
        try:
            one.come(gate, leave, code)
        except BaseException:
            gate.abort()
            raise

    with ThreadPoolExecutor(users) as pool:
        coming = [pool.submit(come, one) for one in visitors]
        try:
            before = _sizes(hub, real)[2]
            gate.wait()
            began = time.monotonic()
            gate.wait()
            together = time.monotonic() - began
            theirs, ours, used = _sizes(hub, real)
            used -= before
        except threading.BrokenBarrierError:
            theirs = ours = used = together = float("nan")  # who broke it says why, below
        leave.set()
        problems = [one.exception() for one in coming]
    told = [one for one in problems if one is not None and not isinstance(one, threading.BrokenBarrierError)]
    if told:
        raise told[0]
    right = _expected(hub.state)
    return Load(
        users, kernels, sum(one.answer == right for one in visitors),
        {part: _spread([one.taken[part] for one in visitors]) for part in PARTS},
        round(together, 2), round(used / users, 2), round(theirs, 1), round(ours, 1), round(theirs / users, 1),
        sum(one.refused for one in visitors),
    )  # fmt: skip


def _spread(seconds: list[float]) -> tuple[float, float]:
    return round(statistics.median(seconds), 2), round(max(seconds), 2)


def _expected(state: Path) -> str:
    from quantdesk.market import MarketStore

    closes = MarketStore(state / "market").panel([STOCK], start="2015-01-01", end="2020-12-31")[STOCK]
    return f"{len(closes)} {closes.rolling(20).mean().iloc[-1]:.6f}"


def _sizes(hub: Any, real: Any) -> tuple[float, float, float]:
    """Proportional set sizes in MB of the users' processes and of the others, and the processor seconds of all."""
    from quantdesk.hub.sweep import MARK, marked
    from quantdesk.reports.memory import proportional

    own = marked(hub.state)
    theirs = ours = used = 0.0
    for one in real.find(lambda process: process.environ().get(MARK, "").split(":")[0] == own):
        with contextlib.suppress(Exception):
            mark, size, times = one.environ()[MARK], proportional(one.pid) / 1e6, one.cpu_times()
            used += times.user + times.system
            if ":" in mark:
                theirs += size
            else:
                ours += size
    return theirs, ours, used


def told(one: Load) -> str:
    """A few lines about it."""
    lines = [
        f"{one.users} users, {one.kernels} kernels: {one.answered} have the right answer in {one.all_seconds:.1f} s"
    ]
    lines += [
        f"  {part}: {median:.2f} s at the median, {slowest:.2f} s at the slowest"
        for part, (median, slowest) in one.seconds.items()
    ]
    lines += [
        f"  a user: {one.user_mb:.0f} MB, {one.processor_seconds:.1f} processor seconds; "
        f"the platform: {one.platform_mb:.0f} MB",
        f"  starts refused at first: {one.refused}",
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure once, and print it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--users", type=int, default=50, help="how many come at the same moment")
    options.add_argument("--kernels", choices=("cold", "warm"), default="cold", help="how their kernels start")
    options.add_argument("--json", action="store_true", help="one object of JSON")
    given = options.parse_args()
    found = measure(given.users, given.kernels)
    print(json.dumps(asdict(found)) if given.json else told(found))
    return 0 if found.answered == found.users else 1


if __name__ == "__main__":
    sys.exit(main())
