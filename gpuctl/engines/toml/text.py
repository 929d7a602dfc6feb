"""A TOML file as a text of which single values change: every other byte stays as it is written.

What changes is found by one reader (toml_places) and judged by another, of another make: Python's own parser has to
see exactly the wished change in the new text. Else the file is refused, with line and reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from itertools import groupby
from typing import Any

from gpuctl.documents import TooMuch, load_toml
from gpuctl.engines.merge import REMOVED, Keys, Value, Values, same, value_at
from gpuctl.engines.toml.layout import added, removed, replaced_value, without_bare_header
from gpuctl.engines.toml.places import Lost, places, walk

_PLACE = re.compile(r" \(at line (\d+), column \d+\)$")
_AT_END = " (at end of document)"
_DIVERGES = "gpuctl cannot change {} without changing more than that; edit it by hand"


class NotAccepted(ValueError):
    """A document that gpuctl does not edit: what is wrong with it, and at which line (from 1), 0 where that is open.

    `path` is the file, where another one than that which is edited may be meant.
    """

    replaceable = False
    """Whether `force` replaces what is wrong."""

    def __init__(self, message: str, line: int = 0, path: str = "") -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message, self.line, self.path = message, line, path

    def at(self, path: str) -> str:
        """Returns what is wrong, with file and line."""
        place = self.path or path
        return f"{place}:{self.line}: {self.message}" if self.line else f"{place}: {self.message}"


def decoded(raw: bytes) -> str:
    """Returns the text. Raises NotAccepted for bytes that are no UTF-8, which is all that TOML may be."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotAccepted("not valid UTF-8", raw[: error.start].count(b"\n") + 1) from None
    if text.startswith("\ufeff"):
        raise NotAccepted("it starts with a byte order mark, which TOML does not allow", 1)
    return text


def values(raw: bytes) -> dict[str, Any]:
    """Returns all that the document says. Raises NotAccepted."""
    return _values(decoded(raw))


def set_values(raw: bytes, changes: Values) -> bytes:
    """Returns the bytes with these values changed, in this order; the same bytes where all of them are as wished.

    Of a table only what differs is touched. Raises NotAccepted for what is no TOML, where a change needs a table in
    the place of something else, and where it cannot be made alone.
    """
    text = decoded(raw)
    for path, value in changes:
        text = _changed(text, path, value)
    return text.encode("utf-8")


def line_of(text: str, path: Keys) -> int:
    """Returns the line (from 1) of the table's header, or of the key, or of the first that is below; 0 for none."""
    try:
        found = places(text)
    except Lost:
        return 0
    headers = [(section.path, section.start) for section in found.sections[1:]]
    starts = headers + [(keys, entry.start) for _, _, keys, entry in walk(found)]
    exact = [start for keys, start in starts if keys == path]
    below = [start for keys, start in starts if keys[: len(path)] == path]
    return next((text.count("\n", 0, start) + 1 for start in exact or sorted(below)), 0)


def table_at(text: str, said: Mapping[str, Any], path: Keys) -> Mapping[str, Any]:
    """Returns the table at these keys, an empty one where there is none. `said` is what the text says.

    Raises NotAccepted where something else stands there, or on the way.
    """
    for depth, key in enumerate(path, 1):
        said = said.get(key, {})
        if not isinstance(said, Mapping):
            raise NotAccepted(f"{'.'.join(path[:depth])} is not a table", line_of(text, path[:depth]))
    return said


def _values(text: str) -> dict[str, Any]:
    try:
        return load_toml(text)
    except TooMuch as error:
        raise NotAccepted(str(error)) from None
    except ValueError as error:
        place = _PLACE.search(str(error))
        message = _PLACE.sub("", str(error)).replace(_AT_END, ", where the text ends")
        line = text.count("\n") + 1 if _AT_END in str(error) else 0
        raise NotAccepted(f"not valid TOML: {message}", int(place[1]) if place else line) from None


def _changed(text: str, path: Keys, value: Any) -> str:
    said = _values(text)
    table_at(text, said, path[:-1])
    if same(value_at(said, path), value):
        return text
    wished = deepcopy(said)
    _put(wished, path, value)
    try:
        new = text
        for is_gone, group in groupby(_steps(value_at(said, path), path, value), lambda step: step[1] is REMOVED):
            steps = list(group)
            new = removed(new, {keys for keys, _ in steps}) if is_gone else _with_all(new, steps)
        if value is REMOVED:
            new = _without_empty(new, path)
        if not same(_settled(_values(new), path, value), _settled(wished, path, value)):
            raise ValueError(path)
    except (ValueError, Lost):  # what the two readers do not agree about
        raise NotAccepted(_DIVERGES.format(".".join(path)), line_of(text, path)) from None
    return new


def _steps(there: Any, path: Keys, value: Any) -> Iterator[Value]:
    """The changes by which what is there becomes the value: one value added, replaced or taken away at a time.

    Of a table what is new comes first, so that it is never empty in between; the last first, because each goes right
    below the header.
    """
    if same(there, value):
        return
    if isinstance(there, Mapping) and isinstance(value, Mapping) and value:
        for key in reversed(value):
            yield from _steps(there.get(key, REMOVED), (*path, key), value[key])
        yield from (((*path, key), REMOVED) for key in there if key not in value)
    else:
        if REMOVED not in (there, value) and (isinstance(there, Mapping) or isinstance(value, Mapping)):
            yield path, REMOVED  # a table is written in other places than a value
        yield path, value


def _with_all(text: str, steps: Iterable[Value]) -> str:
    for path, value in steps:
        said = _values(text)
        there = value_at(said, path)
        if there is REMOVED:
            depth = next(depth for depth in reversed(range(len(path))) if value_at(said, path[:depth]) is not REMOVED)
            text = added(text, path[:depth], path[depth:], value)
        else:
            text = replaced_value(text, path, there, value)
    return text


def _put(tables: dict[str, Any], path: Keys, value: Any) -> None:
    """Sets a value in nested tables, which are made where there are none."""
    for key in path[:-1]:
        tables = tables.setdefault(key, {})
    if value is REMOVED:
        tables.pop(path[-1], None)
    else:
        tables[path[-1]] = deepcopy(value)


def _without_empty(text: str, path: Keys) -> str:
    """The text without the headers that were there for the value at the path alone."""
    said = _values(text)
    for depth in reversed(range(1, len(path))):
        text = without_bare_header(text, path[:depth])
        if value_at(said, path[:depth]) not in ({}, REMOVED):
            break
    return text


def _settled(document: dict[str, Any], path: Keys, value: Any) -> dict[str, Any]:
    """Where a value went, whether tables above it that held nothing else are left is a matter of layout."""
    if value is REMOVED:
        for depth in reversed(range(1, len(path))):
            if value_at(document, path[:depth]) == {}:
                _put(document, path[:depth], REMOVED)
    return document
