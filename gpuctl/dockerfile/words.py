"""Words of a Dockerfile: quotes, escapes and variables as Docker's own small shell has them, and NAME=VALUE pairs.

By https://docs.docker.com/reference/dockerfile/#environment-replacement
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gpuctl.dockerfile.source import Instruction
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_VARIABLE = regex(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+])([^}$]*))?\})")
_PLAIN = regex(r"[^\\'\"$`]+")
_LONGEST = 16 << 10
"""Bytes of a value: one that puts itself in twice, line by line, would be longer than any memory."""
_LEGACY = regex(r"(\S+)\s+(\S(?:.*\S)?)\s*", re.DOTALL | re.ASCII)


@dataclass(frozen=True)
class Pair:
    """A variable that ENV or ARG sets: its value as written, and where that lies in the file.

    `value` is None where ARG gives none. `legacy`: it was written without =, and the rest of the line is its value.
    """

    name: str
    value: str | None
    start: int
    end: int
    legacy: bool = False


def expanded(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """Returns a word's value: without its quotes, and with variables replaced; those not known stay as written."""
    made, position, double, room = [], 0, False, max(_LONGEST, len(text))
    while position < len(text):
        sign = text[position]
        if sign == "'" and not double:
            end = text.find("'", position + 1)
            end = len(text) if end < 0 else end
            made.append(text[position + 1 : end])
            position = end + 1
        elif sign == '"':
            double, position = not double, position + 1
        elif sign == escape:
            kept = sign if double and text[position + 1 : position + 2] not in ("$", '"', escape) else ""
            made.append(kept + text[position + 1 : position + 2])
            position += 2
        elif sign == "$" and (found := _VARIABLE.match(text, position)):
            value = _value(found, variables)
            room -= len(value)
            made.append(value if room > 0 else found[0])
            position = found.end()
        else:
            plain = _PLAIN.match(text, position)
            made.append(plain[0] if plain else sign)
            position += len(plain[0]) if plain else 1
    return "".join(made)


def variable(text: str, variables: Mapping[str, str]) -> str:
    """Returns what an expansion such as $A or ${A:-b} is, as written where it is another one, or A is not known."""
    found = _VARIABLE.fullmatch(text)
    return _value(found, variables) if found else text


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    value, operator, other = variables.get(found[1] or found[2]), found[3] or "", found[4] or ""
    missing = value is None or (operator.startswith(":") and not value)
    if operator.endswith("-"):
        return other if missing else value or ""
    if operator.endswith("+"):
        return "" if missing else other
    return found[0] if value is None else value


_MARK = "\0"


class _Marking(dict[str, str]):
    """Variables of which each that is not known is a mark."""

    def get(self, name: str, default: object = None) -> str:
        return super().get(name, _MARK)


def names_variable(text: str, name: str, escape: str = "\\") -> bool:
    """Returns whether a value puts in a variable: not where an escape or single quotes keep Docker from it."""
    return _MARK in expanded(text, {name: _MARK}, escape)


def names_unknown(text: str, known: Mapping[str, str], escape: str = "\\") -> bool:
    """Returns whether a value puts in a variable of which nothing is known."""
    return _MARK in expanded(text, _Marking(known), escape)


def pairs(instruction: Instruction) -> Iterator[Pair]:
    """Yields what an ENV or ARG sets. Words that are no NAME=VALUE, which Docker refuses, are left out."""
    body, spans = instruction.body, instruction.words
    if instruction.name == "ENV" and spans and "=" not in body.text[slice(*spans[0])]:
        found = _LEGACY.fullmatch(body.text, spans[0][0])
        if found:
            yield Pair(found[1], found[2], body.at(found.start(2)), body.at(found.end(2) - 1) + 1, True)
        return
    for start, end in spans:
        name, equals, value = body.text[start:end].partition("=")
        if equals or instruction.name == "ARG":
            begin = start + len(name) + len(equals)
            place = body.at(begin) if value else body.at(max(begin - 1, 0)) + 1
            yield Pair(name.strip("\"'"), value if equals else None, place, body.at(end - 1) + 1)
