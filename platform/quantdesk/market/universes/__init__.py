"""Who was a member of a universe on a day, as it was known then.

===========  ========================================================
universe     memberships by date, and who was in on a day       (pure)
intake       a user's CSV or Parquet file of memberships        (edge)
===========  ========================================================
"""

from quantdesk.market.universes.universe import Membership, Universe, of_series

__all__ = ["Membership", "Universe", "of_series"]
