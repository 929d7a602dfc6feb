"""The one editor of YAML: what is wished changes in whatever way it is spelled, and every other character stays."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.engines.yaml.places import (
    EVENTS_LIMIT,
    SIZE_LIMIT,
    Lines,
    NotAccepted,
    YamlKind,
    YamlNode,
    decode,
    parse,
    walk,
)
from gpuctl.engines.yaml.text import Addition, Edit, Removal, Replacement, edited

KEYS = ["a", "b-c", "d e", '"f: #"', "'g''h'", "1", "é", "&anchor{} k", "n/o.p"]
SCALARS = [
    "x",
    "two words",
    "8080:80",
    "'# no comment'",
    '"a \\t \\u00e9 \\" b"',
    '"tab\there"',
    "'two''s'",
    "12",
    "true",
    "~",
    "",
    "!tag x",
    "&anchor{} y",
    "http://x/#y",
    "plain\n  over lines",
    '"quoted\n\n  over lines"',
    "'single\n  over lines'",
    "|\n  literal # text\n  - no list\n\n",
    "|+\n  kept\n\n",
    ">-\n  folded\n   more\n",
    "|2\n    indented\n",
]
FLOW_SCALARS = [scalar for scalar in SCALARS if scalar[:1] not in ("|", ">") and "\n" not in scalar]
NEW: list[Any] = ["x", "0", "yes", 1, True, ["0", "2"], [], {}, {"k": {"l": ["m"], "n": [{"o": "p"}]}}, [{"q": 1}]]


class Writer:
    """Writes a document in one of the many ways in which YAML can say it; each comment and anchor is a new one."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.number = 0

    def document(self) -> str:
        lines = self.block(0, 3)
        head = self.draw(st.sampled_from([[], ["%YAML 1.1", "---"], ["---"], ["# first", "", "---  # start"]]))
        tail = self.draw(st.sampled_from([[], ["# last"], [""], ["..."]]))
        text = "\n".join([*head, *lines, *tail]) + self.draw(st.sampled_from(["", "\n", "\n\n"]))
        return text.replace("\n", self.draw(st.sampled_from(["\n", "\r\n"])))

    def block(self, depth: int, left: int) -> list[str]:
        """A mapping or a list, in lines that start in column 0."""
        lines: list[str] = []
        is_list = self.draw(st.booleans())
        step = " " * self.draw(st.sampled_from([1, 2, 4, 7]))
        keys = [] if is_list else self.draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True))
        for key in keys or range(self.draw(st.integers(1, 4))):
            lines += self.draw(st.sampled_from([[], [""], [self.comment()], [f"   {self.comment()}", ""]]))
            lines += self.entry("-" if is_list else f"{self.fresh(str(key))}:", step, depth, left, is_list)
        return lines

    def entry(self, head: str, step: str, depth: int, left: int, is_list: bool) -> list[str]:
        way = self.draw(st.sampled_from(["scalar", "scalar", "flow", "block", "compact"] if left else ["scalar"]))
        if way == "block":
            anchor = self.draw(st.sampled_from(["", "", " &anchor{}", " !tag"]))
            return [
                head + self.fresh(anchor) + self.beside(),
                *(step + line for line in self.block(depth + 1, left - 1)),
            ]
        if way == "compact" and is_list:
            inner = self.block(depth + 1, left - 1)
            if inner[0].strip() and not inner[0].lstrip().startswith("#"):
                return [f"- {inner[0]}", *(f"  {line}" for line in inner[1:])]
        text = self.flow(left) if way == "flow" else self.fresh(self.draw(st.sampled_from(SCALARS)))
        first, *rest = text.split("\n")
        beside = self.draw(st.sampled_from(["", "  "])) if rest else self.beside()
        return [f"{head} {first}{beside}", *(step + line if line else line for line in rest)]

    def flow(self, left: int) -> str:
        is_list = self.draw(st.booleans())
        keys = self.draw(st.lists(st.sampled_from(KEYS), max_size=3, unique=True))
        inner = [self.flow(left - 1) if left and self.draw(st.booleans()) else self.flow_scalar() for _ in keys]
        parts = inner if is_list else [f"{self.fresh(key)}: {value}" for key, value in zip(keys, inner, strict=True)]
        blank = self.draw(st.sampled_from(["", " ", "\n  "]))
        between = self.draw(st.sampled_from([", ", ",\n  ", " ,  "]))
        last = self.draw(st.sampled_from(["", ","])) if parts else ""
        return "{["[is_list] + blank + between.join(parts) + last + blank + "}]"[is_list]

    def flow_scalar(self) -> str:
        return self.fresh(self.draw(st.sampled_from(FLOW_SCALARS))) or "z"

    def fresh(self, text: str) -> str:
        self.number += 1
        return text.replace("{}", str(self.number))

    def beside(self) -> str:
        return self.draw(st.sampled_from(["", "  ", f" {self.comment()}"]))

    def comment(self) -> str:
        self.number += 1
        return f"# {self.number}: - [a, {{b: 'c\""


