"""The commands of a RUN, by the grammar of bash: their words with their values and places."""

from __future__ import annotations

import json
import posixpath
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gpuctl.dockerfile.source import Instruction, Joined
from gpuctl.dockerfile.words import expanded
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from tree_sitter import Node

LONGEST = 128 << 10
"""Bytes of a RUN that are looked at: longer ones are data, and the grammar takes longer the more wrong a text is."""
_NEAR = 200
"""Bytes before a command in which its operator is looked for."""
_QUERY = """
(command) @command
(declaration_command) @set
(variable_assignment) @set
(list . (_) @guarded . "||")
(if_statement condition: (_) @guarded)
(while_statement condition: (_) @guarded)
(negated_command) @guarded
"""
_NO_WORDS = frozenset(
    ("variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect", "ERROR", "subshell", "comment")
)
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")
_SHELLS = ("ash", "bash", "dash", "sh", "zsh")
_WRAPPERS = frozenset(("sudo", "env", "exec", "time", "nice", "command", "eatmydata", "xvfb-run", "xargs", "gosu", "-"))
_SHEBANG = re.compile(r"\s*#!\s*(\S+)(?:[ \t]+(\S+))?")


class NoParser(Exception):
    """The packages that read shell commands are not installed. The message is a sentence."""

    def __init__(self) -> None:
        super().__init__("reading Dockerfiles needs tree-sitter: pip install 'gpuctl-host[dockerfile]'")


@dataclass(frozen=True)
class Word:
    """A word of a command or instruction: its value with what is known of variables, and where it lies."""

    value: str
    start: int
    end: int


@dataclass(frozen=True)
class Command:
    """A command: its words, the variables set for it, and whether its failure is provided for (if, ||, !).

    `words` begin with the program, without what only runs another one (sudo, env).
    """

    words: tuple[Word, ...]
    set: Mapping[str, str]
    guarded: bool
    start: int
    alternative: bool = False
    """It stands behind || or |, where nothing can be put before it."""

    @property
    def program(self) -> str:
        """The program's name without its folder."""
        return posixpath.basename(self.words[0].value)

    @property
    def values(self) -> tuple[str, ...]:
        """The values of its words."""
        return tuple(word.value for word in self.words)


def commands(instruction: Instruction, variables: Mapping[str, str], shell: str) -> Iterator[Command]:
    """Yields the commands of a RUN, CMD, ENTRYPOINT or HEALTHCHECK in their order, those within `sh -c` too.

    `variables` are those that Docker knows there; `shell` is the program of SHELL. Raises NoParser.
    """
    body = instruction.body
    if instruction.name == "HEALTHCHECK":
        start = re.match(r"(?i)\s*cmd\s+|", body.text)
        body = body.part(start.end() if start else 0, len(body.text))
    words = _exec_form(body)
    if words:
        yield from _unwrapped(Command(words, {}, False, words[0].start), body, variables)
    elif posixpath.basename(shell).removesuffix(".exe") in (*_SHELLS, "conda", "micromamba"):
        yield from _parsed(body, variables)
        for document in instruction.heredocs:
            if instruction.name == "RUN" and _is_script(body.text, document.body.text):
                yield from _parsed(document.body, variables)


def _is_script(command: str, text: str) -> bool:
    """Whether a heredoc is read by a shell: it is all that RUN has, or what a shell is handed."""
    program = posixpath.basename((command.split() or [""])[0])
    if program.startswith("<<"):
        shebang = _SHEBANG.match(text)
        program = posixpath.basename((shebang[2] if shebang and shebang[2] else shebang[1]) if shebang else "sh")
    return program in _SHELLS


def _exec_form(body: Joined) -> tuple[Word, ...]:
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
        Word(value, body.at(start + 1), body.at(end - 1)) for value, (start, end) in zip(values, places, strict=False)
    )


@cache
def _grammar() -> tuple[Any, Any]:
    try:
        import tree_sitter_bash
        from tree_sitter import Language, Parser, Query
    except ImportError:
        raise NoParser from None
    language = Language(tree_sitter_bash.language())
    return Parser(language), Query(language, _QUERY)


def _parsed(body: Joined, variables: Mapping[str, str]) -> Iterator[Command]:
    parser, query = _grammar()
    from tree_sitter import QueryCursor

    if len(body.text) > LONGEST:
        return
    tree = parser.parse(body.text.encode("latin-1"))
    found = QueryCursor(query).captures(tree.root_node)
    guarded = _united((node.start_byte, node.end_byte) for node in found.get("guarded", ()))
    known = dict(variables)
    nodes = [*found.get("command", ()), *found.get("set", ())]
    starts = {one.start_byte for one in found.get("command", ())}
    for node in sorted(nodes, key=lambda one: (one.start_byte, -one.end_byte)):
        if node.type == "command":
            command = _command(node, body, known, guarded)
            if command:
                yield from _unwrapped(command, body, known)
        elif node.type == "variable_assignment" and node.start_byte not in starts:  # else for that command alone
            name, value = _assignment(body.text[node.start_byte : node.end_byte], known)
            known[name] = value


def _united(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns the spans without those that lie within another."""
    united: list[tuple[int, int]] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not united or end > united[-1][1]:
            united.append((start, end))
    return united


def _assignment(text: str, known: Mapping[str, str]) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.rstrip("+"), expanded(value, known)


def _command(node: Node, body: Joined, known: Mapping[str, str], guarded: list[tuple[int, int]]) -> Command | None:
    start, end = node.start_byte, node.end_byte
    kids = node.children
    own = dict(
        _assignment(body.text[kid.start_byte : kid.end_byte], known)
        for kid in kids
        if kid.type == "variable_assignment"
    )
    spans = [(kid.start_byte, kid.end_byte) for kid in kids if kid.type not in _NO_WORDS]
    words = tuple(_word(body, *span, known) for span in spans if span[1] > span[0])
    if not words:
        return None
    before = body.text[max(start - _NEAR, 0) : start].rstrip()
    around = bisect_right(guarded, (start, len(body.text) + 1)) - 1
    provided = around >= 0 and end <= guarded[around][1]
    return Command(words, own, provided, body.at(start), before.endswith("|"))


def _word(body: Joined, start: int, end: int, known: Mapping[str, str]) -> Word:
    return Word(expanded(body.text[start:end], known), body.at(start), body.at(end - 1) + 1)


def _unwrapped(command: Command, body: Joined, known: Mapping[str, str]) -> Iterator[Command]:
    """Yields the command that runs in the end, and those of a text that a shell is handed with -c."""
    words, own = list(command.words), dict(command.set)
    while len(words) > 1 and posixpath.basename(words[0].value) in _WRAPPERS:
        words.pop(0)
        while len(words) > 1 and (words[0].value.startswith("-") or _ASSIGNED.match(words[0].value)):
            set_here = _ASSIGNED.match(words[0].value)
            if set_here:
                own[set_here[1]] = words[0].value[set_here.end() :]
            words.pop(0)
    bare = Command(tuple(words), own, command.guarded, command.start, command.alternative)
    yield bare
    if bare.program in _SHELLS:
        for option, text in pairwise(words):
            if re.fullmatch(r"-[a-z]*c", option.value):
                inner = Joined(text.value, ((0, text.start),))
                for one in _parsed(inner, known):
                    yield _placed(one, text, command.guarded)
                return


def _placed(command: Command, text: Word, guarded: bool) -> Command:
    """Returns a command of a quoted text at the place of the whole text: its own is known only but for escapes."""
    words = tuple(Word(word.value, text.start, text.end) for word in command.words)
    return Command(words, command.set, command.guarded or guarded, text.start, True)
