"""The commands of a RUN, by the grammar of bash: their words with their values and places."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from gpuctl.dockerfile.source import BLANK, Instruction, Joined
from gpuctl.dockerfile.words import expanded
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

LONGEST = 64 << 10
"""Bytes of a RUN that are looked at: what is longer is data."""
_MOST_OPENED = 500
"""Parentheses in a RUN that is looked at: the grammar takes four times as long for twice as many lists in lists."""
_LONGEST_SETTING = 4 << 10
"""Bytes of a setting that is followed: a list of lists is none."""
_NEAR = 200
"""Bytes before a command in which its operator is looked for."""
_NO_WORDS = frozenset(
    ("variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect", "ERROR", "subshell", "comment")
)
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=")
_SHELLS = ("ash", "bash", "dash", "sh", "zsh")
_WRAPPERS = frozenset(("sudo", "env", "exec", "time", "nice", "command", "eatmydata", "xvfb-run", "xargs", "gosu", "-"))
_BETWEEN = re.compile(r"[ \t\n]+")
_QUOTING = re.compile(r"[\"'\\`(]")
_SHEBANG = re.compile(r"\s*#!\s*(\S+)(?:[ \t]+(\S+))?")


class NoParser(Exception):
    """The packages that read shell commands are not installed. The message is a sentence."""

    def __init__(self) -> None:
        super().__init__("reading Dockerfiles needs tree-sitter: pip install 'gpuctl-host[dockerfile]'")


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

    `variables` are those that Docker knows there; `shell` is the program of SHELL. Raises NoParser.
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


@cache
def _parser() -> Parser:
    try:
        import tree_sitter_bash
        from tree_sitter import Language, Parser
    except ImportError:
        raise NoParser from None
    return Parser(Language(tree_sitter_bash.language()))


def _parsed(body: Joined, variables: Mapping[str, str]) -> Iterator[ShellCommand]:
    parser = _parser()
    if len(body.text) > LONGEST or body.text.count("(") > _MOST_OPENED:
        return
    known = dict(variables)
    for node, guarded in _walked(parser.parse(body.text.encode("latin-1")).root_node):
        if node.type == "command":
            command = _command(node, body, known, guarded)
            if command:
                yield from _unwrapped(command, known)
        elif node.end_byte - node.start_byte <= _LONGEST_SETTING:
            name, value = _assignment(body.text[node.start_byte : node.end_byte], known)
            known[name] = value


def _walked(root: Node) -> Iterator[tuple[Node, bool]]:
    """Yields the commands and the settings of variables in their order, and whether a failure is provided for.

    Without recursion, and looking at each node once: a chain of && is a tree as deep as it is long.
    """
    nodes = [(root, False)]
    while nodes:
        node, guarded = nodes.pop()
        kind, kids = node.type, node.children
        if kind in ("command", "variable_assignment"):
            yield node, guarded
        if kind == "command":
            kids = [kid for kid in kids if kid.child_count and kid.type != "variable_assignment"]
        inner = [(kid, guarded or _is_provided_for(kind, kids, at)) for at, kid in enumerate(kids) if kid.child_count]
        nodes += reversed(inner)


def _is_provided_for(kind: str, kids: Sequence[Node], at: int) -> bool:
    """Whether something else happens where a part of a command fails: the left of ||, a condition, what is negated."""
    if kind == "list":
        return at == 0 and len(kids) > 1 and kids[1].type == "||"
    return kind == "negated_command" or (kind in ("if_statement", "while_statement") and at == 1)


def _assignment(text: str, known: Mapping[str, str]) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.rstrip("+"), expanded(value, known)


def _command(node: Node, body: Joined, known: Mapping[str, str], guarded: bool) -> ShellCommand | None:
    start, kids = node.start_byte, node.children
    spans = [(kid.start_byte, kid.end_byte) for kid in kids if kid.type not in _NO_WORDS]
    words = tuple(word for span in spans if span[1] > span[0] for word in _words(body, *span, known))
    if not words:
        return None
    before = body.text[max(start - _NEAR, 0) : start].rstrip()
    return ShellCommand(words, guarded, body.at(start), before.endswith("|"))


def _words(body: Joined, start: int, end: int, known: Mapping[str, str]) -> tuple[PlacedWord, ...]:
    """A word as the shell has it: what a variable without quotes holds is as many words as it has."""
    text = body.text[start:end]
    value, place = expanded(text, known), (body.at(start), body.at(end - 1) + 1)
    values = _BETWEEN.split(value.strip(BLANK)) if "$" in text and not _QUOTING.search(text) else [value]
    return tuple(PlacedWord(one, *place) for one in values)


def _unwrapped(command: ShellCommand, known: Mapping[str, str]) -> Iterator[ShellCommand]:
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
                yield from (_placed(one, text, command.guarded) for one in _parsed(inner, known))
                return


def _placed(command: ShellCommand, text: PlacedWord, guarded: bool) -> ShellCommand:
    """Returns a command of a quoted text at the place of the whole text: its own is known only but for escapes."""
    words = tuple(PlacedWord(word.value, text.start, text.end) for word in command.words)
    return ShellCommand(words, command.guarded or guarded, text.start, True)
