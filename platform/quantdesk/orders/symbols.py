"""One form of a symbol. Pure.

Feeds and brokers write a class of shares, a warrant or a preferred share in ways of their own; inside quantdesk a
symbol is the root in capitals and, behind a point, what distinguishes it:

===============  ===========  ==============  ============  ===========
what             here         NYSE (CMS)      Nasdaq (RSS)  order entry
===============  ===========  ==============  ============  ===========
class B          ``BRK.B``    ``BRK B``       ``BRK.B``     ``BRK.B``
warrant          ``XYZ.W``    ``XYZ WS``      ``XYZ.W``     ``XYZ+``
warrant, A       ``XYZ.W.A``  ``XYZ WSA``                   ``XYZ+A``
preferred        ``XYZ.PR``   ``XYZ PR``      ``XYZ$``
preferred, B     ``XYZ.PRB``  ``XYZ PRB``     ``XYZ$B``
units            ``XYZ.U``    ``XYZ U``       ``XYZ.U``     ``XYZ=``
rights           ``XYZ.R``    ``XYZ RT``      ``XYZ.R``     ``XYZ^``
when issued      ``XYZ.WI``   ``XYZ WI``      ``XYZ.V``     ``XYZ#``
===============  ===========  ==============  ============  ===========

Source: nasdaqtrader.com, "Ticker Symbol Convention" (CMS, integrated platform and ACT suffixes). A hyphen is refused:
it is a preferred share to Nasdaq and a class to others. The fifth letter of a Nasdaq listing (``TNONW``) is part of
its root in every feed and stays.
"""

from __future__ import annotations

import re
from functools import lru_cache

from quantdesk.errors import BadInput

__all__ = ["canonical"]

_FORM = re.compile(r"[A-Z][A-Z0-9]{0,9}(?:\.[A-Z0-9]{1,4}){0,2}")
_SUFFIX = re.compile(r"(?P<kind>WS|WI|WD|W|RT|R|PR|U|V|CL)\.?(?P<letter>[A-Z]?)")
_KINDS = {"WS": "W", "RT": "R", "V": "WI"}
_MARKS = {"+": ".W", "$": ".PR", "=": ".U", "^": ".R", "#": ".WI"}


def canonical(symbol: str) -> str:
    """The one form of a symbol.

    Raises
    ------
    BadInput
        It cannot be a symbol.

    Examples
    --------
    >>> [canonical(text) for text in ("aapl", "BKSY WS", "BKSY.W", "BAC PRB", "BAC$B", "BRK/B")]
    ['AAPL', 'BKSY.W', 'BKSY.W', 'BAC.PRB', 'BAC.PRB', 'BRK.B']
    """
    if not isinstance(symbol, str):
        raise BadInput(f"{symbol!r} is no symbol.", "Give letters and digits, for example AAPL or BRK.B.")
    return _canonical(symbol)


@lru_cache(maxsize=65_536)
def _canonical(symbol: str) -> str:
    text = re.sub(r"[\s/]+", ".", symbol.strip().upper())
    text = re.sub(r"[+$=^#]", lambda mark: _MARKS[mark[0]], text)
    root, _, suffix = text.partition(".")
    kind = _SUFFIX.fullmatch(suffix)
    if kind:
        letter = kind["letter"]
        name = _KINDS.get(kind["kind"], kind["kind"])
        text = f"{root}.{name}{letter}" if name == "PR" else f"{root}.{name}" + (f".{letter}" if letter else "")
    if not _FORM.fullmatch(text):
        if "-" in text:
            raise BadInput(
                f"{symbol!r} is no symbol: a hyphen is a preferred share to some and a class to others.",
                "Write BRK.B for a class, BAC.PRB for a preferred share.",
            )
        raise BadInput(f"{symbol!r} is no symbol.", "Give letters and digits, for example AAPL or BRK.B.")
    return text
