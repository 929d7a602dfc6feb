"""Text for people: styled for a terminal, and words of others made harmless."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from gpuctl.model import Disturbs, Remedy

if TYPE_CHECKING:
    from rich.text import Text

WIDTH = 100
"""The columns that text which is laid out by gpuctl may take."""


class Styled:
    """Text in pieces, each with a Rich style. Rich itself is loaded only when a terminal will show the styles."""

    def __init__(self, text: str = "", style: str = "") -> None:
        self._pieces: list[tuple[str, str]] = [(text, style)] if text else []

    def append(self, text: str | Styled, style: str = "") -> Styled:
        """Adds a piece, or all pieces of another text. Returns itself."""
        self._pieces += text._pieces if isinstance(text, Styled) else [(text, style)]
        return self

    @property
    def plain(self) -> str:
        """The text without its styles."""
        return "".join(text for text, _ in self._pieces)

    def show(self, file: TextIO | None = None) -> None:
        """Writes the text to stdout, or to `file`: in colour where that is welcome."""
        file = file or sys.stdout
        if not in_colour(file) or not any(style for _, style in self._pieces):
            file.write(self.plain)
            return
        from rich.console import Console

        console = Console(file=file, markup=False, highlight=False, emoji=False, soft_wrap=True)
        console.print(self.rich(), end="")

    def rich(self) -> Text:
        """Returns the text as Rich has it."""
        from rich.text import Text

        return Text.assemble(*self._pieces)


def in_colour(file: TextIO) -> bool:
    """Returns whether text for `file` has colours: on a terminal only, and never with NO_COLOR."""
    return file.isatty() and not os.environ.get("NO_COLOR")


def plain(text: str) -> str:
    """Returns text that cannot steer a terminal: control and direction characters become U+FFFD."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def wrapped(text: str, indent: str) -> str:
    """Returns text as lines of at most WIDTH characters with a newline behind each, the second and later indented."""
    from textwrap import fill

    return fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) + "\n"


def remedy_lines(remedy: Remedy, indent: str, verbose: bool = False) -> Styled:
    """Returns a remedy as lines: the sentence with what it disturbs, then the commands to copy.

    `verbose` adds what does the same by hand.
    """
    disturbs = "" if remedy.disturbs is Disturbs.NOTHING else f" (disturbs {remedy.disturbs.value})"
    lines = Styled(f"{indent}{plain(remedy.text)}{disturbs}\n", "dim") if remedy.text else Styled()
    for command in remedy.commands:
        lines.append(f"{indent}$ ", "dim").append(f"{command}\n", "cyan")
    if verbose and remedy.by_hand:
        lines.append(f"{indent}or by hand:\n", "dim")
        lines.append("".join(f"{indent}$ {command}\n" for command in remedy.by_hand), "dim")
    return lines
