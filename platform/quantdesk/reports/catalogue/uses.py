"""Who uses a feature: feature services, strategies, notebooks. An edge module: it reads notebooks from the disk."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from quantdesk.errors import QuantdeskError
from quantdesk.features.lineage import Lineage, Use, lineage
from quantdesk.features.request import checked_features, checked_symbols
from quantdesk.reports.catalogue.facts import full_name
from quantdesk.reports.notebooks import NotebooksConfig, list_reports
from quantdesk.signals import STRATEGIES

if TYPE_CHECKING:
    from quantdesk.features.store import FeatureStore

__all__ = ["lineage_of", "uses"]

SERVICE = "all_features"
"""The feature service of the repository that holds every feature."""


def lineage_of(store: FeatureStore, feature: str, symbols: Sequence[str] | None = None) -> Lineage:
    """The lineage of a feature in the current build, and who uses it.

    Raises
    ------
    UnknownName
        A feature or symbol that does not exist; the message offers the nearest.
    DataError
        Nothing has been built.
    """
    (asked,) = checked_features([feature], store.declared.views)
    manifest = store.snapshot().manifest
    named = checked_symbols(symbols, manifest) if symbols else None
    name = full_name(asked)
    return lineage(asked, asked.home, manifest, named, uses([name])[name])


def uses(features: Sequence[str], config: NotebooksConfig | None = None) -> Mapping[str, tuple[Use, ...]]:
    """Per feature, who uses it: the service that holds all, strategies, and notebooks whose code names it as a text."""
    found = {name: [] if ":" in name else [Use("feature service", SERVICE)] for name in features}
    for rule in STRATEGIES.values():
        for name in set(rule.features) & set(found):
            found[name].append(Use("strategy", rule.name))
    try:
        notebooks = list_reports(config)
    except QuantdeskError:
        notebooks = ()  # a machine without notebooks, or with a broken one, still has features
    for notebook in notebooks:
        cells = json.loads(notebook.path.read_text(encoding="utf-8")).get("cells", [])
        named = {text for cell in cells if cell.get("cell_type") == "code" for text in _texts(_source(cell))}
        for name in found:
            if name in named:
                found[name].append(Use("notebook", notebook.name))
    return {name: tuple(sorted(each)) for name, each in found.items()}


def _source(cell: Mapping[str, object]) -> str:
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source) if isinstance(source, list) else ""


def _texts(source: str) -> Iterator[str]:
    """Every text constant of a cell; none where the cell is no Python (a magic, another language)."""
    try:
        parsed = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(parsed):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
