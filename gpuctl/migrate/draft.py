"""A YAML file that is being rewritten: what was read, and the edits with their reasons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gpuctl.engines.spans import newline
from gpuctl.engines.yaml.places import Encoding, Lines, NotAccepted, YamlNode, decode, parse
from gpuctl.engines.yaml.spelling import Quoted, Style, inline, member
from gpuctl.engines.yaml.text import Addition, Edit, Removal, Replacement, edited
from gpuctl.frozen import dataclass
from gpuctl.migrate.migration import Change, Left, Migration
from gpuctl.migrate.tree import Place, YamlFile


@dataclass(frozen=True)
class FileText:
    """A file as it was read."""

    path: str
    text: str
    encoding: Encoding
    documents: tuple[YamlNode, ...]


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Has what is refused in the body say in which file that is."""
    try:
        yield
    except NotAccepted as error:
        raise NotAccepted(error.message, error.line, error.path or path) from None


def source(path: str, raw: bytes) -> FileText:
    """Returns what a file holds. Raises NotAccepted."""
    with naming(path):
        text, encoding = decode(raw)
        return FileText(path, text, encoding, parse(text))


class Draft:
    """The edits of one file, as they come together."""

    def __init__(self, read: FileText) -> None:
        self.source = read
        self._lines, self._newline = Lines(read.text), newline(read.text)
        self.tree = YamlFile(read.documents, self._lines)
        self._edits: dict[tuple[int, int], Edit] = {}
        self._added: list[Addition] = []
        self._changes: list[Change] = []
        self._kept: list[YamlNode] = []
        self._left: dict[tuple[str, str, int | None], Left] = {}

    def line(self, node: YamlNode) -> int:
        """Returns the line (from 1) on which a node starts."""
        return self._lines.number(node.start)

    def remove(self, place: Place, why: str) -> None:
        """Takes an entry away, once however often that is asked."""
        key = (id(place.holder), place.index)
        if key not in self._edits:
            self._edits[key] = Removal(place.holder, place.index)
            self._changes.append(Change(self._shown(place), "", why, self.line(_first(place))))

    def replace(self, place: Place, key: str | None, value: Any, why: str) -> None:
        """Puts another entry in the place of one; `key` is None in a list."""
        at = (id(place.holder), place.index)
        if isinstance(value, str) and self.source.text.startswith(("'", '"'), place.written.start):
            value = Quoted(value)
        if at not in self._edits:
            self._edits[at] = Replacement(place.holder, place.index, key, value)
            self._changes.append(Change(self._shown(place), _spelled(key, value), why, self.line(_first(place))))

    def add(self, holder: YamlNode, key: str | None, value: Any, why: str) -> None:
        """Puts an entry behind the last one of a mapping, or of a list, where `key` is None."""
        if not any(one.holder is holder and (one.key, one.value) == (key, value) for one in self._added):
            self._added.append(Addition(holder, key, value))
            self._changes.append(Change("", _spelled(key, value), why, self.line(holder)))

    def keep(self, node: YamlNode) -> None:
        """Has a collection stay where all its entries go: others speak of it."""
        self._kept.append(node)

    def leave(self, node: YamlNode, why: str, text: str | None = None) -> None:
        """Says what stays as it is."""
        text = " ".join((self.source.text[node.start : node.end] if text is None else text).split())
        left = Left(text if len(text) <= 80 else f"{text[:79]}…", why, self.line(node))
        self._left.setdefault((left.text, left.why, left.line), left)

    def is_removed(self, place: Place) -> bool:
        """Returns whether an entry goes."""
        return isinstance(self._edits.get((id(place.holder), place.index)), Removal)

    def migration(self) -> Migration:
        """Returns the file before and after. Raises NotAccepted where an edit cannot be made alone."""
        before = self.source.text
        edits = [*self._edits.values(), *self._added]
        after = edited(before, self.source.documents, edits, self._kept) if edits else before
        changes = sorted(self._changes, key=lambda change: change.line or 0)
        left = sorted(self._left.values(), key=lambda one: one.line or 0)
        return Migration(before, after, tuple(changes), tuple(left))

    def _shown(self, place: Place) -> str:
        return self.source.text[_first(place).start : place.written.end].replace(self._newline, "\n")


def _spelled(key: str | None, value: Any) -> str:
    return inline(value, Style("\n")) if key is None else member(key, value, 0, Style("\n"))


def _first(place: Place) -> YamlNode:
    return place.holder.keys[place.index] if place.holder.keys else place.written
