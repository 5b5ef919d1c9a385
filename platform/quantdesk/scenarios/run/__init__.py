"""One strategy through one path: features -> signals -> guardrails -> halts -> routing -> fills, bar by bar."""

from __future__ import annotations

from quantdesk.scenarios.run.config import RunConfig
from quantdesk.scenarios.run.loop import run_account
from quantdesk.scenarios.run.portfolio import Holdings, holdings_of
from quantdesk.scenarios.run.stage import Stage, stage_of

__all__ = ["Holdings", "RunConfig", "Stage", "holdings_of", "run_account", "stage_of"]
