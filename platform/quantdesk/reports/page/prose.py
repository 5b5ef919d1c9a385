"""Markdown of a notebook as clean HTML, with its headings told apart and its formulas drawn. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from quantdesk.reports.page.maths import svg
from quantdesk.reports.page.sanitize import clean, text_of

__all__ = ["Heading", "prose"]


@dataclass(frozen=True)
class Heading:
    """A heading, for the list of contents: its level from 1, its text and the id that it has on the page."""

    level: int
    text: str
    anchor: str


class _Renderer(IPythonRenderer):
    """Markdown to HTML, with a placeholder for each formula, so that drawings need not pass the allow-list."""

    def __init__(self, attachments: Mapping[str, Any]) -> None:
        super().__init__(escape=False, exclude_anchor_links=True, attachments=dict(attachments))
        # Nobody can guess it, and an attribute cannot hold the tag: mistune escapes what goes into one.
        self._token = secrets.token_hex(8)
        self._formulas: list[tuple[str, bool]] = []

    def _hold(self, tex: str, *, display: bool) -> str:
        self._formulas.append((tex, display))
        return f'<var title="{self._token}-{len(self._formulas) - 1}"></var>'

    def fill(self, html: str, *, drawn: bool = True) -> str:
        """Put each formula where its placeholder is: drawn, or as text."""

        def formula(found: re.Match[str]) -> str:
            tex, display = self._formulas[int(found[1])]
            return svg(tex, display=display) if drawn else escape(tex)

        return re.sub(rf'<var title="{self._token}-(\d+)"></var>', formula, html)

    def block_math(self, body: str) -> str:
        return f"<p>{self._hold(body, display=True)}</p>"

    def inline_math(self, body: str) -> str:
        return self._hold(body, display=False)

    def latex_environment(self, name: str, body: str) -> str:
        tex = rf"\begin{{{name}}}{body}\end{{{name}}}"
        return f"<p>{self._hold(tex, display=True)}</p>"

    def _embed_image_or_attachment(self, src: str) -> str:
        known = not src.startswith("attachment:") or src.removeprefix("attachment:") in self.attachments
        return str(super()._embed_image_or_attachment(src)) if known else ""


def prose(markdown: str, *, attachments: Mapping[str, Any], first: int) -> tuple[str, list[Heading]]:
    """Clean HTML of one Markdown cell, and its headings.

    Parameters
    ----------
    markdown
        Source of the cell.
    attachments
        Images that the cell carries, as the notebook format has them.
    first
        Number of the first heading, so that ids on the page are unique.
    """
    renderer = _Renderer(attachments)
    html = clean(str(MarkdownWithMath(renderer=renderer).render(markdown)))
    headings: list[Heading] = []

    def named(found: re.Match[str]) -> str:
        level, inner = int(found[1]), found[2]
        text = text_of(renderer.fill(inner, drawn=False))
        heading = Heading(level, text, f"section-{first + len(headings)}")
        headings.append(heading)
        return f'<h{level} id="{heading.anchor}">{inner}</h{level}>'

    html = re.sub(r"<h([1-6])>(.*?)</h\1>", named, html, flags=re.DOTALL)
    return renderer.fill(html), headings
