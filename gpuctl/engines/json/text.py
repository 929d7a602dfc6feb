"""JSON as a text with places: what an edit needs that must leave every other byte alone.

Accepts what Go's encoding/json accepts (https://pkg.go.dev/encoding/json), which reads daemon.json, with three
exceptions: a key that stands twice in one object, because programs differ about which of the two counts; bytes that
are no Unicode, which Go replaces; and a depth that only a hostile file has.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from gpuctl.regex import regex

MAX_DEPTH = 100
"""Far beyond what any daemon.json holds, far within Python's own limit."""

_SPACE = regex(r"[ \t\r\n]*")
_LINE_END = regex(r"\r\n|\n|\r")
_STRING = regex(r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"')
_NUMBER = regex(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_BOOLEAN = regex(r"true|false")
_NULL = regex(r"null")
_BAD_STRING = "this string is not closed, or holds a character or an escape that JSON does not allow"
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class JsonKind(Enum):
    """What a JSON value is."""

    OBJECT = "an object"
    ARRAY = "an array"
    STRING = "a string"
    NUMBER = "a number"
    BOOLEAN = "a boolean"
    NULL = "null"


class NotAccepted(ValueError):
    """A document that gpuctl does not edit: what is wrong with it, at which line and column (both from 1)."""

    replaceable = False
    """Whether `force` replaces what is wrong."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.message, self.line, self.column = message, line, column

    def at(self, path: str) -> str:
        """Returns what is wrong, with file, line and column."""
        return f"{path}:{self.line}:{self.column}: {self.message}"


@dataclass(frozen=True, slots=True)
class Member:
    """A key of an object and its value; `start` and `end` are the key's place, quotes included."""

    key: str
    start: int
    end: int
    value: Node


@dataclass(frozen=True, slots=True)
class Node:
    """A value and its place in the text. `members` of an object, `items` of an array, in their order."""

    kind: JsonKind
    start: int
    end: int
    members: tuple[Member, ...] = ()
    items: tuple[Node, ...] = ()

    def get(self, key: str) -> Node | None:
        """Returns the value of a key, None when this has no such key."""
        return next((member.value for member in self.members if member.key == key), None)


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes spell its text: an optional byte order mark, then the text in a Unicode encoding."""

    name: str
    bom: bytes

    def encode(self, text: str) -> bytes:
        """Returns the bytes of a text, byte order mark included."""
        return self.bom + text.encode(self.name)


def decode(raw: bytes) -> tuple[str, Encoding]:
    """Returns the text and its encoding: UTF-8, or UTF-16 with a byte order mark, as dockerd from 23.0 on reads it.

    Raises NotAccepted when the bytes are not valid in it.
    """
    bom, name = next((known for known in _BOMS if raw.startswith(known[0])), (b"", "utf-8"))
    body = raw[len(bom) :]
    try:
        return body.decode(name), Encoding(name, bom)
    except UnicodeDecodeError as error:
        before = body[: error.start].decode(name, "replace")
        raise NotAccepted(f"not valid {name.upper()}", *place(before, len(before))) from None


def place(text: str, position: int) -> tuple[int, int]:
    """Returns the line and the column (both from 1) of a position."""
    ends = [match.end() for match in _LINE_END.finditer(text, 0, position)]
    return len(ends) + 1, position - (ends[-1] if ends else 0) + 1


@lru_cache(maxsize=8)  # an install asks for the old text and the new one again and again
def parse(text: str) -> Node:
    """Returns the one value that the text holds. Raises NotAccepted when it is not exactly one JSON value."""
    return _Parser(text).document()


def string(text: str, node: Node) -> str:
    """Returns the value of a string node."""
    value: str = json.loads(text[node.start : node.end])
    return value


def walk(root: Node) -> Iterator[tuple[tuple[str, ...], Node]]:
    """Yields every node with the keys that lead to it; an array's items have the array's keys."""
    rest: list[tuple[tuple[str, ...], Node]] = [((), root)]
    while rest:
        keys, node = rest.pop()
        yield keys, node
        rest += [(keys, item) for item in node.items]
        rest += [((*keys, member.key), member.value) for member in node.members]


class _Parser:
    """Reads from left to right; `position` is the first character that has not been read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def document(self) -> Node:
        root = self._value(0)
        if self._peek():
            raise self._refusal("there is more after the end of the JSON value")
        return root

    def _value(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._refusal(f"nested more than {MAX_DEPTH} levels deep")
        match self._peek():
            case "{":
                return self._object(depth)
            case "[":
                return self._array(depth)
            case '"':
                return self._scalar(JsonKind.STRING, _STRING, _BAD_STRING)
            case "t" | "f":
                return self._scalar(JsonKind.BOOLEAN, _BOOLEAN, "expected a value")
            case "n":
                return self._scalar(JsonKind.NULL, _NULL, "expected a value")
            case _:
                return self._scalar(JsonKind.NUMBER, _NUMBER, "expected a value")

    def _object(self, depth: int) -> Node:
        start = self._take("{")
        members: dict[str, Member] = {}
        if self._peek() != "}":
            self._member(depth, members)
            while self._peek() == ",":
                self._take(",")
                self._member(depth, members)
        self._take("}", "expected `,` or `}`")
        return Node(JsonKind.OBJECT, start, self.position, members=tuple(members.values()))

    def _member(self, depth: int, members: dict[str, Member]) -> None:
        if self._peek() != '"':
            raise self._refusal("expected a key in double quotes")
        name = self._scalar(JsonKind.STRING, _STRING, _BAD_STRING)
        key = string(self.text, name)
        if key in members:
            raise NotAccepted(f"the key {json.dumps(key)} stands here a second time", *place(self.text, name.start))
        self._take(":", "expected `:`")
        members[key] = Member(key, name.start, name.end, self._value(depth + 1))

    def _array(self, depth: int) -> Node:
        start = self._take("[")
        items: list[Node] = []
        if self._peek() != "]":
            items.append(self._value(depth + 1))
            while self._peek() == ",":
                self._take(",")
                items.append(self._value(depth + 1))
        self._take("]", "expected `,` or `]`")
        return Node(JsonKind.ARRAY, start, self.position, items=tuple(items))

    def _scalar(self, kind: JsonKind, pattern: re.Pattern[str], otherwise: str) -> Node:
        found = pattern.match(self.text, self.position)
        if found is None:
            raise self._refusal(otherwise)
        self.position = found.end()
        return Node(kind, found.start(), found.end())

    def _peek(self) -> str:
        """Skips white space. Returns the character there, "" at the end."""
        space = _SPACE.match(self.text, self.position)
        self.position = space.end() if space else self.position
        return self.text[self.position : self.position + 1]

    def _take(self, letter: str, otherwise: str = "") -> int:
        """Reads one punctuation mark. Returns where it stands."""
        if self._peek() != letter:
            raise self._refusal(otherwise)
        self.position += 1
        return self.position - 1

    def _refusal(self, message: str) -> NotAccepted:
        ends = "the text ends here: " if self.position == len(self.text) else ""
        return NotAccepted(ends + message, *place(self.text, self.position))