@st.composite
def documents(draw: st.DrawFn) -> str:
    return Writer(draw).document()


def said(node: YamlNode) -> Any:
    """What a node says, as plain values."""
    if node.kind is YamlKind.SCALAR:
        return node.value, node.tag, node.is_plain
    if node.kind is YamlKind.MAPPING:
        return [(said(key), said(item)) for key, item in zip(node.keys, node.items, strict=True)]
    return ["list", *map(said, node.items)]


def without(node: YamlNode, holder: YamlNode, index: int) -> Any:
    """What is left to say when an entry goes, and with it what holds nothing else and has no anchor."""
    if node is holder:
        entries = [each for number, each in enumerate(node.items) if number != index]
        keys = [each for number, each in enumerate(node.keys) if number != index]
        if node.kind is YamlKind.MAPPING:
            return [(said(key), said(item)) for key, item in zip(keys, entries, strict=True)] or None
        return ["list", *map(said, entries)] if entries else None
    parts = [without(item, holder, index) if holder in walk(item) else said(item) for item in node.items]
    kept = [number for number, part in enumerate(parts) if part is not None]
    if not node.items:
        return said(node)
    if node.kind is YamlKind.MAPPING:
        return [(said(node.keys[number]), parts[number]) for number in kept] or None
    return ["list", *(parts[number] for number in kept)] if kept else None


@settings(deadline=None, max_examples=300)
@given(data=st.data(), text=documents())
def test_an_entry_goes_and_nothing_else(data: st.DataObject, text: str) -> None:
    (root,) = parse(text)
    holders = [node for node in walk(root) if node.items]
    holder = data.draw(st.sampled_from(holders))
    index = data.draw(st.integers(0, len(holder.items) - 1))
    wished = without(root, holder, index)
    try:
        new = edited(text, (root,), [Removal(holder, index)])
    except NotAccepted:
        # An emptied root or anchored collection may have no place for its brackets; a comment below what goes would
        # become text of a block scalar above it.
        assert len(holder.items) == 1 or any(node.style in ("|", ">") for node in walk(root))
        return
    anchored = any(node.anchor or node.tag for node in walk(root) if node.items)
    if wished is not None and not anchored:
        assert said(parse(new)[0]) == wished
    if len(holder.items) > 1:
        starts = [node.start for node in holder.keys or holder.items]
        lines = Lines(text)
        first = holder.items[index - 1].end if index else lines.start(holder.start)
        last = max(lines.end(holder.items[index].end), *starts[index + 1 : index + 2], 0)
        gone = len(text) - len(new)
        assert any(new == text[:at] + text[at + gone :] for at in range(first, last - gone + 1))


@settings(deadline=None, max_examples=300)
@given(data=st.data(), text=documents(), value=st.sampled_from(NEW), key=st.sampled_from(["new", "1x", "no"]))
def test_an_entry_comes_and_every_character_of_the_old_text_stays(
    data: st.DataObject, text: str, value: Any, key: str
) -> None:
    (root,) = parse(text)
    holder = data.draw(
        st.sampled_from([node for node in walk(root) if node.kind in (YamlKind.MAPPING, YamlKind.SEQUENCE)])
    )
    if holder.flow and text[holder.start : holder.end][-1:] not in ("}", "]"):
        return  # a pair in brackets, which has no braces of its own
    name = key if holder.kind is YamlKind.MAPPING else None
    new = edited(text, (root,), [Addition(holder, name, value)])
    start = next((at for at, (one, other) in enumerate(zip(text, new, strict=False)) if one != other), len(text))
    added = len(new) - len(text)
    assert new[:start] + new[start + added :] == text
    assert len(list(walk(parse(new)[0]))) > len(list(walk(root)))


