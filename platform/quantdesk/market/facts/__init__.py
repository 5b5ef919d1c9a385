"""Dated facts out of a user's file: corporate actions and memberships. An edge module: it reads and writes files.

A fact has its own dates and a time since when it was known. A file of them is checked as a whole, then added to what
the store holds: facts are appended, never overwritten, so a correction is one more fact that was known later.
"""

from quantdesk.market.facts.files import FactFile
from quantdesk.market.facts.mapping import FactMapping
from quantdesk.market.facts.table import FactTable, read_facts

__all__ = ["FactFile", "FactMapping", "FactTable", "read_facts"]
