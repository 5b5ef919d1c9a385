"""The past of a simulated path: the real one, without its last bar. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from quantdesk.scenarios.path import Path

__all__ = ["before"]


def before(base: Path) -> Path | None:
    """All bars before the last of a path, its history's included; None where there are none.

    Fields that one of them does not have are NaN in it. A history of other assets cannot be laid under the path's own
    bars, which then stand alone.
    """
    own = replace(base.cut(0, len(base.ends) - 1), history=None) if len(base.ends) > 1 else None
    past = base.history
    if past is None or own is None:
        return own if past is None else past
    keep = past.ends <= own.begins[0]
    if past.symbols != base.symbols or not keep.any():
        return own
    tables: dict[str, Any] = {}
    for name in ("close", "grades", "open", "high", "low", "volume"):
        earlier, later = getattr(past, name), getattr(own, name)
        if earlier is None and later is None:
            tables[name] = None
            continue
        empty = (np.full((len(one.ends), len(one.assets)), np.nan) for one in (past, own))
        first, second = (
            table if table is not None else blank for table, blank in zip((earlier, later), empty, strict=True)
        )
        tables[name] = np.concatenate([first[keep], second])
    return replace(
        own,
        begins=np.concatenate([past.begins[keep], own.begins]),
        ends=np.concatenate([past.ends[keep], own.ends]),
        history=past.history,
        **tables,
    )
