"""Asking for a forked process, and starting the zygote when there is none. An edge module.

Nothing here raises because a zygote is missing, busy, broken or hung: the answer is then None with a reason, which is
written down, and the caller starts a process as ever.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quantdesk.errors import EnvironmentProblem
from quantdesk.reports.kernels import become, identity, wire
from quantdesk.reports.kernels.children import Adopted
from quantdesk.reports.kernels.config import KernelsConfig
from quantdesk.reports.kernels.order import Order

__all__ = ["INSIDE", "Cold", "Zygotes", "ordered"]

INSIDE = "QUANTDESK_RUN"
"""The mark of a run of a report: nothing that lives longer than the run is started within it."""
PASSED = ("PATH", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "QUANTDESK_HUB")
"""What a zygote's environment holds besides what is decisive: nothing secret, and the mark of the hub it belongs to."""
RETRY_S = 300.0
"""Seconds before a zygote that could not start is tried again."""
_KEPT_REASONS = 50
_log = logging.getLogger("quantdesk.kernels")


class Cold(Exception):
    """Why a process has to start cold, a sentence without its full stop."""


def ordered(
    arguments: Sequence[str],
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: str | os.PathLike[str],
    limits: Mapping[str, int] | None = None,
) -> Order:
    """An order for a process that inherits the rest from this one, as a child would.

    Parameters
    ----------
    arguments, command, environment, folder
        See :class:`~quantdesk.reports.kernels.order.Order`.
    limits
        Soft limits that differ from those of this process.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    own = {name: resource.getrlimit(getattr(resource, name))[0] for name in identity.LIMITS}
    return Order(
        arguments=tuple(arguments),
        environment=dict(environment),
        command=tuple(command),
        folder=os.fspath(folder),
        umask=umask,
        limits={**own, **(limits or {})},
        processors=tuple(sorted(os.sched_getaffinity(0))),
        ignored=tuple(
            int(number)
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
            if signal.getsignal(number) is signal.SIG_IGN
        ),
    )


class Zygotes:
    """Where forks come from.

    Parameters
    ----------
    environment
        Of the process to be: it decides which zygote.
    config
        Settings; those of the environment when not given.
    """

    def __init__(self, environment: Mapping[str, str], config: KernelsConfig | None = None) -> None:
        self.config = config or KernelsConfig.from_env()
        self._environment = environment
        self._folder: Path | None = None

    @classmethod
    def at(cls, folder: Path, config: KernelsConfig) -> Zygotes:
        """Those of a folder that is known."""
        made = cls({}, config)
        made._folder = folder
        return made

    @property
    def folder(self) -> Path:
        """The zygote's folder."""
        if self._folder is None:
            self._folder = identity.folder(self.config.folder, self._environment, self.config.modules)
        return self._folder

    def fork(self, kind: str, order: Order, descriptors: Sequence[int]) -> Adopted | None:
        """A process as ordered; None when it has to be started cold.

        Parameters
        ----------
        kind
            `KERNEL` or `WORKER` of :mod:`quantdesk.reports.kernels.order`.
        order
            What it is to be.
        descriptors
            What becomes its 0, 1, 2 and so on. They stay open here.
        """
        try:
            return self._forked(kind, order, descriptors)
        except Cold as cold:
            self.refuse(kind, str(cold))
        return None

    def _forked(self, kind: str, order: Order, descriptors: Sequence[int]) -> Adopted:
        self.may()
        try:
            identity.private(self.folder)
        except (OSError, EnvironmentProblem) as error:
            raise Cold(getattr(error, "problem", f"{self.folder} cannot be made ({error})").rstrip(".")) from error
        connection = self.connected(kind)
        try:
            return self._begun(connection, kind, order, descriptors)
        except BaseException:
            connection.close()
            raise

    def _begun(self, connection: socket.socket, kind: str, order: Order, descriptors: Sequence[int]) -> Adopted:
        told, handles = self._ask(connection, kind)
        if "refused" in told:
            connection.close()
            raise Cold(f"{told['refused']}; {self.start(kind)}")
        try:
            child = Adopted(int(told["pid"]), handles[0], connection)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise Cold(f"the zygote answered what nobody understands ({error})") from error
        try:
            wire.send(connection, order.to_dict(), descriptors)
            answer, _ = wire.receive(connection)
        except (wire.Closed, OSError) as error:
            child.kill()
            raise Cold(f"the fork {child.pid} did not begin ({error or type(error).__name__})") from error
        if "started" not in answer:
            why = answer.get("failed") or f"exit code {answer.get('exit')}"
            raise Cold(f"the fork {child.pid} could not be what was asked ({why})")
        connection.settimeout(None)
        return child

    def may(self) -> None:
        """Whether forks are wanted and possible here.

        Raises
        ------
        Cold
            They are not.
        """
        if not self.config.warm:
            raise Cold("warm kernels are switched off (QUANTDESK_KERNELS_WARM)")
        if sys.platform != "linux" or not os.path.exists("/proc/self/stat"):  # noqa: PTH110 (no need for pathlib)
            raise Cold("warm kernels need Linux with /proc")
        if os.environ.get(INSIDE):
            raise Cold("this is the inside of a report's run, in which no zygote is used")

    def connected(self, kind: str = "") -> socket.socket:
        """A connection to the zygote. With a `kind`, one is started when there is none.

        Raises
        ------
        Cold
            There is none yet.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.config.answer_s)
        try:
            within = os.open(self.folder, os.O_PATH | os.O_DIRECTORY)
            try:
                connection.connect(f"/proc/self/fd/{within}/socket")
            finally:
                os.close(within)
        except OSError as error:
            connection.close()
            if error.errno in (errno.ENOENT, errno.ECONNREFUSED) and kind:
                raise Cold(self.start(kind)) from error
            if error.errno in (errno.ENOENT, errno.ECONNREFUSED):
                raise Cold("no zygote is running") from error
            raise Cold(f"the zygote cannot be reached ({error.strerror or 'no answer in time'})") from error
        if wire.credentials(connection)[1] != os.geteuid():
            connection.close()
            raise Cold("the zygote belongs to another account")
        return connection

    def _ask(self, connection: socket.socket, kind: str) -> tuple[Any, list[int]]:
        try:
            wire.send(connection, {"kind": kind, "fingerprint": identity.fingerprint()})
            return wire.receive(connection)
        except TimeoutError as error:
            pid, _ = wire.credentials(connection)
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)  # its kernels go on; the next requester starts another one
            raise Cold(f"the zygote {pid} did not answer in {self.config.answer_s:g} s and was ended") from error
        except (wire.Closed, OSError) as error:
            raise Cold(f"the zygote went away ({error})") from error

    def start(self, kind: str, *, again: bool = False) -> str:
        """Start a zygote unless one is starting, and do not wait for it.

        Parameters
        ----------
        kind
            What its pool holds from the start.
        again
            Whether one that could not start a moment ago is tried again.

        Returns
        -------
        str
            What happened, which is why the caller starts cold.
        """
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return self._failure() or "the zygote is starting"
            if not again and self._failure():
                return self._failure()
            with (self.folder / "log.txt").open("wb") as log:
                # The shell ends at once: the zygote is nobody's child, and nobody has to wait for it.
                subprocess.run(
                    ["/bin/sh", "-c", '"$@" &', "sh", *self._command(lock, kind)],
                    env=self._own_environment(),
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(lock,),  # with the lock, which is held as long as one of us has it open
                    start_new_session=True,
                    check=True,
                )
            return "no zygote was running; one is starting"
        except (OSError, subprocess.SubprocessError) as error:
            return f"the zygote could not be started ({error})"
        finally:
            os.close(lock)

    def _failure(self) -> str:
        """That the last zygote could not start, and why, when that was a moment ago."""
        noted = self.noted()
        recent = time.time() - float(noted.get("at", 0)) < RETRY_S
        failed = noted.get("state") == "failed" and recent
        return f"the zygote could not start: {noted.get('reason')}" if failed else ""

    def held(self) -> bool:
        """Whether a zygote answers, or is starting."""
        try:
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def stop(self) -> None:
        """Have the zygote answer nobody any more; a hung one is ended. What it has forked goes on.

        Raises
        ------
        Cold
            There is none.
        """
        connection = self.connected()
        try:
            self._ask(connection, "stop")
        finally:
            connection.close()
        end = time.monotonic() + self.config.answer_s
        while self.held() and time.monotonic() < end:
            time.sleep(0.01)

    def _command(self, lock: int, kind: str) -> list[str]:
        config = self.config
        told = [str(self.folder), str(lock), kind, str(config.idle_s), str(config.pool), ",".join(config.modules)]
        # The last one is room for what a fork shows as its own command line.
        return [sys.executable, "-m", "quantdesk.reports.kernels.zygote", *told, " " * 400]

    def _own_environment(self) -> dict[str, str]:
        given = {name: self._environment[name] for name in PASSED if name in self._environment}
        from quantdesk.reports.kernels.stack import FIRST

        coerced = {} if "LC_CTYPE" in self._environment else {become.COERCED: "1"}
        padding = {become.PADDING: "x" * become.ROOM}
        return {**padding, **given, **identity.decisive(self._environment), **FIRST, **coerced}

    def noted(self) -> dict[str, Any]:
        """What the zygote wrote about itself; empty when there is nothing."""
        try:
            told = json.loads((self.folder / "state.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def refuse(self, kind: str, reason: str) -> None:
        """Say, and write down, why something starts cold."""
        _log.info("A %s starts cold: %s.", kind, reason)
        if not self.config.warm or os.environ.get(INSIDE):
            return
        line = json.dumps({"at": datetime.now(UTC).isoformat(), "kind": kind, "reason": reason}) + "\n"
        with contextlib.suppress(OSError, EnvironmentProblem):
            identity.private(self.folder)
            path = self.folder / "cold.jsonl"
            kept = path.read_text("utf-8").splitlines(keepends=True)[-_KEPT_REASONS:] if path.exists() else []
            fresh = path.with_suffix(f".{os.getpid()}")
            fresh.write_text("".join([*kept, line]), "utf-8")
            os.replace(fresh, path)
