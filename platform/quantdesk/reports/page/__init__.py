"""The page of a run: one HTML file that needs nothing else and lets nothing out. Pure.

Everything that a notebook can put on the page is data: text is escaped, HTML passes an allow-list, figures are JSON.
The Content-Security-Policy allows the two scripts that the page carries, by their hash, and no connection at all.
"""

from quantdesk.reports.page.document import render, render_bare

__all__ = ["render", "render_bare"]
