"""A shell text as its commands and their words, with places: for an edit that must leave every other character alone.

It knows as much of sh and bash as it takes to find the simple commands of a script and where their words end: quoting,
expansions, comments, here-documents, redirections, compound commands
(https://www.gnu.org/software/bash/manual/bash.html). It runs and expands nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate

from gpuctl.frozen import dataclass
from gpuctl.regex import regex

HOLE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands in a word's value for what only the shell knows: an expansion."""
DEPTH = 40
"""Levels of command substitution; people write two."""

_BLANK = regex(r"(?:[ \t]|\\\r?\n)+")
_ENDING = regex(r"\\\r?\n[\s\\]")
"""A line that goes on, and with which a word ends all the same."""
_PLAIN_LETTERS = r"(?:[^ \t\r\n'\"\\$`;&|<>()*?]|\r(?!\n))+"
_PLAIN = regex(_PLAIN_LETTERS)
_WHOLE = regex(_PLAIN_LETTERS + r"(?=[ \t\n;&|)]|\Z)")
"""A word in which the shell finds nothing to do."""
_QUOTED = regex(r"[^\"\\$`]+")
_ARITHMETIC = regex(r"\(\((?:[^()'\"`$]|\$(?!\()|\([^()'\"`$]*\))*\)\)")
"""((i++)), which names no program, as far as none is called in it."""
_OPERATOR = regex(r"\r?\n|;;&|;;|;&|;|&&|\|\||\|&|\||&(?!>)|\(|\)")
_REDIRECTION = regex(r"(?:\d+|\{\w+\})?(?:<<<|<<-?|<>|<&|<|>>|>&|>\||>|&>>|&>)", re.ASCII)
_NAME = regex(r"\$(?:[A-Za-z_]\w*|[0-9@*#?$!-])", re.ASCII)
_ASSIGNMENT = regex(r"[A-Za-z_]\w*(?:\[[^]]*\])?\+?=", re.ASCII)
_LISTS = ("$@", "${@", "[@]")
"""What makes several words though it is quoted."""
_LOOPS = ("for", "while", "until", "select")
_CLOSERS = {**dict.fromkeys(_LOOPS, "done"), "if": "fi", "case": "esac", "{": "}"}
"""By the word that begins a compound command, the one that ends it."""
_CONDITIONS = ("if", "elif", "while", "until")
_HEADERS = frozenset(("[[", "for", "select", "case"))
"""What begins words that are no command's."""
_KEYWORDS = {*_CLOSERS, *_CLOSERS.values(), "elif", "then", "else", "do", "!", "time", "coproc"} - _HEADERS
IN_SUBSTITUTION = "a command substitution"
_PIPES = ("|", "|&")
_NEXT_PATTERN = (";;", ";&", ";;&")


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
    """A command's words, redirections left out.

    `within` says in what it stands that makes an edit doubtful, or "". `guarded`: its failure is provided for, by ||,
    by !, or as it is a condition.
    """

    words: tuple[Word, ...]
    within: str
    guarded: bool = False

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def end(self) -> int:
        return self.words[-1].end


def commands(text: str) -> tuple[SimpleCommand, ...]:
    """Returns the simple commands of a shell text, in the order in which they begin. Raises NotShell."""
    reader = _Reader(text)
    reader.read(0)
    return reader.commands()


class Lines:
    """The lines of a text."""

    def __init__(self, text: str) -> None:
        self._ends = list(accumulate(len(line) + 1 for line in text.split("\n")))

    def at(self, position: int) -> int:
        """Returns the number of the line, from 1, on which a position lies."""
        return bisect_right(self._ends, position) + 1


class _Compound:
    """A compound command that is being read, `closer` being what ends it, or the whole text.

    Of the commands found so far, `listed` is the first of the list that && and || join, `tested` the first of its
    condition, `negated` the first behind its !. `in_pattern`: what comes is a pattern of case.
    """

    def __init__(self, closer: str, in_loop: bool, listed: int, in_pattern: bool = False) -> None:
        self.closer, self.in_loop, self.listed, self.in_pattern = closer, in_loop, listed, in_pattern
        self.tested: int | None = None
        self.negated: int | None = None


