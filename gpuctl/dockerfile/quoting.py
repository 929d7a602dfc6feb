"""Words of a Dockerfile's instructions, quoted so that the builder reads back what they are.

The rules: https://docs.docker.com/reference/dockerfile/#environment-replacement, and those of BuildKit's own reader,
moby/buildkit frontend/dockerfile/shell/lex.go: in double quotes a backslash, a quote and a dollar are escaped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from gpuctl.regex import regex

LONGEST_LINE = 60_000
"""Bytes. Builders refuse lines of more than 65,535."""
_BARE = regex(r"(?!--)[A-Za-z0-9_./:@%+,=~-]+")
"""What needs no quotes: an empty word does, and one that begins as a flag, which every instruction may have."""
_SPECIAL = regex(r'(["\\$])')
_UNWRITABLE = regex(r"[\n\r\0]")


class Unwritable(ValueError):
    """No line of a Dockerfile can hold a text. The message says why, a part of a sentence."""


def quoted(text: str) -> str:
    """Returns a word that the builder reads as this text, in ENV, LABEL, WORKDIR and USER. Raises Unwritable."""
    if _UNWRITABLE.search(text):
        raise Unwritable("it holds a line break, which no value of a Dockerfile can")
    if len(text.encode("utf-8", "replace")) > LONGEST_LINE:
        raise Unwritable("it is longer than a line of a Dockerfile can be")
    return text if _BARE.fullmatch(text) else f'"{escaped(text)}"'


def escaped(text: str) -> str:
    """Returns a text as it stands between double quotes."""
    return _SPECIAL.sub(r"\\\1", text)


def pair(name: str, value: str) -> str:
    """Returns a name and its value, for ENV and LABEL. Raises Unwritable."""
    if not name or "=" in name:
        raise Unwritable("its name is none that a Dockerfile can set")
    return f"{quoted(name)}={quoted(value)}"


def exec_form(words: Sequence[str]) -> str:
    """Returns words as JSON, for ENTRYPOINT, CMD and SHELL: the builder replaces nothing there. Raises Unwritable."""
    line = json.dumps(list(words))
    if len(line) > LONGEST_LINE:
        raise Unwritable("it is longer than a line of a Dockerfile can be")
    return line


def paths_form(paths: Sequence[str]) -> str:
    """Returns paths as JSON, for VOLUME, in which the builder does replace variables. Raises Unwritable."""
    return exec_form([quoted(path) for path in paths])
