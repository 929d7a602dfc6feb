"""A shell text as words with places: what an edit needs that must leave every other character alone.

It knows as much of sh and bash as it takes to find the simple commands of a script and where their words end: quoting,
expansions, comments, here-documents, redirections (https://www.gnu.org/software/bash/manual/bash.html). It runs and
expands nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from gpuctl.frozen import dataclass

HOLE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands in a word's value for what only the shell knows: an expansion."""
DEPTH = 40
"""Levels of command substitution; people write two."""

_BLANK = re.compile(r"(?:[ \t]|\\\r?\n)+")
_ENDING = re.compile(r"\\\r?\n[\s\\]")
"""A line that goes on, and with which a word ends all the same."""
_PLAIN = re.compile(r"(?:[^ \t\r\n'\"\\$`;&|<>()*?\[{~]|\r(?!\n))+")
_QUOTED = re.compile(r"[^\"\\$`]+")
_OPERATOR = re.compile(r"\r?\n|;;&|;;|;&|;|&&|\|\||\|&|\||&(?!>)|\(|\)")
_REDIRECTION = re.compile(r"(?:\d+|\{\w+\})?(?:<<<|<<-?|<>|<&|<|>>|>&|>\||>|&>>|&>)")
_NAME = re.compile(r"\$(?:[A-Za-z_]\w*|[0-9@*#?$!-])")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(?:\[[^]]*\])?\+?=")
_LISTS = ("$@", "${@", "[@]")
"""What makes several words though it is quoted."""
_OPENERS = {"for": "a loop", "while": "a loop", "until": "a loop", "select": "a loop", "case": "case"}
_CLOSERS = {"done": "a loop", "esac": "case"}
_SKIPPED = frozenset(("if", "then", "elif", "else", "fi", "do", "{", "}", "!", "time", "coproc"))
PIPES = ("|", "|&")


class NotShell(ValueError):
    """A text that is no shell text; the message says what is wrong, on which line (from 1)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line, self.message = line, message


@dataclass(frozen=True)
class Word:
    """A word of a command: `text` as it is written, `value` once quotes are gone, with a HOLE for each expansion.

    `pieces` are parts of the value with the place of each in the text: its letters stand one by one from `start` on
    where it is as long as its place, else all of it is what stands there. `splits`: the shell may make several words,
    or none, of it.
    """

    start: int
    end: int
    text: str
    value: str
    pieces: tuple[tuple[str, int, int], ...]
    splits: bool

    @property
    def expands(self) -> bool:
        return HOLE in self.value

    def places(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yields where the letters of the value from `start` to `end` stand in the text."""
        position = 0
        for piece, first, last in self.pieces:
            for offset in range(len(piece)):
                if start <= position < end:
                    whole = len(piece) == last - first
                    yield (first + offset, first + offset + 1) if whole else (first, last)
                position += 1


@dataclass(frozen=True)
class SimpleCommand:
    """A command's words, redirections left out; `within` says in what it stands that makes an edit doubtful, or ""."""

    words: tuple[Word, ...]
    within: str

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def end(self) -> int:
        return self.words[-1].end


def commands(text: str) -> tuple[SimpleCommand, ...]:
    """Returns the simple commands of a shell text, in the order in which they end. Raises Unreadable."""
    reader = _Reader(text)
    reader.read(0)
    return tuple(reader.found)


class Lines:
    """The lines of a text."""

    def __init__(self, text: str) -> None:
        self._ends = list(accumulate(len(line) + 1 for line in text.split("\n")))

    def at(self, position: int) -> int:
        """Returns the number of the line, from 1, on which a position lies."""
        return bisect_right(self._ends, position) + 1


