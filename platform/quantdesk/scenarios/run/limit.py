"""An end for a call that does not end by itself. An edge module: it uses a thread and the clock."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Allowance", "TookTooLong", "within"]

T = TypeVar("T")


class TookTooLong(BaseException):  # not an Exception: code that catches those must not catch its own end
    """The time is over."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """The answer of a call, if it comes in time.

    The call is ended between two steps of the interpreter: a loop of Python ends, a single long call of C ends when it
    returns. It runs in the caller's thread, so that it may hold what only that one may.

    Raises
    ------
    TookTooLong
        It did not.
    """
    caller = threading.get_ident()
    lock, over = threading.Lock(), False

    def end() -> None:
        with lock:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(caller), ctypes.py_object(TookTooLong))

    timer = threading.Timer(max(seconds, 0.0), end)
    timer.daemon = True
    timer.start()
    try:
        answer = call()
    finally:
        with lock:
            over = True
        timer.cancel()
    return answer


class Allowance:
    """Seconds for many calls in all.

    Parameters
    ----------
    seconds
        As much as they may take together.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def __call__(self, call: Callable[[], T]) -> T:
        """The answer of a call within what is left; see :func:`within`."""
        begun = time.monotonic()
        try:
            return within(self.left, call)
        finally:
            self.left -= time.monotonic() - begun
