"""How entries are put into a YAML text, and taken out, in the way in which their mapping or list is written there.

Whatever is done here is looked at by a parser afterwards (text.py), so nothing is judged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

from gpuctl.engines.spans import Span, newline
from gpuctl.engines.yaml.places import Lines, YamlKind, YamlNode, content_start, walk
from gpuctl.engines.yaml.spelling import Style, inline, item, member, scalar
from gpuctl.frozen import dataclass

_LINE_END = re.compile(r"\r\n|\n|\r")
_BEHIND_FLOW = re.compile(r"[ \t]*(,?)[ \t]*(?:(?<=[ \t,])#[^\r\n]*)?(?:\r\n|\n|\r)")
_COMMA = re.compile(r"[ \t\r\n]*,")


class Unclear(Exception):
    """Where something starts cannot be told."""


class Entry(Protocol):
    """A key, None in a list, and its value, which are to be written."""

    @property
    def key(self) -> str | None: ...
    @property
    def value(self) -> Any: ...


@dataclass(frozen=True)
class Layout:
    """A text, and how new lines of it are written."""

    text: str
    lines: Lines
    style: Style

    @classmethod
    def of(cls, text: str, documents: Sequence[YamlNode]) -> Layout:
        """Returns the layout of a text: by the first mapping in a mapping, and the first list in one."""
        lines = Lines(text)
        plain = cls(text, lines, Style(newline(text)))
        step = next(plain._steps(documents, YamlKind.MAPPING), 2)
        dash = next(plain._steps(documents, YamlKind.SEQUENCE), step)
        first = next((node for root in documents for node in root.keys), None)
        return cls(text, lines, Style(newline(text), step, dash, bool(first and first.style == '"')))

    def _steps(self, documents: Sequence[YamlNode], kind: YamlKind) -> Iterator[int]:
        """By how many columns the collections of that kind are indented in the mappings that hold them."""
        for holder in (node for root in documents for node in walk(root)):
            if holder.kind is YamlKind.MAPPING and not holder.flow:
                inner = (item for item in holder.items if item.kind is kind and item.items and not item.flow)
                yield from (self.column(item) - self.column(holder) for item in inner)

    def spans(
        self, holder: YamlNode, gone: Collection[int], new: Sequence[Entry], other: Mapping[int, Entry]
    ) -> Iterator[Span]:
        """Yields the pieces that change in a collection. Raises Unclear."""
        is_flow = holder.flow or not holder.items
        for index, entry in other.items():
            yield self._instead(holder, index, entry)
        if len(gone) == len(holder.items):
            yield from self._all(holder, new)
            return
        for run in _runs(gone):
            yield from self._flow_run(holder, run) if is_flow else self._block_run(holder, run)
        if new:
            last = max(index for index in range(len(holder.items)) if index not in gone)
            yield self._behind(holder, last, new)

    def column(self, holder: YamlNode) -> int:
        """Returns the column (from 0) of a block collection's keys or dashes."""
        start = self._start(holder, 0)
        return start - self.lines.start(start)

    def _all(self, holder: YamlNode, new: Sequence[Entry]) -> Iterator[Span]:
        """Other entries, or none, in the place of all."""
        if not holder.items:
            written = ", ".join(self._written(holder, entry) for entry in new)
            yield (holder.end - 1, holder.end - 1, written)
            return
        start, end = self._start(holder, 0), holder.items[-1].end
        if new:
            between = ", " if holder.flow else self.style.newline + " " * self.column(holder)
            yield (start, end, between.join(self._written(holder, entry) for entry in new))
        elif holder.flow:
            comma = _COMMA.match(self.text, end)
            yield (start, comma.end() if comma else end, "")
        else:
            empty = "{}" if holder.kind is YamlKind.MAPPING else "[]"
            place = holder.start + len(self.text[holder.start : content_start(self.text, holder)].rstrip())
            if place > holder.start:  # behind the anchor, on its line
                yield (place, place, f" {empty}")
                yield from self._block_run(holder, range(len(holder.items)))
            else:
                yield (start, end, empty)

    def _instead(self, holder: YamlNode, index: int, entry: Entry) -> Span:
        """Another entry in the place of one; a list's dash stays, and what is between it and the item."""
        start, end = holder.items[index].start, holder.items[index].end
        if holder.keys:
            return (holder.keys[index].start, end, self._written(holder, entry))
        lead = " " if self.text[start - 1 : start] == "-" else ""
        return (start, end, lead + inline(entry.value, self.style))

    def _behind(self, holder: YamlNode, last: int, new: Sequence[Entry]) -> Span:
        """New entries behind the one of that number."""
        end, written = holder.items[last].end, [self._written(holder, entry) for entry in new]
        if holder.flow:
            start = self._start(holder, last)
            own_line = last > 0 and self._is_blank_before(start)
            lead = self.style.newline + self.text[self.lines.start(start) : start] if own_line else " "
            return (end, end, "".join(f",{lead}{one}" for one in written))
        place, indent = self.lines.end(end), " " * self.column(holder)
        lines = [f"{indent}{one}" for one in written]
        if place and not _LINE_END.search(self.text[place - 1 : place]):
            return (place, place, "".join(f"{self.style.newline}{line}" for line in lines))
        return (place, place, "".join(f"{line}{self.style.newline}" for line in lines))

    def _written(self, holder: YamlNode, entry: Entry) -> str:
        if holder.flow or not holder.items:
            head = "" if entry.key is None else f"{scalar(entry.key, self.style)}: "
            return head + inline(entry.value, self.style)
        if entry.key is None:
            return item(entry.value, self.column(holder), self.style)
        return member(entry.key, entry.value, self.column(holder), self.style)

    def _block_run(self, holder: YamlNode, run: Sequence[int]) -> Iterator[Span]:
        """The lines of entries that go; where the first stands behind a dash, what follows it takes its place."""
        first, last = run[0], run[-1]
        start, end = self._start(holder, first), holder.items[last].end
        if self._is_blank_before(start):
            for index in run:
                here = self._start(holder, index)
                yield (self.lines.start(here), self.lines.end(holder.items[index].end), "")
        elif last + 1 < len(holder.items) and not self.text[end : self._start(holder, last + 1)].strip():
            yield (start, self._start(holder, last + 1), "")
        else:
            yield (start, end, "")

    def _flow_run(self, holder: YamlNode, run: Sequence[int]) -> Iterator[Span]:
        first, last = run[0], run[-1]
        start, end = self._start(holder, first), holder.items[last].end
        before = holder.items[first - 1].end if first else start
        behind = _BEHIND_FLOW.match(self.text, end)
        is_last = last + 1 == len(holder.items)
        if is_last and first and "#" not in self.text[before:start]:
            yield (before, end, "")
        elif self._is_blank_before(start) and behind and (behind[1] or is_last):
            yield (self.lines.start(start), behind.end(), "")
        elif not is_last and "#" not in self.text[end : self._start(holder, last + 1)]:
            yield (start, self._start(holder, last + 1), "")
        else:
            comma = _COMMA.match(self.text, end)
            yield (start, comma.end() if comma else end, "")

    def _start(self, holder: YamlNode, index: int) -> int:
        """Where an entry starts: its key, its dash in a block sequence, itself in brackets."""
        if holder.keys:
            return holder.keys[index].start
        if holder.flow or not holder.items:
            return holder.items[index].start if holder.items else holder.start
        return self._dash(holder, index)

    def _dash(self, holder: YamlNode, index: int) -> int:
        """All dashes of a block sequence stand in one column, each before its item and behind the one before."""
        first = content_start(self.text, holder)
        if self.text[first : first + 1] != "-":
            raise Unclear
        column, place = first - self.lines.start(first), holder.items[index].start
        least = holder.items[index - 1].end if index else first
        while place >= least:
            start = self.lines.start(place)
            dash = start + column
            if least <= dash <= holder.items[index].start and self.text[dash : dash + 1] == "-":
                return dash
            place = start - 1
        raise Unclear

    def _is_blank_before(self, position: int) -> bool:
        return not self.text[self.lines.start(position) : position].strip(" \t")


def _runs(numbers: Collection[int]) -> Iterator[list[int]]:
    """Yields the numbers in rows without a gap."""
    for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        yield [number for _, number in run]
