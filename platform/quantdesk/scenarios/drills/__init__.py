"""Drills: a fault of the platform itself in the middle of a run, and whether anybody would have noticed.

>>> from quantdesk.scenarios import ScenarioEngine
>>> from quantdesk.scenarios.drills import run_drills
>>> stage = ScenarioEngine().stage("flash_crash", duration_minutes=30)                  # doctest: +SKIP
>>> run_drills(stage).to_frame()                                                         # doctest: +SKIP

::

    faults    what breaks: lines to venues, quotes, the feed of halts         (pure)
    drill     the drills by name, and which alerts each one should set off    (pure)
    run       the run: the same orders with the fault and without             (edge)
    result    which alerts fired, how fast, which did not; what was lost      (pure)

The desk, its guardrails and its alert rules are those of production; nothing here decides what they say. A rule that
does not fire is told as one that did not.
"""

from __future__ import annotations

from quantdesk.scenarios.drills.drill import DRILLS, Drill, Plan
from quantdesk.scenarios.drills.result import Detection, DrillReport, DrillResult, Kept
from quantdesk.scenarios.drills.run import drill, run_drills

__all__ = ["DRILLS", "Detection", "Drill", "DrillReport", "DrillResult", "Kept", "Plan", "drill", "run_drills"]
