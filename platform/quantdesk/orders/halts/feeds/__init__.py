"""The feeds of trade halts: parsers, one life for each halt, a poller and its journal.

::

    halt        one halt, and what its codes mean (codes.toml)
    rss, nyse   what the two feeds look like, with every quirk known
    times       their days and times of day
    lifecycle   many items, one life of each halt
    heard       what is known of a feed, and when it may be asked again
    poller*     asks, at most once a minute
    journal*    what was heard, on the disk

``*`` marks the edges.
"""

from __future__ import annotations

from quantdesk.orders.halts.feeds.halt import FeedError, Halt
from quantdesk.orders.halts.feeds.lifecycle import merged
from quantdesk.orders.halts.feeds.nyse import parse_nyse_csv
from quantdesk.orders.halts.feeds.rss import parse_nasdaq_rss

__all__ = ["FeedError", "Halt", "merged", "parse", "parse_nasdaq_rss", "parse_nyse_csv"]


def parse(text: str) -> list[Halt]:
    """Either feed, told apart by its first character.

    Raises
    ------
    FeedError
        It is neither.
    """
    return parse_nasdaq_rss(text) if text.lstrip("\ufeff \t\r\n").startswith("<") else parse_nyse_csv(text)
