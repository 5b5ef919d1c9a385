"""Audits of feature code: does any value depend on rows that come later? And if so, which line is it?

>>> from quantdesk.features import audit
>>> audit.check(my_feature, prices)                    # doctest: +SKIP
>>> audit.check(make_pipeline(StandardScaler(), PCA()), table, use=audit.Use(fit_until="2019-12-31"))  # doctest: +SKIP
>>> audit.repository(MarketStore())                    # doctest: +SKIP

What is where, in the order in which an audit goes (all pure)::

    clock, material     times as numbers; the data: whole, cut off, changed
    cuts, futures       where they are cut, and what another future is
    trial, answers      calling the function; answers laid out and compared, and the tolerance
    inquiry, search     one question; all of them
    follow              first row, reach, size, line and kind of a leak
    tracing, marks      statement by statement: what a run did, and what its past looked like
    blame, source       from two such records to the line
    naming, kinds       from the line and the behaviour to a name
    estimators          scikit-learn objects as functions
    checking, report    the door, and what comes out of it
    repository          every feature of the platform

The code under audit is the caller's own function, called in the caller's process. Nothing is read from a file and
executed.
"""

from quantdesk.features.audit.checking import Use, check
from quantdesk.features.audit.kinds import KINDS, Kind
from quantdesk.features.audit.report import AuditReport, Finding, Line
from quantdesk.features.audit.repository import REPOSITORY_CUTS, repository

__all__ = ["KINDS", "REPOSITORY_CUTS", "AuditReport", "Finding", "Kind", "Line", "Use", "check", "repository"]
