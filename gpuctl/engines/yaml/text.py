"""A YAML file as a text of which single keys and list items change: every other character stays as it is written.

Afterwards both texts are parsed: where the new one differs from the old one in more than what was wished, nothing is
done. ruamel.yaml's own round trip is no edit: it aligns, re-indents and decodes what it was not asked about.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from gpuctl.engines.spans import replaced
from gpuctl.engines.yaml.layout import Layout, Unclear
from gpuctl.engines.yaml.places import NotAccepted, YamlKind, YamlNode, line_of, parse, walk
from gpuctl.engines.yaml.spelling import Tagged, scalar
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class Removal:
    """An entry of a mapping or list that goes.

    What is left without entries goes too, but for a document's root and what is to be kept.
    """

    holder: YamlNode
    index: int


@dataclass(frozen=True)
class Addition:
    """An entry that comes last in a mapping, under a key, or in a list, where `key` is None."""

    holder: YamlNode
    key: str | None
    value: Any


@dataclass(frozen=True)
class Replacement:
    """Another entry in the place of one: of a mapping under this key, of a list where `key` is None."""

    holder: YamlNode
    index: int
    key: str | None
    value: Any


Edit = Removal | Addition | Replacement


def edited(text: str, documents: Sequence[YamlNode], edits: Iterable[Edit], kept: Collection[YamlNode] = ()) -> str:
    """Returns the text with these edits made, and nothing else: `documents` is what `parse` gave of it.

    What is left without entries of `kept` stays. Raises NotAccepted where that cannot be had, as in a key written with
    `?`.
    """
    plan = _Plan(documents, edits, kept)
    layout = Layout.of(text, documents)
    try:
        new = replaced(text, [span for holder in plan.touched() for span in layout.spans(holder, *plan.of(holder))])
        wished = [_meaning(root, plan, layout) for root in documents]
        nothing = _Plan((), ())
        done = [_meaning(root, nothing, layout) for root in parse(new)] == wished
    except (Unclear, NotAccepted):
        done = False
    if not done:
        first = min((holder.start for holder in plan.touched()), default=0)
        raise NotAccepted("gpuctl cannot change this without changing more than that", line_of(text, first))
    return new


def below(text: str, documents: Sequence[YamlNode], key: str) -> str:
    """Returns the text with its one mapping under a key: a line comes, and the lines below are indented.

    Raises NotAccepted where more than that would change, as where a text's lines say something by their indentation.
    """
    (root,) = documents
    layout, nothing = Layout.of(text, documents), _Plan((), ())
    start = layout.lines.start(root.start)
    indent = " " * layout.style.step
    body = "".join(indent + line if line.strip() else line for line in text[start:].splitlines(keepends=True))
    new = f"{text[:start]}{scalar(key, layout.style)}:{layout.style.newline}{body}"
    said = [_meaning(node, nothing, layout) for node in parse(new)]
    wished = YamlKind.MAPPING, "", "", [(_said(key, layout), _meaning(root, nothing, layout))]
    if root.flow or said != [wished]:
        raise NotAccepted(f"gpuctl cannot put this below {key} without changing more than that", 1)
    return new


class _Plan:
    """The edits by the collection in which they are, those of emptied collections handed to what holds these."""

    def __init__(self, documents: Sequence[YamlNode], edits: Iterable[Edit], kept: Collection[YamlNode] = ()) -> None:
        self._kept = {id(one) for one in kept}
        self._holders: dict[int, YamlNode] = {}
        self._gone: dict[int, set[int]] = defaultdict(set)
        self._new: dict[int, list[Addition]] = defaultdict(list)
        self._other: dict[int, dict[int, Replacement]] = defaultdict(dict)
        for edit in edits:
            self._holders[id(edit.holder)] = edit.holder
            if isinstance(edit, Removal):
                self._gone[id(edit.holder)].add(edit.index)
            elif isinstance(edit, Addition):
                self._new[id(edit.holder)].append(edit)
            else:
                self._other[id(edit.holder)][edit.index] = edit
        above = {
            id(node): (holder, index)
            for root in documents
            for holder in walk(root)
            for index, node in enumerate(holder.items)
        }
        for holder in sorted(self._holders.values(), key=lambda holder: -holder.start):
            self._empty(holder, above)

    def _empty(self, holder: YamlNode, above: Mapping[int, tuple[YamlNode, int]]) -> None:
        while id(holder) in above and not holder.anchor and self._is_emptied(holder):
            self._holders.pop(id(holder), None)
            holder, index = above[id(holder)]
            self._holders[id(holder)] = holder
            self._gone[id(holder)].add(index)

    def _is_emptied(self, holder: YamlNode) -> bool:
        is_empty = len(self._gone[id(holder)]) == len(holder.items) > 0 and not self._new[id(holder)]
        return is_empty and id(holder) not in self._kept

    def touched(self) -> list[YamlNode]:
        """The collections in which something is edited, without those below one that goes as a whole."""
        gone = sorted(
            (
                (one.items[index].start, one.items[index].end)
                for one in self._holders.values()
                for index in self._gone[id(one)]
            ),
            reverse=True,
        )
        kept, end = [], -1
        for holder in sorted(self._holders.values(), key=lambda holder: (holder.start, -holder.end)):
            while gone and gone[-1][0] <= holder.start:
                end = max(end, gone.pop()[1])
            if holder.end > end or holder.start >= end:
                kept.append(holder)
        return kept

    def of(self, holder: YamlNode) -> tuple[set[int], list[Addition], dict[int, Replacement]]:
        """What goes, what comes, and what is replaced in a collection."""
        return (
            self._gone.get(id(holder), set()),
            self._new.get(id(holder), []),
            self._other.get(id(holder), {}),
        )


def _meaning(node: YamlNode, plan: _Plan, layout: Layout) -> Any:
    """What a node says once it is edited, however it is laid out; the order of entries and the anchors included."""
    if node.kind in (YamlKind.SCALAR, YamlKind.ALIAS):
        spelled = "" if node.kind is YamlKind.ALIAS or not node.is_plain else "plain"
        return node.kind, node.anchor, node.tag or spelled, node.value
    gone, new, other = plan.of(node)
    entries = [
        (_said(other[index].key, layout), _said(other[index].value, layout))
        if index in other
        else (_meaning(node.keys[index], plan, layout) if node.keys else None, _meaning(item, plan, layout))
        for index, item in enumerate(node.items)
        if index not in gone
    ]
    entries += [(_said(one.key, layout), _said(one.value, layout)) for one in new]
    return node.kind, node.anchor, node.tag, entries


def _said(value: Any, layout: Layout) -> Any:
    """What a value says that is not written yet; a list's item has None for a key."""
    tag, value = (value.tag, value.value) if isinstance(value, Tagged) else ("", value)
    if value is None:
        return None
    if isinstance(value, Mapping):
        entries = [(_said(key, layout), _said(each, layout)) for key, each in value.items()]
        return YamlKind.MAPPING, "", tag, entries
    if isinstance(value, (list, tuple)):
        return YamlKind.SEQUENCE, "", tag, [(None, _said(each, layout)) for each in value]
    is_text = isinstance(value, str)
    spelled = "" if scalar(value, layout.style).startswith('"') else "plain"
    return YamlKind.SCALAR, "", tag or spelled, value if is_text else scalar(value, layout.style)
