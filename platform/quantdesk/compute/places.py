"""Where a function can be called many times, and how it is called one after the other here. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

__all__ = ["Compute", "InProcess"]

Item = TypeVar("Item")
Result = TypeVar("Result")


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


class InProcess:
    """Here, one after the other."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Call the function with each item, when its result is asked for."""
        for item in items:
            yield function(item)
