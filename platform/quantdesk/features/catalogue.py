"""The reference page of the features, made from the definitions. Pure; run as a program it prints the page.

``python -m quantdesk.features.catalogue > docs/reference/features.md`` brings the page up to date; a test fails while
it is not.
"""

from __future__ import annotations

import re

from quantdesk.features import missing
from quantdesk.features.definitions import VIEWS, Feature, View

__all__ = ["page"]

_HEAD = """# Features

<!-- Made by `python -m quantdesk.features.catalogue`. Change the definitions, not this page. -->

Every feature of the platform, as `quantdesk.features.definitions` declares it. The event time of a row is the close of
the session in UTC; the created time is when the row could first be known. What that means for a question about the
past is told in [Point in time](../explanation/point-in-time.md).

- `P` is the adjusted close where a series has one, and the close otherwise. `H`, `L` and `C` inside the true range are
  on the same adjusted scale. Value traded uses the close and volume as the source has them.
- `r[t]` is the simple return `P[t] / P[t-1] - 1`.
- *Look-back* is the number of sessions that the first value needs. A window with a missing input is null, and so is
  the warm-up. Recursive features (exponential and Wilder averages) are seeded by a simple mean, start again after a
  gap, and keep a fading memory of everything since.
- Windows count the sessions of the series' own calendar. A session without a bar stays in the window as a gap.
"""


_FILES = """## What the files hold

One Parquet file per view and symbol, `<view>/symbol=<key>/rows.parquet`, one row per session and version:

| column | meaning |
| --- | --- |
| `symbol` | the key of the series; not in a view that is about the market as a whole |
| `session` | the date at the exchange |
| `event_timestamp` | what the row is about, UTC |
| `created_timestamp` | when this version could first be known, UTC |
| `load` | the load that wrote it: its place in the list `loads` of the build's `manifest.json` |
| one per feature | float64, null for no value |
| `why_<feature>` | the reason for each null |

A load only adds rows; see [Restatements](../explanation/point-in-time.md#restatements).
Views of your own are declared in Feast; see [Bring your own features](../how-to/bring-your-own-features.md).
"""


def page() -> str:
    """The page as Markdown. Equal definitions give equal text."""
    parts = [_HEAD, _table()]
    parts += [_view(view) for view in VIEWS.values()]
    parts += [_FILES, _reasons()]
    return "\n".join(parts)


def _table() -> str:
    rows = ["| feature | unit | look-back | view |", "| --- | --- | ---: | --- |"]
    rows += [
        f"| [`{feature.name}`](#{feature.name}) | {feature.unit} | {feature.look_back} | `{view.name}` |"
        for view in VIEWS.values()
        for feature in view.features
    ]
    return "\n".join(rows) + "\n"


def _view(view: View) -> str:
    entity = f"`{view.entity}`" if view.entity else "none: the same for every symbol"
    head = (
        f"## View `{view.name}`\n\n{view.description}\n\n"
        f"Entity: {entity}. Known at: {view.knowledge}. Time to live: {view.ttl.days} days.\n"
    )
    return "\n".join([head, *(_feature(feature) for feature in view.features)])


def _feature(feature: Feature) -> str:
    return (
        f"### {feature.name}\n\n{feature.description}\n\n"
        f"```text\n{feature.formula}\n```\n\n"
        f"Unit: {feature.unit}. Look-back: {feature.look_back} sessions. "
        f"Reads: {', '.join(feature.inputs)}. For: {', '.join(sorted(feature.kinds))}.\n\n"
        f"Source: {feature.source}.\n"
    )


def _reasons() -> str:
    """The table of codes in the module that makes them, as Markdown."""
    rows = ["## Why a value is null", "", "`frame.reasons()` gives one row per null with one of these codes.", ""]
    rows += ["| code | meaning |", "| --- | --- |"]
    for line in str(missing.__doc__).splitlines():
        code = re.match(r"``(?P<code>[^`]+)``\s+(?P<meaning>.+)", line)
        if code:
            rows.append(f"| `{code['code']}` | {_markdown(code['meaning'])} |")
        elif line.startswith(" " * 20):
            rows[-1] = f"{rows[-1][:-2]} {_markdown(line.strip())} |"
    return "\n".join(rows) + "\n"


def _markdown(text: str) -> str:
    return text.replace("``", "`")


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - it is what the program is for
