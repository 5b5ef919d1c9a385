"""A fork takes on what was ordered: descriptors, environment, limits, randomness, its name. An edge module.

After it, the process is the one that the requester would have started, as far as a process can tell of itself; what
others see in ``/proc`` is changed as well, because marks in the environment find what a run or a hub has started.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import io
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from quantdesk.reports.kernels.order import Order

__all__ = ["COERCED", "PADDING", "ROOM", "become", "forget", "leave", "lifted", "low_numbers_free"]

COERCED = "QUANTDESK_ZYGOTE_COERCED"
"""Set in a zygote whose interpreter chose the locale by itself."""
PADDING = "QUANTDESK_ZYGOTE_PADDING"
"""The variable whose value is the room in which a fork writes its own environment."""
ROOM = 96 << 10
"""Bytes of it; a longer environment is shown in ``/proc`` as far as it fits, marks first."""
_ABOVE = 200
"""Descriptors from here on are free while those of the order are put in their places."""
_LAST = 1 << 30
_RESERVED = 24
HELD: set[int] = set()
"""Descriptors that objects of imported packages hold."""
_MARKS = ("QUANTDESK_",)


def forget(keep: Sequence[int]) -> None:
    """Right after the fork: let go of everything that belongs to the zygote.

    Parameters
    ----------
    keep
        Descriptors that stay open besides the first three.
    """
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(ValueError):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.setsid()
    _close(3, _LAST, keep)


def _close(first: int, end: int, keep: Sequence[int] = ()) -> None:
    """Close descriptors from `first` up to `end`, but for `keep` and those that objects of imported packages hold.

    Such an object closes its number when it goes away, whatever that number is by then: it has to stay what it was.
    """
    opened = [int(one.name) for one in Path("/proc/self/fd").iterdir()]
    for descriptor in opened:
        if first <= descriptor < end and descriptor not in HELD and descriptor not in keep:
            with contextlib.suppress(OSError):  # the listing itself
                os.close(descriptor)


@contextlib.contextmanager
def low_numbers_free() -> Iterator[None]:
    """While packages are imported: what they open gets numbers that no order puts anything in, and is noted."""
    reserved = [os.open(os.devnull, os.O_RDONLY) for _ in range(_RESERVED)]
    before = {int(one.name) for one in Path("/proc/self/fd").iterdir()}
    try:
        yield
    finally:
        HELD.update({int(one.name) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()} - before)
        for descriptor in reserved:
            os.close(descriptor)


def become(order: Order, descriptors: Sequence[int], connection: socket.socket | None = None) -> None:
    """Be the ordered process.

    Parameters
    ----------
    order
        What was ordered.
    descriptors
        Open descriptors that become 0, 1, 2 and so on; the given numbers are closed.
    connection
        A socket that stays open.

    Raises
    ------
    OSError, ValueError
        The folder cannot be entered, or a limit not be set.
    """
    _place(descriptors, connection)
    _streams()
    _environment(order)
    os.umask(order.umask)
    for number in order.ignored:
        signal.signal(number, signal.SIG_IGN)
    os.chdir(order.folder)
    if order.processors:
        os.sched_setaffinity(0, order.processors)
    for name, soft in order.limits.items():
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        if (soft, hard) != resource.getrlimit(number):
            resource.setrlimit(number, (soft, hard))
    _reseed()
    _first_process()
    _threads(order.environment)
    sys.orig_argv[:] = order.command
    _show(order.command, *_region(*_ARGUMENTS))


def lifted(descriptor: int) -> int:
    """The same under a number out of the way of those of an order; the old one is closed."""
    above = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
    os.close(descriptor)
    return above


def leave(code: int) -> NoReturn:
    """End as the interpreter does: threads are waited for, what was registered for the exit runs, streams are flushed.

    What it does afterwards, taking modules apart, would have the system copy every page that is shared with the zygote,
    for some tenths of a second. As with :func:`os._exit` in a child of `multiprocessing`, it is left to the system.

    Parameters
    ----------
    code
        The exit code.
    """
    threads: Any = threading
    functions: Any = atexit
    try:
        threads._shutdown()
        functions._run_exitfuncs()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


def _place(descriptors: Sequence[int], connection: socket.socket | None) -> None:
    kept = [lifted(descriptor) for descriptor in descriptors]
    if connection is not None:
        socket.socket.__init__(connection, fileno=lifted(connection.detach()))
    _close(3, _ABOVE)
    for target, descriptor in enumerate(kept):
        os.dup2(descriptor, target, inheritable=True)
        os.close(descriptor)


def _streams() -> None:
    """The standard streams as the interpreter makes them: a line at a time on a terminal, in blocks elsewhere."""
    for name, handle, mode in (("stdin", 0, "rb"), ("stdout", 1, "wb"), ("stderr", 2, "wb")):
        old = getattr(sys, f"__{name}__")
        unbuffered = old.write_through and name != "stdin"  # as with PYTHONUNBUFFERED
        buffer: Any = open(handle, mode, 0 if unbuffered else -1, closefd=False)  # noqa: SIM115 (it stays open)
        getattr(buffer, "raw", buffer).name = f"<{name}>"
        lines = not unbuffered and (name == "stderr" or os.isatty(handle))
        fresh = io.TextIOWrapper(
            buffer, encoding=old.encoding, errors=old.errors, line_buffering=lines, write_through=old.write_through
        )
        fresh.mode = mode[0]  # type: ignore[misc]
        setattr(sys, name, fresh)
        setattr(sys, f"__{name}__", fresh)


def _environment(order: Order) -> None:
    # An interpreter that starts in the C locale sets this itself; requester and zygote have the same locale.
    own = os.environ.get("LC_CTYPE") if os.environ.get(COERCED) else None
    coerced = {} if own is None else {"LC_CTYPE": own}
    os.environ.clear()
    os.environ.update({**coerced, **order.environment})
    time.tzset()
    first = sorted(os.environ, key=lambda name: not name.startswith(_MARKS))
    _show([f"{name}={os.environ[name]}" for name in first], *_region(*_ENVIRONMENT))


_ARGUMENTS = (48, 49)
_ENVIRONMENT = (50, 51)


def _region(begin: int, end: int) -> tuple[int, int]:
    """Addresses of this process where the system looks for its arguments, or its environment: see proc(5), stat."""
    fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[begin - 3]), int(fields[end - 3])  # the first after the name has number 3


def _show(items: Sequence[str], begin: int, end: int) -> None:
    """Overwrite what the system shows of this process, in place and within the room that there is.

    The C library's own copies are elsewhere by now: `os.environ` was emptied and filled anew.
    """
    room = end - begin - 1
    shown = b""
    for item in items:
        more = os.fsencode(item) + b"\0"
        if len(shown) + len(more) <= room:
            shown += more
    if begin and room > 0:
        ctypes.memset(begin, 0, room + 1)
        ctypes.memmove(begin, shown, len(shown))


def _reseed() -> None:
    random.seed()
    if "numpy" in sys.modules:
        import numpy

        numpy.random.seed()


def _first_process() -> None:
    """What multiprocessing notes when it is imported: the folder of the program, and a key of its own."""
    known: Any = sys.modules.get("multiprocessing.process")
    if known is not None:
        known.ORIGINAL_DIR = os.getcwd()  # noqa: PTH109 (as it stands there)
        known._current_process = type(known._current_process)()


def _threads(environment: Mapping[str, str]) -> None:
    """As many threads of linear algebra as a new process would have; the zygote has one."""
    given = environment.get("OPENBLAS_NUM_THREADS") or environment.get("OMP_NUM_THREADS")
    wanted = int(given) if given and given.isdigit() else len(os.sched_getaffinity(0))
    if wanted > 1 and "threadpoolctl" in sys.modules:
        sys.modules["threadpoolctl"].threadpool_limits(wanted)
