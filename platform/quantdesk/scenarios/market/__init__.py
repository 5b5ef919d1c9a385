"""The market of a path: what venues quote while a crisis goes by, as simulated exchanges that a desk trades with. Pure.

Midpoints are the values of the path. Around them stand the quotes that :mod:`quantdesk.scenarios.liquidity` says: wider
and thinner as volatility rises. What lies behind them, and what one's own orders do to the price, is the square-root
law of :mod:`quantdesk.orders.venues.impact`. No quote is a record of what was displayed: the flow is labelled
``reconstructed`` on real bars and ``simulated`` on others.

Times of quotes. A bar of minutes shows its open when it begins and its close from its middle on. A daily bar shows its
open, its extremes (first the one that is nearer to the open) a third and two thirds through the session, and its close
a minute before the end, each only where the series has it. Without an open there are no extremes: nobody knows which
came first, and who waits for the first quote of a day would always trade at one. Where a market is closed or a bar is
missing, nobody quotes. Quotes before the close of a bar are as wide and as deep as the volatility of earlier bars makes
them: nobody knows then how wild the bar will have been. What lies behind a quote is as thin as the quote itself says:
the law is that of the session's first quote, and the strain of each later one is how much further the same shares move
the price by then.

::

    config         what a path does not say of its market, and what else happens to it
    known          what is known of each symbol: volatility, volume, first price
    sessions       the sessions of a path, and the moments of quotes in them
    quotes         the quotes of every session
    path_market    :class:`PathMarket`, which has all of them
"""

from __future__ import annotations

from quantdesk.scenarios.market.config import CALM, Effects, MarketConfig
from quantdesk.scenarios.market.path_market import PathMarket
from quantdesk.scenarios.market.quotes import tick_of

__all__ = ["CALM", "Effects", "MarketConfig", "PathMarket", "tick_of"]
