"""A shell text as its commands: as the grammar of bash has them."""

from __future__ import annotations

from pathlib import Path

import pytest
import tree_sitter_bash
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tree_sitter import Language, Node, Parser

from gpuctl.dockerfile.source import read_source
from gpuctl.shell import HOLE, commands

DOCKERFILES = sorted((Path(__file__).parent / "data" / "dockerfiles").glob("*.Dockerfile"))
GRAMMAR = Parser(Language(tree_sitter_bash.language()))


def tree(text: str) -> Node:
    return GRAMMAR.parse(text.encode("latin-1")).root_node


def programs(text: str) -> list[tuple[int, str]]:
    """Where each command's program stands, and how it is written."""
    words = [next((word for word in one.words if "=" not in word.text), None) for one in commands(text)]
    return [(word.start, word.text) for word in words if word]


def programs_by_the_grammar(text: str) -> list[tuple[int, str]]:
    """The same by tree-sitter, to which `[` and `export` are no commands."""
    found, nodes = list[Node](), [tree(text)]
    while nodes:
        node = nodes.pop()
        nodes += node.children
        if node.type == "command_name":
            found.append(node)
    return sorted((node.start_byte, text[node.start_byte : node.end_byte]) for node in found)


def test_the_commands_of_real_files_are_those_of_the_grammar() -> None:
    texts = [
        one.body.text
        for path in DOCKERFILES
        for one in read_source(path.read_bytes()).instructions
        if one.name == "RUN" and not one.body.text.startswith(("[", "<<"))
    ]
    known = [text for text in texts if not tree(text).has_error]
    assert len(known) >= 19
    for text in known:
        mine = [one for one in programs(text) if one[1] not in ("[", "export")]
        assert mine == programs_by_the_grammar(text)


WORDS = st.sampled_from(
    ["a", "'b c'", '"d $e"', "f\\ g", "${h:-i}", "$j", "*.k", "l=m", "--n='o'", '"p\\"q"', "a'b'\"c\"", "$((1 + 2))"]
)
NAMES = st.sampled_from(["run", "x/y", "'z'", "docker"])
SIMPLE = st.lists(WORDS, max_size=3).flatmap(lambda words: NAMES.map(lambda name: " ".join((name, *words))))
SHAPES = (
    *("{} && {}", "{} || {}", "{} | {}", "{}; {}", "{}\n{}", "{} # c\n{}", "({})", "{{ {}; }}", "if {}; then {}; fi"),
    *("while {}; do {}; done", "for s in t u; do {}; done", "case $r in a|b) {};; (c) {};; esac", 'm "$({})" $({})'),
)
TEXTS = st.recursive(
    SIMPLE | SIMPLE.map("n `{}` > q 2>&1 <<< p".format) | SIMPLE.map("! {}".format),
    lambda inner: st.tuples(st.sampled_from(SHAPES), inner, inner).map(lambda parts: parts[0].format(*parts[1:])),
    max_leaves=6,
)


@settings(deadline=None, max_examples=100)
@given(TEXTS)
@example("((run))")
@example("(((a + b) * $c > 3)) && run || m")
@example("for ((i=0; i<3; i++)); do run; done")
@example("( (run)); ((run) && m); ((run); m)")
def test_the_commands_of_any_text_are_those_of_the_grammar(text: str) -> None:
    assume(not tree(text).has_error)
    assert programs(text) == programs_by_the_grammar(text)


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        ("a && b || c; d", "ab"),
        ("a || b || c && d", "ab"),
        ("a | b || (c; d) || e", "abcd"),
        ("! a | b; ! (c; d) && e", "abcd"),
        ("if a && ! b; then c; elif d; then e; else f; fi; g", "abd"),
        ("if a; then b; fi || c", "ab"),
        ("while a; do b || c; d; done", "ab"),
        ("{ a; b; } || c", "ab"),
        ("for x in 1; do a; done || case $x in y|z) b || c;; *) d;; esac", "ab"),
        ("x=$(a; b || c) || d", "abc"),
        ("a `b || c`", "b"),
        ("[[ x || y ]] && a", ""),
        ("f() { a || b; }; c", "a"),
    ],
)
def test_a_failure_is_provided_for_where_something_else_happens_then(text: str, guarded: str) -> None:
    found = {one.words[0].value: one.guarded for one in commands(text) if HOLE not in one.words[0].value}
    assert {name for name, is_guarded in found.items() if is_guarded} == set(guarded)
