"""The process that forks: ``python -m quantdesk.reports.kernels.zygote FOLDER LOCK``. An edge module.

It imports the stack, looks whether it may fork at all, and then answers on a socket in its folder. It reads only what
kind of process is wanted; the order itself, with the environment and all that is in it, goes from the requester to the
fork and never through here. A fork leaves this module's stack behind and ends as any interpreter does.

::

    warm-<key>/
        socket      where it answers; whoever is not the account's own is refused by the system, and again here
        lock        held as long as it answers: one zygote to a folder
        state.json  what it is, or why it gave up
        log.txt     its own words
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantdesk.reports.kernels import become, identity, kernel, pair, stack, wire
from quantdesk.reports.kernels.order import KERNEL, WORKER

__all__ = ["KINDS", "Zygote", "main"]

KINDS = {KERNEL: kernel.run, WORKER: pair.run}
QUIET_S = 0.2
"""Seconds after a process was handed out before the pool is filled again: a run that has begun needs the processors."""
LOOK_S = 2.0
"""Seconds between two looks at the clock and at the socket's file."""


@dataclass
class Child:
    """A fork: waiting in the pool while `control` is there, at work while `requester` is."""

    pid: int
    kind: str
    control: socket.socket | None = None
    requester: socket.socket | None = None
    since: float = field(default_factory=time.time)
    exit: int | None = None


