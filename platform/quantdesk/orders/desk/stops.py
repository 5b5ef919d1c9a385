"""When stops go off, and how many shares protective ones may stand for. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from quantdesk.orders.desk.state import Stop
from quantdesk.orders.quotes import Nbbo

__all__ = ["reached", "surplus"]


def reached(side: int, price: int, nbbo: Nbbo) -> bool:
    """Whether the market has reached a stop price.

    A stop to sell goes off when the best bid is at or below it, a stop to buy when the best offer is at or above it:
    the side on which it would trade. Without that side, it stands.

    Parameters
    ----------
    side
        1 to buy, -1 to sell.
    price
        Micro-dollars.
    nbbo
        The national best quotes.
    """
    if side > 0:
        return nbbo.ask >= price > 0 and nbbo.ask > 0
    return 0 < nbbo.bid <= price


def surplus(stops: Iterable[Stop], position: int) -> list[tuple[Stop, int]]:
    """Protective stops that protect nothing any more, with the shares that are left for each (0: none).

    A stop to sell protects a long position: those of one symbol together stand for no more shares than are held. The
    oldest keep their shares, because what is sold first leaves the newest purchase unprotected last.

    Parameters
    ----------
    stops
        The standing stops of one symbol, oldest first.
    position
        Shares held; below 0 when short.

    Returns
    -------
    list of (Stop, int)
        Those whose number of shares must shrink.
    """
    left = {"sell": max(position, 0), "buy": max(-position, 0)}
    found = []
    for stop in stops:
        kept = min(stop.shares, left[stop.action])
        left[stop.action] -= kept
        if kept < stop.shares:
            found.append((stop, kept))
    return found
