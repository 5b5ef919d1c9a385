"""What a day was like by the minute, where only its daily bar is known: always reconstructed, never real.

::

    minutes       by_minute: daily bars into minutes
    grid          the bars that a session is cut into
    bridge        paths through the corners of a day, or from close to close
    relatives     how an asset moves with the index
    course        the index through one day
    day           what is known of a day
    lookback      the daily bars before
    march_2020    the four halts of the whole market
    flash_crash   6 May 2010: the index, the stocks, depth, broken trades
    flash_agents  who traded the E-mini on that day
"""

from __future__ import annotations

from quantdesk.scenarios.intraday.flash_crash import Depth, Seller, Trade, busted, depth, references, seller
from quantdesk.scenarios.intraday.minutes import by_minute

__all__ = ["Depth", "Seller", "Trade", "busted", "by_minute", "depth", "references", "seller"]