class Zygote:
    """The loop.

    Parameters
    ----------
    folder
        Its private folder.
    lock
        Descriptor of the lock, held.
    idle_s, pool
        See `quantdesk.reports.kernels.KernelsConfig`.
    print_of
        The fingerprint of what was imported.
    """

    def __init__(self, folder: Path, lock: int, *, idle_s: float, pool: int, print_of: str) -> None:
        self._folder = folder
        self._lock: int | None = lock
        self._idle_s = idle_s
        self._pool = pool
        self._print = print_of
        self._children: dict[int, Child] = {}
        self._pending: dict[int, socket.socket] = {}
        self._wanted: set[str] = set()
        self._last = time.monotonic()
        self._forked = 0.0
        self._served = 0
        self._started = time.time()
        self._listener: socket.socket | None = None
        self._inode = 0
        self._wake, wakeup = os.pipe()
        for end in (self._wake, wakeup):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)

    def listen(self) -> None:
        """Open the socket, under its final name only when it answers."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        within = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        try:
            # By way of the descriptor the path is short, however long that of the folder is.
            fresh = f"/proc/self/fd/{within}/socket.new"
            Path(fresh).unlink(missing_ok=True)
            listener.bind(fresh)
            os.chmod(fresh, 0o600)
            listener.listen(64)
            listener.setblocking(False)
            self._inode = Path(fresh).stat().st_ino
            os.rename(fresh, self._folder / "socket")
        finally:
            os.close(within)
        self._listener = listener

    def serve(self, wanted: set[str]) -> None:
        """Answer until nobody wants anything any more.

        Parameters
        ----------
        wanted
            Kinds of process that the pool holds from the start.
        """
        self._wanted |= wanted
        while self._listener is not None or self._children:
            ready = self._ready()
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
            self._reap()
            for child in list(self._children.values()):
                if child.requester is not None and child.requester.fileno() in ready:
                    self._let_go(child)
            for handle in ready & set(self._pending):  # last: from here on, these numbers are those of requesters
                self._request(self._pending.pop(handle))
            if self._listener is not None and self._listener.fileno() in ready:
                self._accept()
            self._look()

    def _ready(self) -> set[int]:
        watched = select.poll()  # without a descriptor of its own, which epoll would need
        for handle in [self._wake, *self._pending, *([self._listener.fileno()] if self._listener is not None else [])]:
            watched.register(handle, select.POLLIN)
        for child in self._children.values():
            if child.requester is not None:
                # What comes on it is for the fork; here, only its end counts.
                watched.register(child.requester.fileno(), select.POLLRDHUP)
        waiting = QUIET_S if self._lacking() else LOOK_S
        return {handle for handle, _ in watched.poll(waiting * 1000)}

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101 (it was ready)
        with contextlib.suppress(BlockingIOError):
            connection, _ = self._listener.accept()
            connection.settimeout(1.0)
            if wire.credentials(connection)[1] == os.geteuid():
                self._pending[connection.fileno()] = connection
            else:
                connection.close()

    def _request(self, connection: socket.socket) -> None:
        try:
            told, descriptors = wire.receive(connection)
            for descriptor in descriptors:
                os.close(descriptor)
            kind, print_of = told["kind"], told["fingerprint"]
            if kind in KINDS:
                self._last = time.monotonic()
                if print_of != self._print:
                    wire.send(connection, {"refused": "packages or files of quantdesk have changed since it started"})
                    connection.close()
                    self._retire()
                else:
                    self._serve(connection, kind)
                return
            wire.send(connection, self._told())
            connection.close()
            if kind == "stop":
                self._retire()
        except (wire.Closed, OSError, KeyError, TypeError):
            connection.close()

    def _serve(self, connection: socket.socket, kind: str) -> None:
        """Hand the requester to a fork that waits, or to a new one, and tell it which."""
        waiting = [one for one in self._children.values() if one.kind == kind and one.control is not None]
        child = next((one for one in waiting if self._handed(one, connection)), None)
        if child is None:
            child = self._fork(kind, connection)
        child.requester, child.since = connection, time.time()
        self._forked = time.monotonic()
        self._served += 1
        self._wanted.add(kind)
        handle = os.pidfd_open(child.pid)
        try:
            wire.send(connection, {"pid": child.pid}, [handle])
        except OSError:
            self._let_go(child)
        finally:
            os.close(handle)

    def _handed(self, child: Child, connection: socket.socket) -> bool:
        control, child.control = child.control, None
        if control is None or child.exit is not None:
            return False
        try:
            socket.send_fds(control, [b"!"], [connection.fileno()])
        except OSError:
            return False  # it has died, and will be reaped
        finally:
            control.close()
        return True

    def _fork(self, kind: str, connection: socket.socket | None) -> Child:
        """A new fork, for a requester or, without one, for the pool."""
        control, theirs = socket.socketpair() if connection is None else (None, connection)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._abandon(control, keep=theirs)
            become.forget([theirs.fileno()])
            gc.enable()
            if kind == WORKER:
                pair.split(theirs)
            raise Role(kind, theirs, waits=connection is None)
        if control is not None:
            theirs.close()
        child = self._children[pid] = Child(pid, kind, control)
        return child

    def _abandon(self, *more: socket.socket | None, keep: socket.socket) -> None:
        """In a fork: have no object here close a descriptor later whose number belongs to something else by then."""
        held = [self._listener, *self._pending.values(), *more]
        held += [end for child in self._children.values() for end in (child.control, child.requester)]
        for one in held:
            if one is not None and one is not keep:
                one.detach()

    def _reap(self) -> None:
        """Learn which forks have ended. Their numbers stay taken until their requesters have heard of it."""
        for child in list(self._children.values()):
            if child.exit is None:
                ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None:
                    continue
                child.exit = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
                self._last = time.monotonic()
                if child.requester is not None:
                    try:
                        wire.send(child.requester, {"exit": child.exit})
                        continue
                    except OSError:
                        pass
            if child.requester is None or child.exit is None:
                self._let_go(child)

    def _let_go(self, child: Child) -> None:
        """The requester does not want to know any more; a fork that has ended can be forgotten."""
        if child.requester is not None:
            child.requester.close()
            child.requester = None
        if child.exit is not None:
            os.waitpid(child.pid, 0)
            del self._children[child.pid]
            if child.control is not None:
                child.control.close()

    def _lacking(self) -> str | None:
        if self._listener is None:
            return None
        waiting = [child.kind for child in self._children.values() if child.control is not None]
        return next((kind for kind in sorted(self._wanted) if waiting.count(kind) < self._pool), None)

    def _look(self) -> None:
        if self._listener is None:
            return
        lacking = self._lacking()
        # Questions of how it is do not count: whoever watches the pool would keep it empty.
        if lacking is not None and time.monotonic() - self._forked >= QUIET_S:
            self._fork(lacking, None)
        if any(child.control is None for child in self._children.values()):
            self._last = time.monotonic()
        with contextlib.suppress(OSError):
            if (self._folder / "socket").stat().st_ino == self._inode and time.monotonic() - self._last < self._idle_s:
                return
        self._retire()

    def _retire(self) -> None:
        """Answer nobody any more: a successor may start. What was forked is still waited for."""
        if self._listener is None or self._lock is None:
            return
        with contextlib.suppress(OSError):
            if (self._folder / "socket").stat().st_ino == self._inode:
                (self._folder / "socket").unlink()
        self._listener.close()
        self._listener = None
        os.close(self._lock)
        self._lock = None
        for child in self._children.values():
            if child.control is not None:
                child.control.close()  # which ends it
                child.control = None

    def _told(self) -> dict[str, Any]:
        living = [child for child in self._children.values() if child.exit is None]
        return {
            "pid": os.getpid(),
            "started": self._started,
            "fingerprint": self._print,
            "served": self._served,
            "idle_s": self._idle_s,
            "children": [
                {"pid": child.pid, "kind": child.kind, "since": child.since, "waiting": child.control is not None}
                for child in living
            ],
        }


class Role(BaseException):
    """Raised in a fork: what it goes on with, once the zygote's stack is left behind."""

    def __init__(self, kind: str, connection: socket.socket, *, waits: bool) -> None:
        super().__init__()
        self.kind = kind
        self.connection = connection
        self.waits = waits

    def play(self) -> int:
        """Be it, to the end; the exit code."""
        connection = self.connection
        if self.waits:
            _, handles, _, _ = socket.recv_fds(connection, 1, 1)
            connection.close()
            if not handles:
                return 0  # nobody needs it any more
            connection = socket.socket(fileno=handles[0])
        connection.settimeout(None)
        return KINDS[self.kind](connection)


