"""Text for people: styled for a terminal, and words of others made harmless."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from gpuctl.bounds import plain as plain
from gpuctl.frozen import dataclass
from gpuctl.model import Disturbs, Remedy
from gpuctl.regex import regex

if TYPE_CHECKING:
    from rich.text import Text

NARROWEST = 60
"""The fewest columns to which text is folded: in fewer it would be a column of words."""
_HEAD = regex(r" *(?:\S{1,13}  +)?")
"""By what further lines are indented: a line's own indentation, and the word in front of it that stands in a column."""


class Styled:
    """Text in pieces, each with a Rich style. Rich itself is loaded only when a terminal will show the styles.

    `whole`: the lines of the piece are to be copied, and are folded at no width.
    """

    def __init__(self, text: str = "", style: str = "", whole: bool = False) -> None:
        self._pieces: list[tuple[str, str, bool]] = [(text, style, whole)] if text else []

    def append(self, text: str | Styled, style: str = "", whole: bool = False) -> Styled:
        """Adds a piece, or all pieces of another text. Returns itself."""
        self._pieces += text._pieces if isinstance(text, Styled) else [(text, style, whole)]
        return self

    @property
    def plain(self) -> str:
        """The text without its styles."""
        return "".join(text for text, _, _ in self._pieces)

    def show(self, file: TextIO | None = None) -> None:
        """Writes the text to stdout, or to `file`: folded at the terminal's width, in colour where that is welcome."""
        file = file or sys.stdout
        columns = _columns(file)
        shown = self.folded(max(columns, NARROWEST)) if columns else self
        if not in_colour(file) or not any(style for _, style, _ in self._pieces):
            file.write(shown.plain)
            return
        from rich.console import Console

        console = Console(file=file, markup=False, highlight=False, emoji=False, soft_wrap=True)
        console.print(shown.rich(), end="")

    def folded(self, width: int) -> Styled:
        """Returns the text in lines of at most `width` characters, where words allow it and it is not to be copied."""
        folded, start, done = Styled(), 0, 0
        folds = list(_folds(self.plain, width, self._whole_lines()))
        for text, style, whole in self._pieces:
            while folds and folds[0].start < start + len(text):
                fold = folds.pop(0)
                folded.append(text[max(done - start, 0) : fold.start - start], style, whole)
                folded.append("\n" + " " * fold.indent)
                done = fold.end
            folded.append(text[max(done - start, 0) :], style, whole)
            start += len(text)
        return folded

    def _whole_lines(self) -> set[int]:
        """The numbers of the lines in which something is to be copied."""
        numbers, line = set(), 0
        for text, _, whole in self._pieces:
            newlines = text.count("\n")
            if whole:
                numbers |= set(range(line, line + newlines + 1 - text.endswith("\n")))
            line += newlines
        return numbers

    def rich(self) -> Text:
        """Returns the text as Rich has it."""
        from rich.text import Text

        return Text.assemble(*((text, style) for text, style, _ in self._pieces))


@dataclass(frozen=True)
class _Fold:
    """The blanks, from offset to offset, that a new line indented by so much takes the place of."""

    start: int
    end: int
    indent: int


def _folds(text: str, width: int, whole: set[int]) -> Iterator[_Fold]:
    start = 0
    for number, line in enumerate(text.split("\n")):
        if len(line.rstrip()) > width and number not in whole:
            for fold in _folds_of(line, width):
                yield _Fold(start + fold.start, start + fold.end, fold.indent)
        start += len(line) + 1


def _folds_of(line: str, width: int) -> Iterator[_Fold]:
    head = _HEAD.match(line)
    indent = head.end() if head else 0
    begun, room, last = 0, width, None
    for blanks in re.finditer(" +(?=[^ ])|$", line):
        if blanks.start() - begun > room and last is not None:
            yield _Fold(last.start(), last.end(), indent)
            begun, room = last.end(), width - indent
        last = blanks if blanks.start() > indent else None


def one_line(text: str) -> str:
    """Returns a text of several lines as one, made harmless."""
    return plain(" ".join(text.split()))


def say(sentence: str) -> None:
    """Writes a line on stderr, folded as all text is; words of others in it are made harmless."""
    Styled(f"{plain(sentence)}\n").show(sys.stderr)


def _columns(file: TextIO) -> int:
    """The columns that COLUMNS names, or those of the terminal that shows the file; 0: lines may have any length."""
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named):
        return int(named)
    return os.get_terminal_size(file.fileno()).columns if file.isatty() else 0


def in_colour(file: TextIO) -> bool:
    """Returns whether text for `file` has colours: on a terminal or with FORCE_COLOR, and never with NO_COLOR.

    Sources: https://no-color.org, https://force-color.org
    """
    return (file.isatty() or bool(os.environ.get("FORCE_COLOR"))) and not os.environ.get("NO_COLOR")


def remedy_lines(remedy: Remedy, indent: str, verbose: bool = False) -> Styled:
    """Returns a remedy as lines: the sentence with what it disturbs, then the commands to copy.

    `verbose` adds what does the same by hand.
    """
    disturbs = "" if remedy.disturbs is Disturbs.NOTHING else f" (disturbs {remedy.disturbs.value})"
    lines = Styled(f"{indent}{plain(remedy.text)}{disturbs}\n", "dim") if remedy.text else Styled()
    for command in remedy.commands:
        lines.append(f"{indent}$ ", "dim").append(f"{command}\n", "cyan", whole=True)
    if verbose and remedy.by_hand:
        lines.append(f"{indent}or by hand:\n", "dim")
        lines.append("".join(f"{indent}$ {command}\n" for command in remedy.by_hand), "dim", whole=True)
    return lines
