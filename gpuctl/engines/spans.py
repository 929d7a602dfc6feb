"""Pieces of a text that are replaced while every other character stays."""

from __future__ import annotations

from collections.abc import Iterable

from gpuctl.regex import regex

Span = tuple[int, int, str]
"""Where a piece starts and ends, and what comes in its place."""

_LINE_END = regex(r"\r\n|\n|\r")


def replaced(text: str, edits: Iterable[Span]) -> str:
    """Returns the text with each span of it, none overlapping, replaced by a new piece."""
    pieces, position = [], 0
    for start, end, new in sorted(edits):
        pieces += [text[position:start], new]
        position = end
    return "".join([*pieces, text[position:]])


def newline(text: str) -> str:
    """Returns the line end that the text uses first, a line feed where it has none."""
    found = _LINE_END.search(text)
    return found.group() if found else "\n"