def _note(folder: Path, **what: Any) -> None:
    fresh = folder / "state.json.new"
    fresh.write_text(json.dumps({"pid": os.getpid(), "at": time.time(), **what}), "utf-8")
    os.replace(fresh, folder / "state.json")


def main(arguments: list[str] | None = None) -> int:
    """Be a zygote, or one of its forks: both come back here."""
    place, lock, wanted, idle_s, pool, modules = sys.argv[1:7] if arguments is None else arguments[:6]
    folder = Path(place)
    sys.path[:] = [path for path in sys.path if path not in ("", os.getcwd())]  # noqa: PTH109 (as it stands there)
    before = identity.fingerprint()
    _note(folder, state="starting", fingerprint=before)
    began = time.monotonic()
    try:
        with become.low_numbers_free():
            stack.warm_up([name for name in modules.split(",") if name] or stack.STACK)
        reason = stack.unfit()
    except Exception as error:  # noqa: BLE001 (whatever keeps it from starting is the reason)
        reason = f"{type(error).__name__}: {error}"
    if reason:
        _note(folder, state="failed", fingerprint=before, reason=reason)
        return 1
    if identity.fingerprint() != before:
        _note(folder, state="outdated", fingerprint=before, reason="packages changed while it started")
        return 1
    gc.collect()
    gc.freeze()
    gc.disable()
    zygote = Zygote(folder, int(lock), idle_s=float(idle_s), pool=int(pool), print_of=before)
    try:
        zygote.listen()
        _note(folder, state="ready", fingerprint=before, seconds=round(time.monotonic() - began, 3))
        zygote.serve(set(wanted.split(",")) & set(KINDS))
        return 0
    except Role as fork:
        role: Any = fork
    except pair.Fork as fork:
        role = Role(KERNEL, fork.connection, waits=False)
    role.__traceback__ = role.__context__ = None
    del zygote
    return become.leave(role.play())


if __name__ == "__main__":
    sys.exit(main())
