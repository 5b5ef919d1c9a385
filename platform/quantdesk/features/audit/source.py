"""Source text of the function under audit: statements, the words of an expression, and how to show them. Pure."""

from __future__ import annotations

import ast
import linecache
import re
from functools import lru_cache
from pathlib import PurePath
from types import CodeType

__all__ = ["Span", "lines_of", "shown_file", "statement_span", "text_of"]

Span = tuple[int, int]
"""First and last line, counted from 1."""


@lru_cache(maxsize=64)
def _statements(text: str) -> tuple[Span, ...]:
    """The lines of each statement; of a compound one, those of its head."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ()
    spans = []
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = node.end_lineno or node.lineno
            if isinstance(body, list) and body:
                first = body[0]
                last = max(node.lineno, min(first.lineno - 1, last)) if first.lineno > node.lineno else node.lineno
            spans.append((node.lineno, last))
    return tuple(sorted(set(spans)))


@lru_cache(maxsize=4096)
def statement_span(code: CodeType, line: int) -> Span:
    """The statement that a line belongs to; the line itself where the source cannot be had."""
    spans = _statements("".join(linecache.getlines(code.co_filename)))
    inside = [span for span in spans if span[0] <= line <= span[1]]
    found = min(inside, key=lambda span: span[1] - span[0], default=(line, line))
    # A lambda or a nested function has lines of its own.
    first = code.co_firstlineno
    return found if found[0] >= first or code.co_name == "<lambda>" else (line, line)


def lines_of(code: CodeType, span: Span) -> str:
    """The text of some lines, as written; empty where the source cannot be had."""
    lines = linecache.getlines(code.co_filename)[span[0] - 1 : span[1]]
    return "".join(lines).rstrip("\n")


def text_of(code: CodeType, where: tuple[int, int, int, int]) -> str:
    """The text of one expression, in one line."""
    first, last, start, end = where
    lines = [line.encode() for line in linecache.getlines(code.co_filename)[first - 1 : last]]
    if not lines:
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    return re.sub(r"\s+", " ", b" ".join(line.strip() for line in lines).decode("utf-8", "replace")).strip()


def shown_file(code: CodeType) -> str:
    """The file's name; for a notebook cell, whose file is named after a process, just that."""
    name = code.co_filename
    if "ipykernel_" in name or name.startswith(("<ipython", "<cell")):
        return "notebook cell"
    return name if name.startswith("<") else PurePath(name).name
