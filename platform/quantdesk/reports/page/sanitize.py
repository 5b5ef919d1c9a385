"""HTML from a notebook, reduced to what can only be read. Pure.

Allowed are text, tables, lists, links that a reader may follow, and images that are inside the page. Scripts, styles,
frames, forms, event handlers, ids, foreign images and every address but http, https and mailto are gone. Numbers in
tables are marked, so that they line up.
"""

from __future__ import annotations

import re

import bleach  # type: ignore[import-untyped]
from bs4 import BeautifulSoup, Tag

__all__ = ["clean", "text_of"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TAGS = _words(
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 "
    "hr i img ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u "
    "ul var"
)
_WITH_CONTENT = _words(
    "script style template noscript iframe object embed applet svg math canvas audio video form input button select "
    "textarea option title head link meta base frame frameset dialog marquee noembed noframes plaintext xmp listing"
)
_CLASSES = re.compile(r"dataframe|qd-labels|qd-label(-[a-z_]+)?|highlight|[a-z]{1,2}\d?|num|align-(left|right|center)")
_IMAGE = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]*")
_NUMBER = re.compile(r"[-+−]?[€$£¥]?[-+−]?(\d[\d,_   ]*)?\.?\d+([eE][-+]?\d+)?\s?(%|bp|bps|x|×)?|nan|NaN|-?inf|—|–")


def clean(html: str) -> str:
    """`html` without anything that acts, loads or imitates the page around it.

    Parameters
    ----------
    html
        Any text; broken HTML is repaired.
    """
    soup = BeautifulSoup(html, "html.parser")
    for tag in soup.find_all(list(_WITH_CONTENT)):
        tag.decompose()
    for table in soup.find_all("table"):
        _align(table)
    protocols = {"http", "https", "mailto", "data"}
    return str(bleach.clean(str(soup), tags=_TAGS, attributes=_allowed, protocols=protocols, strip=True))


def text_of(html: str) -> str:
    """Text of `html`, without tags."""
    return BeautifulSoup(html, "html.parser").get_text(" ", strip=True)


def _allowed(tag: str, name: str, value: str) -> bool:
    if name == "class":
        return all(_CLASSES.fullmatch(part) for part in value.split())
    if name in {"title", "role", "aria-label", "aria-hidden", "lang", "dir"}:
        return True
    if tag == "a" and name == "href":
        return not value.strip().lower().startswith("data:")
    if tag == "img":
        return name in {"alt", "width", "height"} or (name == "src" and bool(_IMAGE.fullmatch(value.strip())))
    if tag in {"td", "th", "col", "colgroup"}:
        return name in {"colspan", "rowspan", "scope", "span"} and value.isascii()
    return tag in {"ol", "details"} and name in {"start", "open", "reversed"}


def _align(table: Tag) -> None:
    """Mark the cells that hold numbers, and the heads of columns that hold nothing else.

    Columns are counted from the right: a head that spans rows shortens the rows below it from the left.
    """
    numeric: dict[int, bool] = {}
    for row in table.find_all("tr"):
        cells = _cells(row)
        for place, cell in enumerate(cells):
            if cell.name == "td" and (text := cell.get_text(strip=True)):
                number = bool(_NUMBER.fullmatch(text))
                column = place - len(cells)
                numeric[column] = numeric.get(column, True) and number
                if number:
                    cell["class"] = "num"
    for head in table.find_all("thead"):
        for row in head.find_all("tr"):
            cells = _cells(row)
            if not any(cell.get("colspan") for cell in cells):
                for place, cell in enumerate(cells):
                    if numeric.get(place - len(cells)):
                        cell["class"] = "num"


def _cells(row: Tag) -> list[Tag]:
    return [cell for cell in row.find_all(["td", "th"], recursive=False) if isinstance(cell, Tag)]
