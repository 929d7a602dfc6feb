"""Texts in quotation marks, as a part of larger patterns, and the places of secrets that patterns find."""

from __future__ import annotations

import re
from typing import Iterator, Match, Tuple

Span = Tuple[int, int]
"""Begin and end of a secret in a text."""


def quoted(number: int = 1, before: str = "") -> str:
    r"""Returns a pattern whose last group is what stands in quotation marks, behind `before`; without the end mark.

    The marks may be escaped themselves, as in JSON within JSON: "{\"a\": \"b\"}". An embedded mark has more backslashes
    than the ones around. The pattern takes what it can and cannot fail after that, so no text makes it start again.
    `number` keeps its groups apart from others of the same pattern.
    """
    mark = "mark%d" % number
    inside = r"(?!(?P=%s))(?:\\{7}[\s\S]|\\{3}[\s\S]|\\[\s\S]|[^\\\n\"']+|[\"']|\n(?=[ \t]))" % mark
    return r"(?P<%s>\\{0,7}[\"'])%s(?P<quoted%d>(?:%s)*)" % (mark, before, number, inside)


def last_groups(pattern: str, text: str) -> Iterator[Tuple[Match[str], Span]]:
    """Yields every match with the place of its last group. The pattern is compiled when it is first needed."""
    for match in re.finditer(pattern, text):
        yield match, match.span(match.lastindex or 0)