class _Reader:
    """Reads from left to right; `position` is the first character that has not been read."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0
        self.found: list[SimpleCommand] = []
        self._here: list[tuple[str, bool]] = []

    def read(self, depth: int) -> None:
        """Reads commands up to the end of the text, or at `depth` to the parenthesis that ends a substitution."""
        begun, words, within, piped, parentheses = self.position, list[Word](), list[str](), False, 0
        while True:
            sign = self._next(words, depth)
            if isinstance(sign, Word):
                if words or not self._is_keyword(sign, within):
                    words.append(sign)
                continue
            pipes = sign in PIPES
            if words and words[0].value != "[[":
                self._add(words, within, piped or pipes, depth)
            words, piped = [], pipes
            if sign == "":
                if depth:
                    raise self._refusal(begun, "this command substitution is not closed")
                return
            if sign in "()" and within[-1:] != ["case"]:  # whose patterns end with one, and need not begin with one
                parentheses += 1 if sign == "(" else -1
                if depth and parentheses < 0:
                    return

    @staticmethod
    def _is_keyword(word: Word, within: list[str]) -> bool:
        """Whether a command's first word is the shell's own, behind which the next command begins."""
        if word.end - word.start != len(word.value):  # quoted
            return False
        if word.value in _OPENERS:
            within.append(_OPENERS[word.value])
            return False
        if within[-1:] == [_CLOSERS.get(word.value)]:
            within.pop()
        return word.value in _SKIPPED or word.value in _CLOSERS

    def _add(self, words: list[Word], within: list[str], piped: bool, depth: int) -> None:
        inside = (
            "a command substitution" if depth else "a loop" if "a loop" in within[:DEPTH] else "a pipe" if piped else ""
        )
        self.found.append(SimpleCommand(tuple(words), inside))

    def _next(self, words: list[Word], depth: int) -> Word | str:
        """The next word, or the operator that ends a command; "" at the end of the text."""
        while True:
            self._skip(_BLANK)
            if self.position >= len(self.text):
                return ""
            redirection = _REDIRECTION.match(self.text, self.position)
            if redirection and not self.text.startswith(("<(", ">("), self.position):
                self._redirect(redirection, depth)
                continue
            if self.text[self.position] == "#":
                end = self.text.find("\n", self.position)
                self.position = len(self.text) if end < 0 else end
                continue
            operator = _OPERATOR.match(self.text, self.position)
            if operator is None:
                return self.word(depth)
            self.position = operator.end()
            sign = operator[0].strip("\r")
            if sign == "\n":
                self._skip_here_documents()
            in_test = bool(words) and words[0].value == "[[" and words[-1].value != "]]"
            if not (in_test and sign != "\n"):
                return sign

    def _redirect(self, found: re.Match[str], depth: int) -> None:
        self.position = found.end()
        self._skip(_BLANK)
        if self.position < len(self.text) and not _OPERATOR.match(self.text, self.position):
            target = self.word(depth)
            if found[0].lstrip("0123456789") in ("<<", "<<-"):
                self._here.append((target.value, found[0].endswith("-")))

    def _skip_here_documents(self) -> None:
        for end, indented in self._here:
            tabs = r"\t*" if indented else ""
            found = re.compile(rf"^{tabs}{re.escape(end)}\r?$", re.MULTILINE).search(self.text, self.position)
            self.position = found.end() if found else len(self.text)
        self._here = []

    def word(self, depth: int) -> Word:
        """Reads a word, of which there is at least a letter."""
        start, pieces, splits = self.position, list[tuple[str, int, int]](), False
        while self.position < len(self.text):
            at, letter = self.position, self.text[self.position]
            plain = _PLAIN.match(self.text, at)
            if plain:
                pieces.append((plain[0], at, plain.end()))
                self.position = plain.end()
            elif letter in "'\"":
                self._quotes(pieces, depth)
            elif letter == "\\":
                if _ENDING.match(self.text, at):
                    break
                self._escape(pieces)
            elif letter in "$`" or self.text.startswith(("<(", ">("), at):
                splits |= self._expansion(pieces, depth)
            elif letter in "*?[{~":
                self.position += 1
                pieces.append((letter, at, self.position))
                splits |= letter in "*?"
            elif letter == "(" and pieces and _ASSIGNMENT.fullmatch(pieces[-1][0]):
                self._array(depth)
                pieces.append((HOLE, at, self.position))
            elif pieces or self.position > start:
                break
            else:  # nothing of the shell's: it stands for itself
                self.position += 1
                pieces.append((letter, at, self.position))
        value = "".join(piece for piece, _, _ in pieces)
        written = self.text[start : self.position]
        return Word(
            start, self.position, written, value, tuple(pieces), splits or any(sign in written for sign in _LISTS)
        )

    def _quotes(self, pieces: list[tuple[str, int, int]], depth: int) -> None:
        start, letter = self.position, self.text[self.position]
        self.position += 1
        if letter == "'":
            end = self.text.find("'", self.position)
            if end < 0:
                raise self._refusal(start, "this quote is not closed")
            pieces.append((self.text[self.position : end], self.position, end))
            self.position = end + 1
            return
        while True:
            plain = _QUOTED.match(self.text, self.position)
            if plain:
                pieces.append((plain[0], self.position, plain.end()))
                self.position = plain.end()
            if self.position >= len(self.text):
                raise self._refusal(start, "this quote is not closed")
            letter = self.text[self.position]
            if letter == '"':
                self.position += 1
                return
            if letter == "\\":
                self._escape(pieces, '"\\$`\n')
            else:
                self._expansion(pieces, depth, quoted=True)

    def _escape(self, pieces: list[tuple[str, int, int]], meant: str = "") -> None:
        """A backslash and what it quotes: inside double quotes it counts only before those that are `meant`."""
        at = self.position
        quoted = self.text[at + 1 : at + 2]
        if quoted == "\r" and self.text[at + 2 : at + 3] == "\n":
            self.position += 3
            return
        self.position = min(at + 2, len(self.text))
        if quoted == "\n":
            return
        if meant and quoted not in meant:
            pieces.append((f"\\{quoted}", at, self.position))
        elif quoted:
            pieces.append((quoted, at, self.position))

    def _expansion(self, pieces: list[tuple[str, int, int]], depth: int, quoted: bool = False) -> bool:
        """Reads an expansion, or a lone dollar sign. Returns whether it was one."""
        start = self.position
        self._check(depth)
        if self.text[start] == "`":
            self.position = self._end_of_backticks()
        elif self.text.startswith("$((", start):
            self.position = self._closing(start + 1, "(", ")")
        elif self.text.startswith(("$(", "<(", ">("), start):
            self.position = start + 2
            here, self._here = self._here, []
            self.read(depth + 1)
            self._here = here
        elif self.text.startswith("${", start):
            self.position = self._closing(start + 1, "{", "}")
        elif self.text.startswith("$'", start) and not quoted:
            self.position = self._ansi_quotes(start)
        elif self.text.startswith('$"', start) and not quoted:
            self.position = start + 1
            return False
        else:
            name = _NAME.match(self.text, start)
            self.position = name.end() if name else start + 1
            if name is None:
                pieces.append(("$", start, start + 1))
                return False
        pieces.append((HOLE, start, self.position))
        return True

    def _ansi_quotes(self, start: int) -> int:
        found = re.compile(r"\$'(?:[^'\\]|\\.)*'", re.DOTALL).match(self.text, start)
        if found is None:
            raise self._refusal(start, "this quote is not closed")
        return found.end()

    def _end_of_backticks(self) -> int:
        found = re.compile(r"`(?:[^`\\]|\\.)*`", re.DOTALL).match(self.text, self.position)
        if found is None:
            raise self._refusal(self.position, "this backtick is not closed")
        return found.end()

    def _closing(self, start: int, opens: str, closes: str) -> int:
        """Where the bracket ends that opens at `start`, quotes inside it left out."""
        sign = re.compile(rf"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"|[{opens}{closes}]", re.DOTALL)
        if opens == "{":  # a single quote is a letter inside "${x:-it's}"
            sign = re.compile(rf"\\.|[{opens}{closes}]", re.DOTALL)
        level = 0
        for found in sign.finditer(self.text, start):
            level += (found[0] == opens) - (found[0] == closes)
            if level == 0:
                return found.end()
        raise self._refusal(start - 1, f"this {self.text[start - 1 : start + 1]} is not closed")

    def _array(self, depth: int) -> None:
        """Reads the values of an array, which are no command."""
        start = self.position
        self._check(depth)
        self.position += 1
        while True:
            sign = self._next([], depth + 1)
            if sign == ")":
                return
            if sign == "":
                raise self._refusal(start, "this array is not closed")

    def _check(self, depth: int) -> None:
        if depth >= DEPTH:
            raise self._refusal(self.position, f"it is nested more than {DEPTH} levels deep")

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.position)
        self.position = found.end() if found else self.position

    def _refusal(self, position: int, message: str) -> NotShell:
        return NotShell(Lines(self.text).at(position), message)
