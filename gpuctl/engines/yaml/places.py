"""Where a YAML text has its keys, values and list items: what an edit needs that must leave every other byte.

ruamel.yaml reads the text (https://yaml.org/spec/1.2.2/), and its events say from which character to which each node
lies. Nothing is resolved: an alias is a leaf that names its anchor, `<<` a key like others, a number its letters.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from gpuctl.bounds import amount

SIZE_LIMIT = 1 << 20
"""Bytes. A Compose file of a thousand lines has 30 KB; ruamel.yaml reads a megabyte in two seconds and more."""
DEPTH_LIMIT = 100
EVENTS_LIMIT = 150_000
"""Starts and ends of what a text is made of: a megabyte of manifests has some 80,000, one of mere keys 660,000."""
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_LINE_END = re.compile(r"\r\n|\n|\r")
_NO_KEY = "could not find expected ':'"
_TABS = re.compile(r"(?<=\S) *\t[ \t]*(?=[#\r\n]|$)|(?<=[:,?\[{-]) *\t[ \t]*")
"""Tabs that part, which YAML allows and ruamel.yaml refuses (https://yaml.org/spec/1.2.2/#62-separation-spaces)."""
_COLON = re.compile(r"\s*:")
_PROPERTIES = re.compile(r"(?:[&!][^\s,\[\]{}]*|[ \t\r\n]+|(?<=\s)#[^\r\n]*)*")


class YamlKind(Enum):
    """What a node is."""

    MAPPING = "a mapping"
    SEQUENCE = "a list"
    SCALAR = "a scalar"
    ALIAS = "an alias"


class NotAccepted(ValueError):
    """A document that gpuctl does not edit: what is wrong with it, and at which line (from 1), 0 where that is open.

    `path` is the file, "" where the one is meant that was handed over.
    """

    def __init__(self, message: str, line: int = 0, path: str = "") -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message, self.line, self.path = message, line, path

    def at(self, path: str) -> str:
        """Returns what is wrong, with file and line."""
        place = self.path or path
        return f"{place}:{self.line}: {self.message}" if self.line else f"{place}: {self.message}"


@dataclass(frozen=True, slots=True, eq=False)
class YamlNode:
    """A value and its place, anchor and tag included. A block collection ends where its last entry does.

    `value` is a scalar's text, or the anchor that an alias names; `style` the character that opens a scalar, "" for a
    plain one; `keys` are a mapping's, each with the value of the same number in `items`.
    """

    kind: YamlKind
    start: int
    end: int
    value: str = ""
    tag: str = ""
    anchor: str = ""
    style: str = ""
    flow: bool = False
    keys: tuple[YamlNode, ...] = ()
    items: tuple[YamlNode, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether this is a scalar without quotes or a tag, which may be a number, a boolean or null."""
        return self.kind is YamlKind.SCALAR and not self.style and not self.tag

    @property
    def is_null(self) -> bool:
        """Whether this is a key's value that is not there."""
        return self.is_plain and self.value in ("", "~", "null", "Null", "NULL")


@dataclass(slots=True)
class _Open:
    """A collection of which the end has not been read."""

    event: Any
    nodes: list[YamlNode] = field(default_factory=list)


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes spell its text: an optional byte order mark, then the text in a Unicode encoding."""

    name: str
    bom: bytes

    def encode(self, text: str) -> bytes:
        """Returns the bytes of a text, byte order mark included."""
        return self.bom + text.encode(self.name)


def decode(raw: bytes) -> tuple[str, Encoding]:
    """Returns the text and its encoding. Raises NotAccepted for bytes that are none, or more than gpuctl reads."""
    if len(raw) > SIZE_LIMIT:
        raise NotAccepted(f"it is larger than {amount(SIZE_LIMIT)}, which no file of this kind is")
    bom, name = next((known for known in _BOMS if raw.startswith(known[0])), (b"", "utf-8"))
    body = raw[len(bom) :]
    try:
        return body.decode(name), Encoding(name, bom)
    except UnicodeDecodeError as error:
        line = len(_LINE_END.findall(body[: error.start].decode(name, "replace"))) + 1
        raise NotAccepted(f"not valid {name.upper()}: is it a text at all?", line) from None


class Lines:
    """Where the lines of a text start."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in _LINE_END.finditer(text))]
        self._end = len(text)

    def number(self, position: int) -> int:
        """Returns the line (from 1) of a position."""
        return bisect_right(self._starts, position)

    def start(self, position: int) -> int:
        """Returns where the line of a position starts."""
        return self._starts[self.number(position) - 1]

    def end(self, position: int) -> int:
        """Returns where the next line starts, this one where it starts here; the text's end where none does."""
        if position == self.start(position) and position:
            return position
        number = self.number(position)
        return self._starts[number] if number < len(self._starts) else self._end


def line_of(text: str, position: int) -> int:
    """Returns the line (from 1) of a position."""
    return Lines(text).number(position)


def parse(text: str) -> tuple[YamlNode, ...]:
    """Returns the documents of a text. Raises NotAccepted for what is no YAML, or has a key twice in one mapping.

    services:
      web: {image: "nginx", ports: ["80:80"]}
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    # As many blanks as there were tabs: no place moves. A scalar that had such tabs reads with blanks, before as after.
    text = _TABS.sub(lambda found: " " * len(found[0]), text)
    try:
        return tuple(_documents(text, YAML(typ="base", pure=True).parse(text)))
    except MarkedYAMLError as error:
        reason = " ".join(str(error.problem or error.context).split())
        first, second = error.problem_mark, error.context_mark
        # A line that is no key and value is found out on the next one.
        mark = second or first if reason == _NO_KEY else first or second
        raise NotAccepted(f"not valid YAML: {reason}", line_of(text, mark.index) if mark else 0) from None
    except ReaderError as error:
        raise NotAccepted("it has a character that no YAML holds", line_of(text, error.position)) from None
    except NotAccepted:
        raise
    except Exception as error:  # what a hostile text makes of the reader is not always a YAMLError
        raise NotAccepted(f"not valid YAML: {type(error).__name__}") from None


def walk(root: YamlNode) -> Iterator[YamlNode]:
    """Yields a node and all below it, in the order of the text."""
    rest = [root]
    while rest:
        node = rest.pop()
        yield node
        if node.keys:
            rest += [each for pair in zip(node.keys, node.items, strict=True) for each in pair][::-1]
        else:
            rest += node.items[::-1]


def content_start(text: str, node: YamlNode) -> int:
    """Returns where a node begins behind its anchor and tag."""
    if not node.anchor and not node.tag:
        return node.start
    found = _PROPERTIES.match(text, node.start)
    return found.end() if found else node.start


def _documents(text: str, events: Iterator[Any]) -> Iterator[YamlNode]:
    from ruamel.yaml import events as kinds

    stack: list[_Open] = [_Open(None)]
    for number, event in enumerate(events):
        if number > EVENTS_LIMIT:
            raise NotAccepted(
                "it has more keys and values than any file of this kind", line_of(text, event.start_mark.index)
            )
        if isinstance(event, kinds.ScalarEvent):
            stack[-1].nodes.append(_scalar(text, event))
        elif isinstance(event, (kinds.MappingStartEvent, kinds.SequenceStartEvent)):
            if len(stack) > DEPTH_LIMIT:
                line = line_of(text, event.start_mark.index)
                raise NotAccepted(f"it is nested more than {DEPTH_LIMIT} levels deep", line)
            stack.append(_Open(event))
        elif isinstance(event, (kinds.MappingEndEvent, kinds.SequenceEndEvent)):
            done = stack.pop()
            stack[-1].nodes.append(_collection(text, done, event))
        elif isinstance(event, kinds.AliasEvent):
            place = event.start_mark.index, event.end_mark.index
            stack[-1].nodes.append(YamlNode(YamlKind.ALIAS, *place, value=event.anchor))
        elif isinstance(event, kinds.DocumentEndEvent):
            yield stack[-1].nodes.pop()


def _scalar(text: str, event: Any) -> YamlNode:
    start, end, style = event.start_mark.index, event.end_mark.index, event.style or ""
    if style and style in "|>":  # it is read to the start of what comes next
        keeps = "+" in _LINE_END.split(text[start:end], maxsplit=1)[0]
        end = end if keeps else start + len(text[start:end].rstrip())
    return YamlNode(YamlKind.SCALAR, start, end, event.value, str(event.tag or ""), event.anchor or "", style)


def _collection(text: str, done: _Open, end: Any) -> YamlNode:
    from ruamel.yaml.events import MappingStartEvent

    event, nodes = done.event, tuple(done.nodes)
    is_mapping = isinstance(event, MappingStartEvent)
    bracketed = bool(event.flow_style) and end.end_mark.index > end.start_mark.index
    keys, items = (nodes[::2], _values(text, nodes)) if is_mapping else ((), nodes)
    stop = end.end_mark.index if bracketed or not items else items[-1].end
    if is_mapping:
        _check_keys(text, keys)
    return YamlNode(
        YamlKind.MAPPING if is_mapping else YamlKind.SEQUENCE,
        event.start_mark.index,
        stop,
        tag=str(event.tag or ""),
        anchor=event.anchor or "",
        flow=bool(event.flow_style),
        keys=keys,
        items=items,
    )


def _values(text: str, nodes: tuple[YamlNode, ...]) -> tuple[YamlNode, ...]:
    """The values of a mapping; one that is not there stands behind its colon, and not where the next key starts."""
    values = []
    for key, value in zip(nodes[::2], nodes[1::2], strict=True):
        colon = _COLON.match(text, key.end) if value.start == value.end else None
        values.append(replace(value, start=colon.end(), end=colon.end()) if colon else value)
    return tuple(values)


def _check_keys(text: str, keys: tuple[YamlNode, ...]) -> None:
    seen: set[tuple[YamlKind, str]] = set()
    for key in keys:
        if key.kind not in (YamlKind.SCALAR, YamlKind.ALIAS):
            continue
        name = (key.kind, key.value)
        if name in seen:
            raise NotAccepted(f"the key {key.value!r} stands here a second time", line_of(text, key.start))
        seen.add(name)
