"""The commands of a RUN: their words with their values and places, those of a shell within a shell too."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise, takewhile

from gpuctl import shell as shell_text
from gpuctl.dockerfile.source import BLANK, Instruction, Joined
from gpuctl.dockerfile.words import variable
from gpuctl.frozen import dataclass
from gpuctl.regex import regex
from gpuctl.shell import HOLE, NotShell, Word

LONGEST = 64 << 10
"""Bytes of a RUN that are looked at: what is longer is data."""
_LONGEST_SETTING = 4 << 10
"""Bytes of a setting that is followed: a list of lists is none."""
_NEAR = 200
"""Bytes before a command in which its operator is looked for."""
_DEEPEST = 4
"""Shells within shells that are looked into: a variable may hand one to itself."""
_DECLARE = ("declare", "export", "local", "readonly", "typeset")
_ASSIGNED = regex(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")
_SHELLS = ("ash", "bash", "dash", "sh", "zsh")
_WRAPPERS = frozenset(("sudo", "env", "exec", "time", "nice", "command", "eatmydata", "xvfb-run", "xargs", "gosu", "-"))
_BETWEEN = regex(r"[ \t\n]+")
_QUOTING = regex(r"[\"'\\`(]")
_SHEBANG = regex(r"\s*#!\s*(\S+)(?:[ \t]+(\S+))?")


@dataclass(frozen=True)
class PlacedWord:
    """A word of a command or instruction: its value with what is known of variables, and where it lies."""

    value: str
    start: int
    end: int


@dataclass(frozen=True)
class ShellCommand:
    """A command: its words, and whether its failure is provided for (if, ||, !).

    `words` begin with the program, without what only runs another one (sudo, env); `start` is where all of it begins.
    """

    words: tuple[PlacedWord, ...]
    guarded: bool
    start: int
    alone: bool = False
    """Nothing can be put before it: it stands behind || or |, or is no line of a shell's by itself."""

    @property
    def program(self) -> str:
        """The program's name without its folder."""
        return self.words[0].value.rpartition("/")[2]

    @property
    def values(self) -> tuple[str, ...]:
        """The values of its words."""
        return tuple(word.value for word in self.words)


def commands(instruction: Instruction, variables: Mapping[str, str], shell: str) -> Iterator[ShellCommand]:
    """Yields the commands of a RUN, CMD, ENTRYPOINT or HEALTHCHECK in their order, those within `sh -c` too.

    `variables` are those that Docker knows there; `shell` is the program of SHELL.
    """
    body = instruction.body
    if instruction.name == "HEALTHCHECK":
        start = re.match(r"(?i)\s*cmd\s+|", body.text)
        body = body.part(start.end() if start else 0, len(body.text))
    words = _exec_form(body)
    if words:
        yield from _unwrapped(ShellCommand(words, False, words[0].start, True), variables)
    elif posixpath.basename(shell).removesuffix(".exe") in (*_SHELLS, "conda", "micromamba"):
        yield from _parsed(body, variables)
        # Only what is first handed to it is a program's script.
        document = instruction.heredocs[0] if instruction.heredocs and instruction.name == "RUN" else None
        if document and _is_script(body.text, document.body.text):
            yield from _parsed(document.body, variables)


def _is_script(command: str, text: str) -> bool:
    """Whether a heredoc is read by a shell: it is all that RUN has, or what a shell is handed."""
    program = posixpath.basename((command.split() or [""])[0])
    if program.startswith("<<"):
        shebang = _SHEBANG.match(text)
        program = posixpath.basename((shebang[2] if shebang and shebang[2] else shebang[1]) if shebang else "sh")
    return program in _SHELLS


def _exec_form(body: Joined) -> tuple[PlacedWord, ...]:
    """The words of `["nvidia-smi", "-L"]`; none where it is no list of texts, which makes it a shell's line."""
    if not body.text.startswith("["):
        return ()
    try:
        values = json.loads(body.text)
    except (ValueError, RecursionError):
        return ()
    if not values or not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return ()
    places = [found.span() for found in re.finditer(r'"(?:\\.|[^"\\])*"', body.text)]
    return tuple(
        PlacedWord(value, body.at(start + 1), body.at(end - 1))
        for value, (start, end) in zip(values, places, strict=False)
    )


def _parsed(body: Joined, variables: Mapping[str, str], depth: int = 0) -> Iterator[ShellCommand]:
    if len(body.text) > LONGEST or depth > _DEEPEST:
        return
    known = dict(variables)
    try:
        found = shell_text.commands(body.text)
    except NotShell:  # no shell runs it, and the build ends there
        return
    for one in found:
        settings = list(takewhile(_is_setting, one.words))
        words = one.words[len(settings) :]
        if words and words[0].text in _DECLARE:
            settings, words = list(filter(_is_setting, words)), ()
        if words:
            placed = tuple(placed for word in words for placed in _words(word, body, known))
            before = body.text[max(one.start - _NEAR, 0) : one.start].rstrip()
            command = ShellCommand(placed, one.guarded, body.at(one.start), before.endswith("|"))
            yield from _unwrapped(command, known, depth)
        else:
            known.update(_set_by(word, body.text, known) for word in settings if len(word.text) <= _LONGEST_SETTING)


def _is_setting(word: Word) -> bool:
    return _ASSIGNED.match(word.text) is not None


def _set_by(word: Word, text: str, known: Mapping[str, str]) -> tuple[str, str]:
    name, _, value = _value(word, text, known).partition("=")
    return name.rstrip("+"), value


def _words(word: Word, body: Joined, known: Mapping[str, str]) -> tuple[PlacedWord, ...]:
    """A word as the shell has it: what a variable without quotes holds is as many words as it has."""
    value, place = _value(word, body.text, known), (body.at(word.start), body.at(word.end - 1) + 1)
    splits = word.expands and word.splits and not _QUOTING.search(word.text)
    values = _BETWEEN.split(value.strip(BLANK)) if splits else [value]
    return tuple(PlacedWord(one, *place) for one in values)


def _value(word: Word, text: str, known: Mapping[str, str]) -> str:
    """A word's value with the variables that are known; others stay as they are written."""
    if not word.expands:
        return word.value
    made, room = [], LONGEST
    for piece, start, end in word.pieces:
        value = variable(text[start:end], known) if piece == HOLE else piece
        room -= len(value)
        made.append(value if room > 0 else text[start:end])
    return "".join(made)


def _unwrapped(command: ShellCommand, known: Mapping[str, str], depth: int = 0) -> Iterator[ShellCommand]:
    """Yields the command that runs in the end, and those of a text that a shell is handed with -c."""
    words = list(command.words)
    while len(words) > 1 and posixpath.basename(words[0].value) in _WRAPPERS:
        words.pop(0)
        while len(words) > 1 and (words[0].value.startswith("-") or _ASSIGNED.match(words[0].value)):
            words.pop(0)
    bare = ShellCommand(tuple(words), command.guarded, command.start, command.alone)
    yield bare
    if bare.program in _SHELLS:
        for option, text in pairwise(words):
            if re.fullmatch(r"-[a-z]*c", option.value):
                inner = Joined(text.value, ((0, text.start),))
                yield from (_placed(one, text, command.guarded) for one in _parsed(inner, known, depth + 1))
                return


def _placed(command: ShellCommand, text: PlacedWord, guarded: bool) -> ShellCommand:
    """Returns a command of a quoted text at the place of the whole text: its own is known only but for escapes."""
    words = tuple(PlacedWord(word.value, text.start, text.end) for word in command.words)
    return ShellCommand(words, command.guarded or guarded, text.start, True)
