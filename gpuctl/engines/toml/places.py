"""Where a TOML text has its tables, keys, values and comments: what an edit needs that must leave every other byte.

For text that a parser has found valid (https://toml.io/en/v1.0.0): nothing is judged here. Line ends and a last comma
in inline tables, which 1.1 allows, are no trouble.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from gpuctl.documents import load_toml
from gpuctl.engines.merge import Keys

_BLANKS = re.compile(r"[ \t]*")
_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"#[^\r\n]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""[^"\\]*(?:(?:\\[\s\S]|"{1,2}(?!"))[^"\\]*)*"{3,5}'
    r"|'''[\s\S]*?'{3,5}"
    r'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
    r"|'[^'\n]*'"
)
_PLAIN = re.compile(r"\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]+|[^\s,\]}#]+")
"""A number, a boolean or a date. A blank may stand between a date and its time."""


class TomlKind(Enum):
    """What a value is, as far as an edit has to know."""

    STRING = "string"
    ARRAY = "array"
    TABLE = "inline table"
    PLAIN = "number, boolean or date"


class Lost(Exception):
    """What stands at a place is none of what TOML has there: `position` of it."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


@dataclass(frozen=True, slots=True)
class Value:
    """A value's place. `entries` of an array or an inline table, in their order."""

    kind: TomlKind
    start: int
    end: int
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A key with its value, or an array's item, which has no `keys`. More than one key: dotted ones.

    `start` is the first key's place, `comma` that of the comma behind the value, -1 where there is none.
    """

    keys: Keys
    start: int
    value: Value
    comma: int = -1


@dataclass(frozen=True, slots=True)
class Section:
    """A header, whose brackets are at `start` to `end`, and the entries below it. The first section has no header."""

    path: Keys
    start: int
    end: int
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Places:
    """All of a text. `comments` are (start, end) from the # to the end of its line."""

    sections: tuple[Section, ...]
    comments: tuple[tuple[int, int], ...]


Holder = Section | Value
"""What entries stand in: the part below a header, or an inline table."""


def places(text: str) -> Places:
    """Returns where all stands in a valid document. Raises Lost, for what is not valid too.

    title = "x"              # a comment
    [servers]
    alpha.ports = [8001, 8002]
    beta = { role = "backend" }
    """
    return _Reader(text).document()


def walk(root: Places) -> Iterator[tuple[Keys, Holder, Keys, Entry]]:
    """Yields each entry: the keys that lead to what holds it, that, all keys that lead to its value, and itself.

    An array's items have the keys of the array, and so have, by their headers, the tables of an array.
    """
    rest: list[tuple[Keys, Holder, Entry]] = [
        (section.path, section, entry) for section in reversed(root.sections) for entry in reversed(section.entries)
    ]
    while rest:
        above, holder, entry = rest.pop()
        path = above + entry.keys
        yield above, holder, path, entry
        rest += [(path, entry.value, inner) for inner in reversed(entry.value.entries)]


class _Reader:
    """Reads from left to right; `position` is the first character that has not been read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.comments: list[tuple[int, int]] = []

    def document(self) -> Places:
        sections = [Section((), 0, 0)]
        while next_ := self._next():
            if next_ == "[":
                sections.append(self._header())
            else:
                sections[-1].entries.append(self._pair())
        return Places(tuple(sections), tuple(self.comments))

    def _header(self) -> Section:
        start = self.position
        brackets = 2 if self.text.startswith("[[", start) else 1
        self.position += brackets
        path = self._keys()
        self._take("]" * brackets)
        return Section(path, start, self.position)

    def _pair(self) -> Entry:
        start = self.position
        keys = self._keys()
        self._take("=")
        self._match(_BLANKS)
        return Entry(keys, start, self._value())

    def _keys(self) -> Keys:
        keys = [self._key()]
        while self.text.startswith(".", self.position):
            self.position += 1
            keys.append(self._key())
        return tuple(keys)

    def _key(self) -> str:
        self._match(_BLANKS)
        quoted = self.text.startswith(('"', "'"), self.position)
        key = self._match(_STRING if quoted else _BARE)
        self._match(_BLANKS)
        if "\\" in key and key[0] == '"':
            return next(iter(load_toml(f"{key} = 0")))
        return key[1:-1] if quoted else key

    def _value(self) -> Value:
        start = self.position
        match self.text[start : start + 1]:
            case "[":
                kind, entries = TomlKind.ARRAY, self._entries("]")
            case "{":
                kind, entries = TomlKind.TABLE, self._entries("}")
            case '"' | "'":
                self._match(_STRING)
                kind, entries = TomlKind.STRING, ()
            case _:
                self._match(_PLAIN)
                kind, entries = TomlKind.PLAIN, ()
        return Value(kind, start, self.position, entries)

    def _entries(self, close: str) -> tuple[Entry, ...]:
        self.position += 1
        entries = []
        while self._next() != close:
            start = self.position
            read = self._pair() if close == "}" else Entry((), start, self._value())
            comma = self._next() == ","
            entries.append(Entry(read.keys, start, read.value, self.position if comma else -1))
            self.position += comma
        self.position += 1
        return tuple(entries)

    def _next(self) -> str:
        """Skips white space and comments. Returns the character there, "" at the end."""
        self._match(_SPACE)
        while self.text.startswith("#", self.position):
            start = self.position
            self._match(_COMMENT)
            self.comments.append((start, self.position))
            self._match(_SPACE)
        return self.text[self.position : self.position + 1]

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.position)
        if found is None:
            raise Lost(self.position)
        self.position = found.end()
        return found.group()

    def _take(self, mark: str) -> None:
        if not self.text.startswith(mark, self.position):
            raise Lost(self.position)
        self.position += len(mark)
