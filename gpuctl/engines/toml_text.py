"""A TOML file as a document of which single values are changed: all other values, comments and their order stay.

Every edit is made sure of: a parser of another make has to read the wished values from the new text, and no others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from gpuctl.documents import TooMuch, load_toml
from gpuctl.engines.merge import REMOVED, Keys, Values, value_at

_PLACE = re.compile(r" \(at line (\d+), column \d+\)$")
_AT_END = " (at end of document)"
_DIVERGES = "gpuctl cannot change this file without changing more than that; edit it by hand"


class NotAccepted(ValueError):
    """A document that gpuctl does not edit: what is wrong with it, and at which line (from 1), 0 where that is open."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message, self.line = message, line


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

    Raises NotAccepted for what is no TOML, and where a change needs a table in the place of something else.
    """
    text = decoded(raw)
    for path, value in changes:
        there = _values(text)
        if value_at(there, path) != value:
            text = _changed(text, there, path, value)
    return text.encode("utf-8")


def line_of(text: str, path: Keys) -> int:
    """Returns the line (from 1) of the table's header, or of the last of the keys; 0 where neither is plain to see."""
    lines = {found: number for number, found in reversed(list(_headers(text.splitlines())))}
    if path in lines:
        return lines[path]
    key = re.compile(rf"""\s*["']?{re.escape(path[-1])}["']?\s*[=.]""")
    start = lines.get(path[:-1], 1)
    return next((n for n, line in enumerate(text.splitlines(), 1) if n >= start and key.match(line)), 0)


def _values(text: str) -> dict[str, Any]:
    try:
        document = load_toml(text)
    except TooMuch as error:
        raise NotAccepted(str(error)) from None
    except ValueError as error:
        place = _PLACE.search(str(error))
        message = _PLACE.sub("", str(error)).replace(_AT_END, ", where the text ends")
        line = text.count("\n") + 1 if _AT_END in str(error) else 0
        raise NotAccepted(f"not valid TOML: {message}", int(place[1]) if place else line) from None
    return document


def _changed(text: str, there: dict[str, Any], path: Keys, value: Any) -> str:
    wished = deepcopy(there)
    _put(wished, path, value)
    for new in _candidates(text, path, value):
        try:
            if _without_empty(load_toml(new)) == _without_empty(wished):
                return new
        except ValueError:  # what may not stand there in this layout
            continue
    raise NotAccepted(_DIVERGES, line_of(text, path))


def _candidates(text: str, path: Keys, value: Any) -> Iterator[str]:
    """The ways to write it, the plainest first. Those that do not fit this document make it say something else."""
    if value is REMOVED:
        yield from _cut_out(text, path)
    else:
        yield from _added(text, path, value)
    if isinstance(value, Mapping):  # a table is written anew, at the end
        yield from (new for rest in _cut_out(text, path) for new in _added(rest, path, value))
    yield from _in_place(text, path, value)


def _added(text: str, path: Keys, value: Any) -> Iterator[str]:
    newline = "\r\n" if "\r\n" in text else "\n"
    block = tomlkit.dumps(_nested(path, value)).replace("\n", newline)
    gap = "" if not text else newline if text.endswith("\n") else newline * 2
    yield text + gap + block
    lines = text.splitlines(keepends=True)
    for number, table in _headers(lines):
        if table == path[:-1]:
            indent = re.match(r"[ \t]*", "".join(lines[number : number + 1]))
            line = f"{indent[0] if indent else ''}{tomlkit.dumps({path[-1]: value}).strip()}{newline}"
            yield "".join([*lines[:number], line, *lines[number:]])


def _cut_out(text: str, path: Keys) -> Iterator[str]:
    """Without the lines of a table and of the tables in it, or without the line of a value.

    A header that would be left with nothing below it goes as well.
    """
    lines = text.splitlines(keepends=True)
    headers = [*_headers(lines), (len(lines) + 1, ())]
    blocks = [(table, _block(lines, number, following)) for (number, table), (following, _) in pairwise(headers)]
    gone = {number for table, block in blocks if table[: len(path)] == path for number in block}
    if not gone and (number := line_of(text, path)):
        alone = (block for table, block in blocks if table == path[:-1] and number == block[-1] == _first(lines, block))
        gone = set(next(alone, range(number, number + 1)))
    yield "".join(line for number, line in enumerate(lines, 1) if number not in gone)


def _first(lines: Sequence[str], block: range) -> int:
    """The first line below the block's header, 0 where there is none."""
    written = [number for number in block if lines[number - 1].strip()]
    return written[1] if len(written) > 1 else 0


def _block(lines: Sequence[str], header: int, following: int) -> range:
    """The lines (from 1) of a table: a blank one before it, and no comments behind it, which are the next one's."""
    end = following - 1
    while end > header and lines[end - 1].lstrip()[:1] in ("", "#"):
        end -= 1
    start = header - 1 if header > 1 and not lines[header - 2].strip() else header
    return range(start, end + 1)


def _in_place(text: str, path: Keys, value: Any) -> Iterator[str]:
    try:
        document = tomlkit.parse(text)
        _put(document, path, value)
        yield document.as_string()
    except (TOMLKitError, RecursionError):
        return


def _headers(lines: Sequence[str]) -> Iterator[tuple[int, Keys]]:
    """The lines (from 1) that look like a table's header. In a string of many lines one may look so and be none."""
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("["):
            try:
                yield number, _only_path(load_toml(line))
            except ValueError:
                continue


def _only_path(table: Any) -> Keys:
    path: Keys = ()
    while isinstance(table, Mapping) and table:
        key = next(iter(table))
        path, table = (*path, key), table[key]
    return path


def _put(tables: MutableMapping[str, Any], path: Keys, value: Any) -> None:
    """Sets a value in nested tables, which are made where there are none."""
    *parents, last = path
    for number, key in enumerate(parents):
        if key not in tables:
            if value is not REMOVED:
                tables[key] = _nested(path[number + 1 :], value)
            return
        tables = tables[key]
        if not isinstance(tables, MutableMapping):
            raise NotAccepted(f"{'.'.join(path[: number + 1])} is not a table")
    if value is REMOVED:
        tables.pop(last, None)
    else:
        tables[last] = value


def _without_empty(value: Any) -> Any:
    """An empty table says nothing. Whether one is left, where the last value went, is a matter of layout."""
    if not isinstance(value, Mapping):
        return value
    inner = {key: _without_empty(entry) for key, entry in value.items()}
    return {key: entry for key, entry in inner.items() if entry != {}}


def _nested(path: Keys, value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value
