"""How a JSON text is laid out, so that what is added to it looks like what is there."""

from __future__ import annotations

import json
from typing import Any

from gpuctl.engines.json.text import JsonKind, Node
from gpuctl.engines.spans import newline, replaced
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_LINE_END = regex(r"\r\n|\n|\r")
_USUAL_INDENT = " " * 4


@dataclass(frozen=True)
class Layout:
    """`newline` is the line end, `indent` one level's white space, `colon` the colon with the space around it."""

    text: str
    newline: str
    indent: str
    colon: str
    lines: bool
    """Whether the document's keys stand on lines of their own."""

    @classmethod
    def of(cls, text: str, root: Node) -> Layout:
        if not root.members:
            return cls(text, newline(text), _USUAL_INDENT, ": ", lines=True)
        first = root.members[0]
        space, colon = text[root.start + 1 : first.start], text[first.end : first.value.start]
        lines = bool(_LINE_END.search(space))
        indent = _after_line_end(space) if lines else _USUAL_INDENT
        return cls(text, newline(text), indent, ": " if _LINE_END.search(colon) else colon, lines)

    @property
    def gap(self) -> str:
        """The space after a comma on one line."""
        return " " if self.colon.endswith(" ") else ""

    def insert(self, container: Node, key: str, value: Any) -> str:
        """Returns the text with a member added at the end of an object."""
        lead = self._lead(container)
        added = f"{lead}{json.dumps(key)}{self.colon}{self._value(value, lead)}"
        if container.members:
            end = container.members[-1].value.end
            return replaced(self.text, [(end, end, "," + added)])
        close = self.newline + self._indent_at(container.start) if lead else ""
        return replaced(self.text, [(container.start, container.end, "{" + added + close + "}")])

    def replace(self, node: Node, value: Any) -> str:
        """Returns the text with another value in a node's place, on as many lines as that had."""
        had_lines = bool(_LINE_END.search(self.text, node.start, node.end))
        lines = had_lines if node.kind is JsonKind.OBJECT else self.lines
        lead = self.newline + self._indent_at(node.start) if lines else ""
        return replaced(self.text, [(node.start, node.end, self._value(value, lead))])

    def remove(self, container: Node, key: str) -> str:
        """Returns the text without a member of an object, and without the comma and the space that parted it."""
        place = next(index for index, member in enumerate(container.members) if member.key == key)
        gone, rest = container.members[place], container.members[place + 1 :]
        if place:
            return replaced(self.text, [(container.members[place - 1].value.end, gone.value.end, "")])
        if rest:
            return replaced(self.text, [(gone.start, rest[0].start, "")])
        return replaced(self.text, [(container.start, container.end, "{}")])

    def _lead(self, container: Node) -> str:
        """The white space before a new member: that before the last one, reduced to one line end."""
        if not container.members:
            return self.newline + self._indent_at(container.start) + self.indent if self.lines else ""
        *before, last = container.members
        start = before[-1].value.end if before else container.start + 1
        space = self.text[start : last.start].rpartition(",")[2]
        if _LINE_END.search(space):
            return self.newline + _after_line_end(space)
        return space if before else self.gap

    def _value(self, value: Any, lead: str) -> str:
        if not _LINE_END.match(lead):
            return json.dumps(value, separators=("," + self.gap, self.colon))
        return json.dumps(value, indent=self.indent, separators=(",", self.colon)).replace("\n", lead)

    def _indent_at(self, position: int) -> str:
        """The white space at the start of the line of a position."""
        line = _after_line_end(self.text[:position])
        return line[: len(line) - len(line.lstrip(" \t"))]


def _after_line_end(text: str) -> str:
    return text[max(text.rfind("\n"), text.rfind("\r")) + 1 :]
