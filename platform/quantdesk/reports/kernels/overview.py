"""Warm kernels for people: what runs, what it costs, why something started cold. An edge module."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.environment import STEADY, cleaned
from quantdesk.reports.kernels import identity, wire
from quantdesk.reports.kernels.client import Cold, Zygotes
from quantdesk.reports.kernels.config import KernelsConfig
from quantdesk.reports.kernels.order import KERNEL, WORKER

__all__ = ["Fork", "Reason", "Status", "restart", "status"]


@dataclass(frozen=True)
class Fork:
    """A process that a zygote has forked.

    Parameters
    ----------
    pid, kind
        Its number, and ``kernel`` or ``worker``.
    waiting
        Whether it waits to be used.
    since
        When it was forked, or given its work.
    pss_bytes, private_bytes
        Its proportional share of memory, and what it shares with nobody; None when the system does not tell.
    """

    pid: int
    kind: str
    waiting: bool
    since: datetime
    pss_bytes: int | None
    private_bytes: int | None


@dataclass(frozen=True)
class Reason:
    """Why something started cold."""

    at: datetime
    kind: str
    reason: str


@dataclass(frozen=True)
class Status:
    """One zygote of this account.

    Parameters
    ----------
    folder
        Where its socket and its log are.
    state
        ``ready``, ``starting``, ``failed``, ``outdated``, ``hung`` or ``stopped``.
    reason
        Why it could not start, or does not answer; empty otherwise.
    pid, since, served
        Of the zygote: number, start, and how many processes it has handed out; None unless it is ready.
    current
        Whether it has the packages that are installed now; None unless it is ready.
    pss_bytes
        Its own proportional share of memory.
    forks
        What it has forked and what is alive.
    cold
        The last cold starts that it did not save, oldest first.
    """

    folder: Path
    state: str
    reason: str
    pid: int | None
    since: datetime | None
    served: int | None
    current: bool | None
    pss_bytes: int | None
    forks: tuple[Fork, ...]
    cold: tuple[Reason, ...]


def status(config: KernelsConfig | None = None) -> tuple[Status, ...]:
    """Every zygote of this account in its runtime directory, and what it does.

    Parameters
    ----------
    config
        Settings; those of the environment when not given.
    """
    config = config or KernelsConfig.from_env()
    base = identity.runtime(config.folder)
    found = sorted(base.glob("warm-*")) if base.is_dir() else []
    return tuple(_one(path, config) for path in found if re.fullmatch(r"warm-[0-9a-f]{12}", path.name))


def restart(
    kind: str = KERNEL, environment: Mapping[str, str] | None = None, config: KernelsConfig | None = None
) -> Status:
    """End the zygote for one kind of process, start a new one, and wait until it is ready.

    Kernels and reports that it has forked go on.

    Parameters
    ----------
    kind
        ``kernel`` for kernels of notebooks, ``worker`` for reports.
    environment
        Of the processes to be forked; that of this process when not given.
    config
        Settings; those of the environment when not given.

    Raises
    ------
    EnvironmentProblem
        It could not be started, with its own reason.
    """
    config = config or KernelsConfig.from_env()
    given = os.environ if environment is None else environment
    zygotes = Zygotes({**STEADY, **cleaned(given)} if kind == WORKER else given, config)
    try:
        zygotes.may()
        identity.private(zygotes.folder)
        with contextlib.suppress(Cold):
            zygotes.stop()
        begun, tries = time.time(), 0
        while time.time() - begun < config.start_s:
            with contextlib.suppress(Cold):
                zygotes.connected().close()
                return _one(zygotes.folder, config)
            noted = zygotes.noted()
            if noted.get("state") == "failed" and noted.get("at", 0) >= begun:
                raise Cold(str(noted.get("reason")))
            if not zygotes.held():
                if tries == 3:
                    raise Cold("it ended again and again before it was ready")
                tries += 1
                zygotes.start(kind, again=True)
            time.sleep(0.02)
        raise Cold(f"it was not ready after {config.start_s:g} s")
    except Cold as cold:
        log = zygotes.folder / "log.txt"
        raise EnvironmentProblem(
            f"There are no warm kernels: {cold}.", f"Look into {log}; without it, kernels start cold."
        ) from cold


def _one(folder: Path, config: KernelsConfig) -> Status:
    zygotes = Zygotes.at(folder, config)
    noted = zygotes.noted()
    told: dict[str, Any] = {}
    state, reason = str(noted.get("state", "stopped")), str(noted.get("reason", ""))
    try:
        connection = zygotes.connected()
        try:
            wire.send(connection, {"kind": "status", "fingerprint": ""})
            told, _ = wire.receive(connection)
            state = "ready"
        except (wire.Closed, OSError):
            state, reason = "hung", f"it did not answer in {config.answer_s:g} s"
        finally:
            connection.close()
    except Cold:
        if state == "ready" or (state == "starting" and not zygotes.held()):
            state = "stopped"
    return Status(
        folder=folder,
        state=state,
        reason=reason,
        pid=told.get("pid"),
        since=_time(told["started"]) if told else None,
        served=told.get("served"),
        current=told["fingerprint"] == identity.fingerprint() if told else None,
        pss_bytes=_memory(told["pid"])[0] if told else None,
        forks=tuple(_fork(one) for one in told.get("children", ())),
        cold=_reasons(folder / "cold.jsonl"),
    )


def _fork(told: Mapping[str, Any]) -> Fork:
    pss, own = _memory(told["pid"])
    return Fork(told["pid"], told["kind"], told["waiting"], _time(told["since"]), pss, own)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _memory(pid: int) -> tuple[int | None, int | None]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()[1:]
    except OSError:
        return None, None
    sizes = {name: int(size.split()[0]) * 1024 for name, _, size in (line.partition(":") for line in lines)}
    return sizes.get("Pss"), sizes.get("Private_Dirty", 0) + sizes.get("Private_Clean", 0)


def _reasons(path: Path) -> tuple[Reason, ...]:
    found = []
    with contextlib.suppress(OSError):
        for line in path.read_text("utf-8").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                one = json.loads(line)
                found.append(Reason(datetime.fromisoformat(one["at"]), str(one["kind"]), str(one["reason"])))
    return tuple(found)
