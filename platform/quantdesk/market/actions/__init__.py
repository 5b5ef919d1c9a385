"""Splits and dividends as dated facts, and prices adjusted with those that were known.

===========  =======================================================================================================
action       one split or dividend, with the time at which it was known; which of them were known on a date    (pure)
derive       actions out of a raw and an adjusted close                                                        (pure)
ticks        splits out of prices that were adjusted for them: whole cents tell                                (pure)
adjust       factors that join the prices before an ex-date to those after it                                  (pure)
adjusted     all of it for one series of the store, as known on a date                                         (pure)
intake       a user's CSV or Parquet file of actions                                                           (edge)
===========  =======================================================================================================

The public names are those of the modules; :class:`quantdesk.market.MarketStore` calls them.
"""
