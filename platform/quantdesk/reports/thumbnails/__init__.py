"""Small pictures of the figures of a run, for a gallery. Pure.

::

    thumbnails   which outputs become pictures, and the pictures
    pictures     PNG and JPEG, scaled down
    sketch       a plotly figure from its data, as an SVG without a browser
    marks        which kind of trace is drawn by what
    lines, bars, areas
                 lines and points; bars, boxes and candles; heat maps and slices
    frame        a rectangle of the picture, and what all marks share
    scales       values of a trace, and where on an axis they lie
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["MOST", "thumbnails"]

MOST = 8
"""Pictures of a run."""
PLOTLY = "application/vnd.plotly.v1+json"


def thumbnails(notebook: Any) -> dict[str, bytes]:
    """The pictures of an executed notebook's figures, in their order.

    Parameters
    ----------
    notebook
        As far as it came; nothing in it is trusted.

    Returns
    -------
    dict
        Content by name: ``1.svg``, ``2.png``. A figure that cannot be drawn has none.
    """
    found: dict[str, bytes] = {}
    for ending, content in _drawn(notebook):
        found[f"{len(found) + 1}.{ending}"] = content
        if len(found) == MOST:
            break
    return found


def _drawn(notebook: Any) -> Iterator[tuple[str, bytes]]:
    from quantdesk.reports.thumbnails.pictures import scaled
    from quantdesk.reports.thumbnails.sketch import sketch

    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data")
            if not isinstance(data, Mapping):
                continue
            if isinstance(data.get(PLOTLY), Mapping):
                with contextlib.suppress(Exception):  # one strange figure costs no other its picture
                    if drawn := sketch(data[PLOTLY]):
                        yield "svg", drawn.encode()
                continue
            packed = next((data[mime] for mime in ("image/png", "image/jpeg") if mime in data), None)
            if packed is not None and (small := scaled(_bytes(packed))):
                yield "png", small


def _bytes(packed: Any) -> bytes:
    text = "".join(packed) if isinstance(packed, list) else packed
    try:
        return base64.b64decode(re.sub(r"\s", "", text), validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""
