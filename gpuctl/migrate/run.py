"""A shell line or script whose `docker run`s are rewritten, each in its place; all else stays to the letter."""

from __future__ import annotations

import posixpath
import re
import shlex
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, takewhile

from gpuctl.bounds import amount
from gpuctl.engines.spans import Span, replaced
from gpuctl.migrate.migration import Change, Left, Migration, Target
from gpuctl.migrate.rewrite import Rewriting, rewriting, rewriting_of_call
from gpuctl.migrate.run_command import RunCommand, other_call, run_command
from gpuctl.migrate.survey import SIGNS, WITH_COMPOSE, survey
from gpuctl.regex import regex
from gpuctl.shell import IN_SUBSTITUTION, Lines, NotShell, SimpleCommand, commands

SIZE_LIMIT = 1 << 20
"""Bytes of a script."""
Targets = Callable[[str], Target]
"""What a command of an engine, docker or podman, is rewritten for."""
_ELSEWHERE = "gpuctl does not read it as a command: it stands in a variable, a quote or a document"
_BY_COMPOSE = (
    "it maps the driver into each service by hand: gpuctl migrate compose docker-compose.yml asks for the GPUs, and"
    " docker compose takes its place"
)
"""https://github.com/eywalker/nvidia-docker-compose"""
_LOOKS = frozenset(("[", "test", "ls", "stat", "chmod", "chown", "mknod", "rm", "lsof", "fuser"))
_ASSIGNMENT = regex(r"[A-Za-z_]\w*=.*", re.DOTALL | re.ASCII)


def decoded(raw: bytes) -> str:
    """Returns the text of a script. Raises NotShell where it is empty, too long, or no text in UTF-8."""
    if len(raw) > SIZE_LIMIT:
        raise NotShell(1, f"it is longer than {amount(SIZE_LIMIT)}, and no script")
    if not raw.strip():
        raise NotShell(1, "there is nothing in it")
    at = raw.find(b"\0")
    if at >= 0:
        raise NotShell(raw.count(b"\n", 0, at) + 1, "it is no text")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotShell(raw.count(b"\n", 0, error.start) + 1, "these bytes are no UTF-8") from None


def line_of(words: Sequence[str]) -> str:
    """Returns the shell line of words that a shell has read already: variables that are set for it stay such."""
    assigned = len(list(takewhile(_ASSIGNMENT.fullmatch, words)))
    return " ".join((*map(_assignment, words[:assigned]), *map(shlex.quote, words[assigned:])))


def _assignment(word: str) -> str:
    name, _, value = word.partition("=")
    return f"{name}={shlex.quote(value) if value else ''}"


def run_commands(text: str) -> tuple[RunCommand, ...]:
    """Returns the commands of a text that make a container. Raises NotShell."""
    return tuple(filter(None, map(run_command, commands(text))))


def migrated(text: str, targets: Targets) -> Migration:
    """Returns the text with its `docker run`s rewritten. Raises NotShell."""
    line = Lines(text).at
    edits, changes, left, spans = list[Span](), list[Change](), list[Left](), list[tuple[int, int]]()
    for command in commands(text):
        done = _rewriting(text, command, targets, line)
        if done is not None or _only_looks(command):
            spans.append((command.start, command.end))
        if done is None:
            continue
        if command.within and done.changes:
            left.append(_left(command, f"it stands in {command.within}, which gpuctl leaves to you", line))
            continue
        edits += done.edits
        changes += done.changes
        left += done.left
    left += _elsewhere(text, spans, line)
    return Migration(
        text,
        replaced(text, edits),
        tuple(sorted(changes, key=lambda one: one.line or 0)),
        tuple(sorted(left, key=lambda one: one.line or 0)),
    )


def _rewriting(text: str, command: SimpleCommand, targets: Targets, line: Callable[[int], int]) -> Rewriting | None:
    """How a command is rewritten, None for one that has nothing to do with containers."""
    run = run_command(command)
    if run:
        return rewriting(text, run, targets(run.engine), line)
    call = other_call(command)
    return rewriting_of_call(text, call, targets("docker"), line) if call else None


def _only_looks(command: SimpleCommand) -> bool:
    """Whether a command looks after devices on the host, and nothing else; what a substitution lists is mapped."""
    name = posixpath.basename(command.words[0].value)
    return name in _LOOKS and command.within != IN_SUBSTITUTION


def _left(command: SimpleCommand, why: str, line: Callable[[int], int]) -> Left:
    words = " ".join(word.text for word in command.words)
    return Left(words, why, line(command.start))


def _elsewhere(text: str, spans: Sequence[tuple[int, int]], line: Callable[[int], int]) -> Iterator[Left]:
    """Yields lines with signs of the old way outside of the commands that gpuctl has read."""
    if (0, len(text)) in spans:  # as of a command that was typed, of which nothing is outside
        return
    told = set[int]()
    read = sorted(spans)
    reached = list(accumulate((end for _, end in read), max))  # a command may hold others
    for found in SIGNS.finditer(text):
        before = bisect_right(read, (found.start(), len(text)))
        if before and found.start() < reached[before - 1]:
            continue
        number = line(found.start())
        begins = text.rfind("\n", 0, found.start()) + 1
        ends = text.find("\n", found.start())
        written = text[begins : ends if ends >= 0 else len(text)].strip()
        if number in told or written.startswith("#"):
            continue
        told.add(number)
        yield Left(written, _BY_COMPOSE if found[0].startswith(WITH_COMPOSE) else _ELSEWHERE, number)


def migrated_to_unit(text: str) -> Migration:
    """Returns the Quadlet unit that takes the place of the one command in a text.

    The text stays where only a shell can finish the command, or where it asks for GPUs in a way that gpuctl cannot
    tell. Raises NotShell also where there is not exactly one.
    """
    from gpuctl.migrate.quadlet import unit

    runs = run_commands(text)
    if len(runs) != 1:
        raise NotShell(1, f"a unit is of one container, and this starts {len(runs) or 'none'}")
    done = migrated(text, lambda engine: Target.QUADLET)
    (run,) = run_commands(done.after)
    if runs[0].command.within or survey(run).is_by_hand:
        return Migration(text, text, left=done.left)
    try:
        written, gone = unit(run)
    except ValueError as why:
        return Migration(text, text, left=(*done.left, Left(text.strip(), str(why), 1)))
    return Migration(text, written, (*done.changes, *gone), done.left)
