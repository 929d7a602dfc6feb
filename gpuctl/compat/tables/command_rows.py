"""Commands as the tables hold them: a list of words, in which a value takes the place of a `{name}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Union

from gpuctl.command import Command, Part, Shell
from gpuctl.regex import regex

Words = Sequence[Union[str, Sequence[str]]]
_NAME = regex(r"\{([a-z_]+)\}")
_SHELL = {one.value: one for one in Shell}


def parse_command(row: Words) -> Command:
    """Returns the command of a row. Raises ValueError where it is no list of words.

    A word that the shell reads is one of Shell; one word in parts is a list of its own:
    ["dmesg", "|", "grep", "-i", "nvrm"], ["ls", "-l", ["/dev/nvidia", "*"]]
    """
    if isinstance(row, str):
        raise ValueError(f"the command {row!r} is no list of words")
    return Command(tuple(_part(word) if isinstance(word, str) else tuple(map(_part, word)) for word in row))


def parse_commands(rows: Sequence[Words]) -> tuple[Command, ...]:
    """Returns the commands of a row, in order. Raises ValueError."""
    return tuple(map(parse_command, rows))


def names_in(command: Command) -> set[str]:
    """Returns the names for which values are wanted."""
    return {name for text in _texts(command) for name in _NAME.findall(text)}


def filled(command: Command, values: Mapping[str, str]) -> Command:
    """Returns the command with the values of its names: each stays a part of its word, whatever it holds."""
    return command.mapped(lambda text: _NAME.sub(lambda name: values[name.group(1)], text))


def _part(text: str) -> Part:
    return _SHELL.get(text, text)


def _texts(command: Command) -> Iterator[str]:
    for word in command.words:
        yield from (part for part in (word if isinstance(word, tuple) else (word,)) if isinstance(part, str))
