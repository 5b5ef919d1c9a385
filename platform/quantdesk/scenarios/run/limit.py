"""An end for a call that does not end by itself. An edge module: it uses a thread and the clock."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["Allowance", "TookTooLong", "within"]

T = TypeVar("T")
_AGAIN_S = 0.01


class TookTooLong(BaseException):  # not an Exception: code that catches those must not catch its own end
    """The time is over."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """The answer of a call, if it comes in time.

    The call is ended between two steps of the interpreter: a loop of Python ends, a single long call of C ends when it
    returns. It runs in the caller's thread, so that it may hold what only that one may. Code that catches it is told
    again, a hundred times a second, and an answer that it gives after its time is none. A loop that catches everything
    in every turn can go on for ever: only a process of its own, as the grid has, ends that.

    Raises
    ------
    TookTooLong
        It did not.
    """
    caller = ctypes.c_ulong(threading.get_ident())
    lock, woken = threading.Lock(), threading.Event()
    is_over, is_late = [False], [False]

    def watch() -> None:
        while not woken.wait(_AGAIN_S if is_late[0] else max(seconds, 0.0)):
            with lock:
                if not is_over[0]:
                    is_late[0] = True
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(caller, ctypes.py_object(TookTooLong))

    try:
        threading.Thread(target=watch, daemon=True).start()
        return call()
    finally:
        is_over[0] = True
        for _ in range(2):  # what was sent already may arrive here, once
            try:
                with lock:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(caller, None)
                woken.set()
                break
            except TookTooLong:
                continue
        if is_late[0]:
            raise TookTooLong


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
