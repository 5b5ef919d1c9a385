"""Drawn paths: many futures that a history makes plausible, and what a book would lose in them.

>>> moves = Moves.of(history)                                                   # doctest: +SKIP
>>> drawn = Drawn(Filtered.of(moves), days=10, paths=100_000, seed=7)           # doctest: +SKIP
>>> tail_of(drawn.pnl({"AAPL": 60_000.0, "XOM": 40_000.0}))                     # doctest: +SKIP

What is where::

    moves           the history that methods are fitted to                                  (pure)
    method          what a method must be able to do, and its random numbers                (pure)
    student         multivariate t and normal                                               (pure)
    covariance      the root of a covariance, repaired where it must be                     (pure)
    bootstrap       stationary block bootstrap                                              (pure)
    filtered        filtered historical simulation with GJR-GARCH                           (pure)
    kernels         the compiled loops of the three                                         (pure)
    drawn           chunks, single paths, profit and loss                                   (pure)
    tail            VaR and expected shortfall with intervals                               (pure)
"""

from __future__ import annotations

from quantdesk.scenarios.paths.bootstrap import Bootstrap, block_length
from quantdesk.scenarios.paths.covariance import Root, root_of
from quantdesk.scenarios.paths.drawn import Drawn
from quantdesk.scenarios.paths.filtered import Filtered, Gjr, fit_gjr
from quantdesk.scenarios.paths.method import Method
from quantdesk.scenarios.paths.moves import Moves
from quantdesk.scenarios.paths.student import StudentT
from quantdesk.scenarios.paths.tail import Tail, tail_of

__all__ = [
    "Bootstrap",
    "Drawn",
    "Filtered",
    "Gjr",
    "Method",
    "Moves",
    "Root",
    "StudentT",
    "Tail",
    "block_length",
    "fit_gjr",
    "root_of",
    "tail_of",
]
