"""Where a function can be called many times, and how it is called one after the other here. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

__all__ = ["Compute", "InProcess", "Lost"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Lost:
    """What stands in the place of a result that no process lived to give.

    Attributes
    ----------
    why
        A sentence.
    """

    why: str


class Compute(Protocol):
    """A place where many independent calls are made."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Call the function with each item.

        Results come in the order of the items, whichever was ready first, and items are taken as room becomes free:
        neither all items nor all results are ever held at once. An error of a call is raised where its result would
        have stood; what was not begun then is not begun any more.

        Parameters
        ----------
        function
            Importable by its name, as are the items' types: both may travel to another process.
        items
            May be endless.
        """
        ...

    def each(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        limit_s: float | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, Result | Lost]]:
        """Call the function with each item, and give results as they become ready: for long calls of uneven length.

        A call whose process was killed is made again elsewhere: the function must do no harm by that. One that ends
        its process time after time is given up.

        Parameters
        ----------
        function, items
            As in :meth:`map`.
        limit_s
            Seconds after which the process of a call is ended, and the call is given up; None for no limit. Here, and
            in a cluster's workers without a nanny, nothing can end a call.
        stop
            Asked several times a second (here: between two calls). Once it says yes, nothing is begun any more, and
            what runs is dropped.

        Yields
        ------
        (int, Result or Lost)
            The place of the item, from 0, and its result; :class:`Lost` for one that was given up. An error of a call
            is raised, and ends all.
        """
        ...


class InProcess:
    """Here, one after the other."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Call the function with each item, when its result is asked for."""
        for item in items:
            yield function(item)

    def each(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        limit_s: float | None = None,  # noqa: ARG002 (nothing here can end a call)
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, Result | Lost]]:
        """See :meth:`Compute.each`: in order; a limit of time ends nothing."""
        for place, item in enumerate(items):
            if stop():
                return
            yield place, function(item)
