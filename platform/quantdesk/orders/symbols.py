"""One form of a symbol. Pure.

Feeds and brokers write a class of shares, a warrant or a preferred share in ways of their own; inside quantdesk a
symbol is the root in capitals and, behind a point, what distinguishes it: ``BRK.B``, ``BKSY.W``.
"""

from __future__ import annotations

import re

from quantdesk.errors import BadInput

__all__ = ["canonical"]

_FORM = re.compile(r"[A-Z][A-Z0-9]{0,9}(?:\.[A-Z0-9]{1,4}){0,2}")


def canonical(symbol: str) -> str:
    """The one form of a symbol.

    Raises
    ------
    BadInput
        It cannot be a symbol.
    """
    text = symbol.strip().upper().replace(" ", ".") if isinstance(symbol, str) else ""
    if not _FORM.fullmatch(text):
        raise BadInput(f"{symbol!r} is no symbol.", "Give letters and digits, for example AAPL or BRK.B.")
    return text
