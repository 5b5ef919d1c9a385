"""What is odd in a series, held against the sessions that it should have. Pure.

>>> from quantdesk.market import quality
>>> bars = store.bars("SPX@arch")                                               # doctest: +SKIP
>>> quality.check(bars.series, bars.frame, sessions).to_frame()                 # doctest: +SKIP

Nothing is mended: a finding names what is there, and the store keeps it.
"""

from quantdesk.market.quality.checks import check
from quantdesk.market.quality.report import Example, Finding, Report

__all__ = ["Example", "Finding", "Report", "check"]
