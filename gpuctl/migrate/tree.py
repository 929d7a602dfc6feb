"""A YAML document as its readers take it: aliases stand for what they name, and `<<` brings another mapping's keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpuctl.engines.yaml.places import Lines, NotAccepted, YamlKind, YamlNode, walk
from gpuctl.frozen import dataclass

MERGE = "<<"
_MERGES_LIMIT = 100


@dataclass(frozen=True)
class Place:
    """An entry where it is written: in which mapping or list, as which of its entries, and what it says."""

    holder: YamlNode
    index: int
    value: YamlNode
    """What an alias there stands for."""

    @property
    def written(self) -> YamlNode:
        """What stands there, an alias as such."""
        return self.holder.items[self.index]

    @property
    def text(self) -> str:
        """A scalar's text, "" for a mapping or a list."""
        return self.value.value if self.value.kind is YamlKind.SCALAR else ""


class YamlFile:
    """The documents of a file. Raises NotAccepted for an alias that names nothing, or itself."""

    def __init__(self, documents: Sequence[YamlNode], lines: Lines) -> None:
        self._named: dict[int, YamlNode] = {}
        self._chains: dict[int, tuple[YamlNode, ...]] = {}
        self._indexes: dict[int, dict[str, int]] = {}
        for root in documents:
            anchors: dict[str, YamlNode] = {}
            for node in walk(root):
                if node.kind is YamlKind.ALIAS:
                    named = anchors.get(node.value)
                    if named is None or named.start <= node.start < named.end:
                        raise NotAccepted(
                            f"the alias *{node.value} names nothing that stands before it", lines.number(node.start)
                        )
                    self._named[id(node)] = named
                elif node.anchor:
                    anchors[node.anchor] = node

    def resolved(self, node: YamlNode) -> YamlNode:
        """Returns what an alias stands for, any other node as it is."""
        return self._named.get(id(node), node)

    def chain(self, body: YamlNode) -> tuple[YamlNode, ...]:
        """Returns a mapping and those that it merges, in the order in which a key is looked for in them."""
        if id(body) in self._chains:
            return self._chains[id(body)]
        found, rest = {id(body): body}, self._merged(body)
        while rest:
            one = rest.pop(0)
            if id(one) not in found:
                found[id(one)] = one
                rest = self._merged(one) + rest
            if len(found) > _MERGES_LIMIT:
                raise NotAccepted(f"a mapping merges more than {_MERGES_LIMIT} others")
        self._chains[id(body)] = tuple(found.values())
        return self._chains[id(body)]

    def _merged(self, body: YamlNode) -> list[YamlNode]:
        place = self._own(body, MERGE)
        if place is None:
            return []
        named = place.value.items if place.value.kind is YamlKind.SEQUENCE else (place.value,)
        return [one for one in map(self.resolved, named) if one.kind is YamlKind.MAPPING]

    def field(self, body: YamlNode, *path: str) -> Place | None:
        """Returns the entry that the keys lead to, None where there is none."""
        found: Place | None = None
        for key in path:
            if body.kind is not YamlKind.MAPPING:
                return None
            found = next(filter(None, (self._own(one, key) for one in self.chain(body))), None)
            if found is None:
                return None
            body = found.value
        return found

    def fields(self, body: YamlNode) -> dict[str, Place]:
        """Returns all entries of a mapping by their keys, merged ones too."""
        found: dict[str, Place] = {}
        if body.kind is YamlKind.MAPPING:
            for one in self.chain(body):
                for index, key in enumerate(one.keys):
                    if key.value != MERGE:
                        found.setdefault(key.value, Place(one, index, self.resolved(one.items[index])))
        return found

    def entries(self, place: Place | None) -> Iterator[Place]:
        """Yields the items of a list; none where there is no list."""
        if place is not None and place.value.kind is YamlKind.SEQUENCE:
            for index, item in enumerate(place.value.items):
                yield Place(place.value, index, self.resolved(item))

    def _own(self, body: YamlNode, key: str) -> Place | None:
        if id(body) not in self._indexes:
            self._indexes[id(body)] = {name.value: index for index, name in enumerate(body.keys)}
        index = self._indexes[id(body)].get(key)
        return None if index is None else Place(body, index, self.resolved(body.items[index]))
