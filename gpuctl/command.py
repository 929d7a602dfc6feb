"""From words to a command that is shown, one way: a command is a list of words, each quoted when it is shown.

So a value of a snapshot, a process or an image is a word in it, and never becomes shell. What the shell itself is to
read is one of a closed list, `Shell`. Standard library only, Python 3.8 syntax, as `model.py`.
"""

from __future__ import annotations

import shlex
from enum import Enum
from typing import Callable, Tuple, Union

from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_LOST = regex(r"\0|\n\Z")
"""What no shell hands on: a NUL, and the newline at the end of what a program prints."""
_BARE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._ ")


class Shell(Enum):
    """All that a command may hold besides words: what the shell reads itself, as it is shown."""

    PIPE = "|"
    AND = "&&"
    THEN = ";"
    INTO = ">"
    SUDO = "sudo"
    """Falls away where the command is for root."""
    EDITOR = "${EDITOR:-vi}"
    USER = '"$USER"'
    KERNEL = "$(uname -r)"
    ANY = "*"
    NEW_FOLDER = "folder=$(mktemp -d)"
    FOLDER = '"$folder"'
    """The one that NEW_FOLDER has made before, in the same line."""
    REST = "…"
    """What only the reader knows."""


Part = Union[str, Shell]
Word = Union[Part, Tuple[Part, ...]]
"""A tuple is one word in parts: `/dev/nvidia*`."""


@dataclass(frozen=True)
class Command:
    """A line for sh and bash: words, and what the shell reads between them or in them. `str()` shows it."""

    words: Tuple[Word, ...]

    def __str__(self) -> str:
        shown = "".join(("" if word is Shell.THEN else " ") + _shown(word) for word in self.words)
        return shown[1:]

    def mapped(self, change: Callable[[str], str]) -> Command:
        """Returns the command with each of its texts as `change` makes it; what the shell reads stays."""

        def part(one: Part) -> Part:
            return change(one) if isinstance(one, str) else one

        return Command(tuple(tuple(map(part, word)) if isinstance(word, tuple) else part(word) for word in self.words))

    def for_root(self) -> Command:
        """Returns the command as root types it."""
        return Command(tuple(word for word in self.words if word is not Shell.SUDO))

    def for_others(self) -> Command:
        """Returns the command as somebody types it who is root by sudo: where it says so, else at its start."""
        return self if Shell.SUDO in self.words else Command((Shell.SUDO, *self.words))


def command(*words: Word) -> Command:
    """Returns the command of these words."""
    return Command(words)


def operands(*values: str) -> Tuple[str, ...]:
    """Returns values from outside as a program's last words: behind `--` where one would be taken for an option."""
    return ("--", *values) if any(value.startswith("-") for value in values) else values


def quoted(word: str) -> str:
    r"""Returns a word as sh and bash read it, in one line and without a letter that steers a terminal.

    A word with a letter that is not printable comes out of printf(1): `"$(printf 'a\012b')"`. What no shell hands on
    becomes a question mark, so that the word means nothing that there is.
    """
    if word.isprintable():
        return shlex.quote(word)
    raw = _LOST.sub("?", word).encode("utf-8", "replace")
    return "\"$(printf '%s')\"" % "".join(chr(byte) if byte in _BARE else "\\%03o" % byte for byte in raw)


def _shown(word: Word) -> str:
    if isinstance(word, tuple):
        return "".join(map(_shown, word))
    return word.value if isinstance(word, Shell) else quoted(word)
