"""The catalogue of features: static pages, one per feature, that work offline. An edge module: it reads and writes.

What is where::

    gather    from a feature store to facts, symbol by symbol                (edge)
    uses      who uses a feature: services, notebooks                        (edge)
    facts     distribution, coverage, reasons for nulls of one feature       (pure)
    charts    histograms as SVG                                              (pure)
    graph     the lineage as SVG                                             (pure)
    pages     HTML that loads nothing and runs one script, or none           (pure)
    publish   the pages as files; equal stores give equal bytes              (edge)
"""

from quantdesk.reports.catalogue.publish import Written, write
from quantdesk.reports.catalogue.uses import lineage_of

__all__ = ["Written", "lineage_of", "write"]
