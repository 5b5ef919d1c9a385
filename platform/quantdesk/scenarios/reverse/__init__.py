"""Reverse stress: not what a shock costs, but which shock costs so much. Pure.

::

    loss      what a book loses when factors move
    search    the most plausible moves that breach a limit
    answer    the result, and the real days that came nearest
"""

from __future__ import annotations

from quantdesk.scenarios.reverse.answer import Nearest, Reverse
from quantdesk.scenarios.reverse.loss import Loss, linear_loss, priced_loss
from quantdesk.scenarios.reverse.search import Search, linear_answer, reverse_stress, reverse_stresses

__all__ = [
    "Loss", "Nearest", "Reverse", "Search", "linear_answer", "linear_loss", "priced_loss", "reverse_stress",
    "reverse_stresses",
]  # fmt: skip
