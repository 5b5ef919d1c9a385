"""An end for a call that does not end by itself. An edge module: it uses a thread and the clock."""

from __future__ import annotations

import _thread
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
    done, ended = threading.Lock(), threading.Lock()
    is_late = [False]

    def watch() -> None:
        wait = max(seconds, 0.0)
        while not done.acquire(timeout=wait):
            is_late[0] = True
            ctypes.pythonapi.PyThreadState_SetAsyncExc(caller, ctypes.py_object(TookTooLong))
            wait = _AGAIN_S
        ended.release()

    done.acquire()
    ended.acquire()
    try:
        try:
            try:
                _thread.start_new_thread(watch, ())  # one step: what it sends arrives within these walls
            except RuntimeError:
                ended.release()
                raise
            return call()
        finally:
            _settle(done, ended)
    finally:
        _settle(done, ended)  # once more: the first may have been cut short before it began
        if is_late[0]:
            raise TookTooLong


def _settle(done: threading.Lock, ended: threading.Lock) -> None:
    """End the watch, and let arrive what it has sent.

    Each step can be interrupted by what is on its way, and is then done again: so there are only locks here, whose
    methods are one step each, and none of the classes of `threading` that hold one while they work.
    """
    while True:
        try:
            while ended.locked():
                if done.locked():
                    done.release()
                time.sleep(1e-4)
            for _ in range(8):  # between two of these steps it arrives
                pass
        except TookTooLong:
            continue
        return


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