class _Reader:
    """Reads from left to right; `position` is the first character that has not been read."""

    def __init__(self, text: str) -> None:
        self.text, self.position = text, 0
        self._found: list[tuple[tuple[Word, ...], str]] = []
        self._guards: list[tuple[int, int]] = []
        self._here: list[tuple[str, bool]] = []

    def commands(self) -> tuple[SimpleCommand, ...]:
        """Returns what was found. Those of a substitution were found before the command that it stands in."""
        changes = [0] * (len(self._found) + 1)
        for first, behind in self._guards:
            changes[first] += 1
            changes[behind] -= 1
        found = (SimpleCommand(*one, guards > 0) for one, guards in zip(self._found, accumulate(changes), strict=False))
        return tuple(sorted(found, key=lambda one: one.start))

    def read(self, depth: int) -> None:
        """Reads commands up to the end of the text, or at `depth` to the parenthesis that ends a substitution."""
        begun, words, piped, compounds = self.position, list[Word](), False, [_Compound("", False, len(self._found))]
        while True:
            sign = self._next(words, depth)
            inner = compounds[-1]
            if isinstance(sign, Word):
                if words or not self._is_keyword(sign, compounds):
                    words.append(sign)
                continue
            pipes = sign in _PIPES
            if words and not (inner.in_pattern or words[0].value in _HEADERS):
                within = "a loop" if inner.in_loop else "a pipe" if piped or pipes else ""
                self._found.append((tuple(words), IN_SUBSTITUTION if depth else within))
            words, piped = [], pipes
            if sign == "(" and not inner.in_pattern:
                compounds.append(_Compound(")", inner.in_loop, len(self._found)))
            elif sign != "(":
                is_end = sign == ")" and not inner.in_pattern
                self._end_part(sign, inner)
                if is_end and self._is_end_of_all(compounds) and depth:
                    return
            if sign == "":
                if depth:
                    raise self._refusal(begun, "this command substitution is not closed")
                return

    def _is_keyword(self, word: Word, compounds: list[_Compound]) -> bool:
        """Whether a command's first word is the shell's own, behind which the next command begins."""
        name, inner, found = word.value, compounds[-1], len(self._found)
        if word.end - word.start != len(name) or (inner.in_pattern and name != "esac"):  # quoted, or no command
            return False
        if name in _CLOSERS:
            compounds.append(_Compound(_CLOSERS[name], inner.in_loop or name in _LOOPS, found, name == "case"))
        elif name == inner.closer:
            compounds.pop()
        if name in _CONDITIONS:
            compounds[-1].tested = found
        elif name in ("then", "do") and inner.tested is not None:
            self._guards.append((inner.tested, found))
            inner.tested = None
        elif name == "!":
            inner.negated = found
        return name in _KEYWORDS

    def _end_part(self, sign: str, inner: _Compound) -> None:
        """Ends what an operator ends: what is negated, a list, what is on the left of ||, a pattern of case."""
        found = len(self._found)
        if inner.negated is not None and sign not in _PIPES:
            self._guards.append((inner.negated, found))
            inner.negated = None
        if sign == "||":
            self._guards.append((inner.listed, found))
        if sign not in ("&&", *_PIPES):
            inner.listed = found
        if inner.closer == "esac":
            inner.in_pattern = sign in _NEXT_PATTERN or (inner.in_pattern and sign != ")")

    @staticmethod
    def _is_end_of_all(compounds: list[_Compound]) -> bool:
        """Ends the innermost subshell; returns whether there was none."""
        while compounds[-1].closer not in (")", ""):
            compounds.pop()
        if compounds[-1].closer:
            compounds.pop()
            return False
        return True

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
            arithmetic = _ARITHMETIC.match(self.text, self.position)
            if arithmetic and (not words or words[0].value == "for"):
                self.position = arithmetic.end()
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
        whole = _WHOLE.match(self.text, self.position)
        if whole is None:
            return self._composed(depth)
        start, self.position = whole.span()
        return Word(start, self.position, whole[0], whole[0], ((whole[0], start, self.position),), False)

    def _composed(self, depth: int) -> Word:
        """The same of one in which the shell finds something to do."""
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
            elif letter in "*?":
                self.position += 1
                pieces.append((letter, at, self.position))
                splits = True
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
        splits = splits or ("$" in written and any(sign in written for sign in _LISTS))
        return Word(start, self.position, written, value, tuple(pieces), splits)

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
            self._backticks()
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

    def _backticks(self) -> None:
        """Reads a substitution of the old form, and the commands in it where no backslash makes another text of it."""
        start = self.position
        found = re.compile(r"`((?:[^`\\]|\\.)*)`", re.DOTALL).match(self.text, start)
        if found is None:
            raise self._refusal(start, "this backtick is not closed")
        self.position = found.end()
        if "\\" in found[1]:
            return
        inner, before = _Reader(found[1]), len(self._found)
        with suppress(NotShell):
            inner.read(0)
            moved = (tuple(_moved(word, start + 1) for word in words) for words, _ in inner._found)
            self._found += [(words, IN_SUBSTITUTION) for words in moved]
            self._guards += [(first + before, behind + before) for first, behind in inner._guards]

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


def _moved(word: Word, by: int) -> Word:
    pieces = tuple((piece, first + by, last + by) for piece, first, last in word.pieces)
    return Word(word.start + by, word.end + by, word.text, word.value, pieces, word.splits)
