"""The catalogue as HTML: an index and one page per feature. Pure.

Every text is escaped by the template engine. The Content-Security-Policy of a page lets its one style sheet in, on the
index also its one script, each by its hash; nothing is loaded, and no connection is allowed. Without the script the
index still shows everything and is filtered by view with radio buttons.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from quantdesk.features import missing
from quantdesk.reports import theme
from quantdesk.reports.catalogue import charts, graph
from quantdesk.reports.catalogue.facts import QUANTILES, Coverage, Facts, Overview

__all__ = ["feature_page", "file_name", "index_page"]

_MOST_ROWS = 160
"""Series of which each has a line of its own in the table of coverage; of more, each kind and source has one."""
_STATES = {
    "fresh": ("✓", "positive"),
    "ended": ("■", "muted"),
    "gone": ("□", "muted"),
    "open": ("–", "muted"),
    "late": ("✕", "negative"),
    "behind": ("✕", "negative"),
    "empty": ("✕", "negative"),
    "unknown": ("?", "warning"),
}
_VERDICTS = {
    "no leak found": ("✓", "positive"),
    "leaks": ("✕", "negative"),
    "undecided": ("?", "warning"),
    "not audited": ("–", "muted"),
}


def file_name(feature: str) -> str:
    """The file of a feature's page: its name where that is one for a file, else made safe and told apart by a hash."""
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", feature)[:80]
    if safe == feature and safe not in {"", "index"}:
        return f"{safe}.html"
    return f"{safe}-{hashlib.sha256(feature.encode()).hexdigest()[:10]}.html"


def feature_page(facts: Facts, overview: Overview, neighbours: tuple[str | None, str | None] = (None, None)) -> str:
    """The page of one feature.

    Parameters
    ----------
    facts, overview
        What it shows.
    neighbours
        The features before and after it in the index.
    """
    years, rows = _coverage(facts)
    style = theme.tokens_css() + _part("catalogue.css")
    return str(
        _environment()
        .get_template("feature.html.j2")
        .render(
            facts=facts,
            overview=overview,
            feature=facts.feature,
            view=facts.view,
            labels=[(name, *theme.LABELS[name]) for name in facts.labels],
            graph=graph.drawing(facts.lineage),
            charts=[(one, charts.histogram(one, facts.feature.unit)) for one in facts.distributions],
            quantiles=[f"{share:.0%}" for share in QUANTILES],
            years=years,
            coverage=rows,
            meanings={one.code: meaning(one.code) for one in facts.nulls},
            neighbours=[(name, file_name(name)) if name else None for name in neighbours],
            policy=_policy(style),
            style=style,
        )
    )


def index_page(every: Sequence[Facts], overview: Overview) -> str:
    """The page that leads to all others."""
    style, script = theme.tokens_css() + _part("catalogue.css"), _part("catalogue.js")
    views = {facts.view.name: facts.view for facts in every}
    # Filtering without a script: a radio button per view hides the lines of the others.
    style += "".join(
        f"body:has(#view-{number}:checked) tr[data-view]:not([data-view='{number}']){{display:none}}"
        for number in range(1, len(views) + 1)
    )
    return str(
        _environment()
        .get_template("index.html.j2")
        .render(
            features=every,
            overview=overview,
            views=list(enumerate(views.values(), start=1)),
            number_of={name: number for number, name in enumerate(views, start=1)},
            files={facts.name: file_name(facts.name) for facts in every},
            sparks={facts.name: charts.spark(facts.distributions[0]) if facts.distributions else "" for facts in every},
            policy=_policy(style, script),
            style=style,
            script=script,
        )
    )


def meaning(code: str) -> str:
    """What a reason for nulls means: its line in the table of :mod:`quantdesk.features.missing`."""
    name, _, argument = code.partition(":")
    best = ""
    for pattern, says in _meanings():
        word, _, rest = pattern.partition(":")
        if word == name and (pattern == code or bool(rest) == bool(argument)):
            if rest == argument:
                return says
            best = best or (says if rest.startswith("<") or rest in {"a,b"} else "")
    return best


@cache
def _meanings() -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for line in str(missing.__doc__).splitlines():
        code = re.match(r"``(?P<code>[^`]+)``\s+(?P<meaning>.+)", line)
        if code:
            found.append((code["code"], code["meaning"]))
        elif found and line.startswith(" " * 20):
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
    return tuple((code, says.replace("``", "")) for code, says in found)


def _coverage(facts: Facts) -> tuple[tuple[int, ...], list[tuple[Coverage, list[tuple[str, str]]]]]:
    """Per series the share of each year's rows that have a value: a class for the shade, and the number."""
    given = [one for one in facts.coverage if one.rows]
    never = [one for one in given if not one.values]
    shown = [one for one in given if one.values]
    if len(shown) > _MOST_ROWS:
        shown = _grouped(shown)
    shown.sort(key=lambda one: (one.kind, one.name))
    years = sorted({year for one in shown for year in one.years})
    span = tuple(range(years[0], years[-1] + 1)) if years else ()
    shown += [_merged(f"{len(never)} series without any value", never)] if never else []
    return span, [(one, [_cell(one.share(year)) for year in span]) for one in shown]


def _grouped(given: Sequence[Coverage]) -> list[Coverage]:
    groups: dict[tuple[str, str], list[Coverage]] = {}
    for one in given:
        groups.setdefault((one.kind, one.source), []).append(one)
    return [_merged(f"{len(members)} series of {source}", members) for (_, source), members in groups.items()]


def _merged(name: str, members: Sequence[Coverage]) -> Coverage:
    years: dict[int, tuple[int, int]] = {}
    for one in members:
        for year, (rows, values) in one.years.items():
            before = years.get(year, (0, 0))
            years[year] = before[0] + rows, before[1] + values
    kinds, sources = {one.kind for one in members}, {one.source for one in members}
    return Coverage(
        name, kinds.pop() if len(kinds) == 1 else "several", sources.pop() if len(sources) == 1 else "", years
    )


def _cell(share: float) -> tuple[str, str]:
    """A share as the class of its shade and a percentage that never rounds to all or nothing."""
    if math.isnan(share):
        return "", ""
    percent = 100 * share
    shown = "0" if share == 0 else "<1" if percent < 1 else "99" if 99 <= percent < 100 else f"{percent:.0f}"
    return f"c{math.ceil(share * 5)}", shown


def _policy(style: str, script: str = "") -> str:
    scripts = f"script-src {_digest(script)}; " if script else ""
    return (
        f"default-src 'none'; {scripts}style-src {_digest(style)}; img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


@cache
def _environment() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_part), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = charts.number
    environment.globals.update(STATES=_STATES, VERDICTS=_VERDICTS)
    return environment