@settings(deadline=None, max_examples=200)
@given(data=st.data(), text=documents(), value=st.sampled_from(NEW))
def test_an_entry_is_replaced_and_what_is_before_and_behind_it_stays(
    data: st.DataObject, text: str, value: Any
) -> None:
    (root,) = parse(text)
    holder = data.draw(st.sampled_from([node for node in walk(root) if node.items]))
    index = data.draw(st.integers(0, len(holder.items) - 1))
    try:
        new = edited(text, (root,), [Replacement(holder, index, "new" if holder.keys else None, value)])
    except NotAccepted:
        return
    start = (holder.keys or holder.items)[index].start
    assert new.startswith(text[:start]) and new.endswith(text[holder.items[index].end :])


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet=" \t\n\r-:?#,[]{}&*!|>'\"%@`ab0\ufeff\u2028\x85é", max_size=60) | st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        roots = parse(text)
    except NotAccepted as error:
        assert error.message and "\n" not in error.message
        return
    for root in roots:
        for node in walk(root):
            assert 0 <= node.start <= node.end <= len(text)


LAID_OUT = """\
# GPU box
services:
   web:   {image: nginx , "ports":  [ '80:80' ]}   # one line
   gpu:
        image:   "cuda"
        devices:
        -   /dev/nvidia0:/dev/nvidia0\t# first
        -   /dev/snd
        command: >
           train   --fast

   # the last one
   tail: {}
"""


def at(root: YamlNode, *path: str | int) -> YamlNode:
    for step in path:
        names = [key.value for key in root.keys]
        root = root.items[step if isinstance(step, int) else names.index(step)]
    return root


def test_an_edit_keeps_odd_blanks_quotes_and_comments() -> None:
    (root,) = parse(LAID_OUT)
    gpu, web = at(root, "services", "gpu"), at(root, "services", "web")
    edits: list[Edit] = [
        Removal(at(gpu, "devices"), 0),
        Addition(gpu, "deploy", {"devices": [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]}),
        Addition(web, "gpus", "all"),
        Replacement(gpu, 0, "image", "cuda:12"),
    ]
    wished = LAID_OUT.replace("        -   /dev/nvidia0:/dev/nvidia0\t# first\n", "")
    wished = wished.replace("[ '80:80' ]}", "[ '80:80' ], gpus: all}").replace('image:   "cuda"', 'image: "cuda:12"')
    lines = ["deploy:", "   devices:", "   - driver: nvidia", "     count: all", "     capabilities: [gpu]", ""]
    added = "\n        ".join(["", *lines])[1:].removesuffix("        ")
    wished = wished.replace("--fast\n", f"--fast\n{added}")
    assert edited(LAID_OUT, (root,), edits) == wished


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [1, 2\nc: 3\n", 3, "not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands here a second time"),
        ("a:\n\t- b\n", 2, "not valid YAML"),
        ("a: \x07\n", 1, "a character that no YAML holds"),
        ("a: " + "[" * 200, 1, "nested more than 100 levels deep"),
        ("a: *nowhere\n", 1, ""),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    if not words:
        assert at(parse(text)[0], "a").kind is YamlKind.ALIAS  # what it means is left to who reads it
        return
    with pytest.raises(NotAccepted, match=words) as refused:
        parse(text)
    assert refused.value.line == line


@pytest.mark.slow
def test_bytes_that_are_no_text_or_too_many_are_refused_before_they_are_read() -> None:
    with pytest.raises(NotAccepted, match="UTF-8"):
        decode(b"a: 1\n\x7fELF\xff")
    with pytest.raises(NotAccepted, match="larger than 1 MiB"):
        decode(b"a" * (SIZE_LIMIT + 1))
    with pytest.raises(NotAccepted, match=r"^line \d+: it has more keys and values"):
        parse("- \n" * EVENTS_LIMIT)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_and_the_encoding_stay(encoding: str) -> None:
    raw = "é: 1\r\nb: 2\r\n".encode(encoding)
    text, spelled = decode(raw)
    roots = parse(text)
    assert spelled.encode(edited(text, roots, [Removal(roots[0], 1)])) == "é: 1\r\n".encode(encoding)


def test_a_value_that_is_not_there_ends_at_its_colon() -> None:
    text = "- a: \n  b-c: # none\n  d: x\n"
    (root,) = parse(text)
    assert [text[: item.start] for item in root.items[0].items[:2]] == ["- a:", "- a: \n  b-c:"]
    assert edited(text, (root,), [Removal(root.items[0], 1)]) == "- a: \n  d: x\n"
