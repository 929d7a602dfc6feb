"""What a text says, as a set of terms: its words, shortened to what their forms share, and what its phrases mean.

`Couldn't open libcuda.so.1` and `libnvcuvid: no such file` have no word in common, and two meanings: a file of the
driver, and that it is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from gpuctl.compat.knowledge.errors.meanings import meanings
from gpuctl.frozen import dataclass

_WORD = re.compile(r"[a-z][a-z0-9]*(?:[._-][a-z0-9]+)*|[0-9]{3,}")
_JOINT = re.compile(r"[._-]")
_PART = re.compile(r"[a-z0-9]+|[^\x00-\x7f]")
"""A word of a phrase; beyond ASCII each letter is one, because some languages write no spaces."""
_PART_OF_PHRASE = re.compile(r"[a-z0-9]+\*?|[^\x00-\x7f]")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Where a name in camel case has its parts."""
_LINKED = re.compile(r"(?<!\S)-l(?=[a-z])")
"""How a linker is given a library: `-lcuda` is libcuda."""
_ENDING = re.compile(r"(?:ations?|ing|ions?|ed|es|s|ly|ment)$")
_COMMON = frozenset(
    _WORD.findall(
        "the and for not that with this are was from has have you can cannot could may must more its your any all one "
        "out use used does did will been into line error errors failed failure failing unable invalid when what which "
        "there then than other after before while where who how why see run running start started https http com "
        "github www org html docs"
    )
)
_WORDS_KEPT = 8192
"""Distinct words of which is remembered what is known of them: those of all families, and of a text."""


def terms(text: str) -> frozenset[str]:
    """Returns the words and the meanings of a text; a meaning as `missing?`, which is no word."""
    if "-l" in text:
        text = _LINKED.sub("lib", text)
    parted, whole = _HUMPS.sub(" ", text).lower(), text.lower()
    words, meant = set(_WORD.findall(whole)), _meanings(_PART.findall(whole))
    if len(parted) > len(whole):
        words.update(_WORD.findall(parted))
        meant |= _meanings(_PART.findall(parted))
    return frozenset(meant.union(*map(_of_word, words)))


@cache
def of_gpus() -> frozenset[str]:
    """Returns the terms that only texts about GPUs have."""
    return frozenset(f"{row.meaning}?" for row in meanings() if row.of_gpus)


@lru_cache(_WORDS_KEPT)
def _of_word(word: str) -> frozenset[str]:
    """Its terms, whole and in parts: `nvidia-ctk`, `nvidia`, `ctk`; of `libcuda.so.1` also `libcuda.so`."""
    parts = [word, *_JOINT.split(word)]
    library, so, _ = word.partition(".so")
    if so:
        parts.append(library + so)
    return frozenset(_shortened(part) for part in parts if len(part) > 2 and part not in _COMMON)


def _shortened(word: str) -> str:
    """Returns what the forms of a word share: `compiled` and `compiling` are one."""
    short = _ENDING.sub("", word) if len(word) > 5 and word.isalpha() else word
    return short if len(short) > 3 else word


@dataclass(frozen=True)
class _Phrase:
    """The words of a phrase behind its first two, and what it means."""

    rest: tuple[str, ...]
    meaning: str


_Longer = dict[str, list[_Phrase]]
"""Phrases by their second word."""


@dataclass(frozen=True)
class _Phrases:
    """By their first word what words mean alone, and the longer phrases; all words that are compared at once.

    A word that ends in `*` stands for all that begin so.
    """

    alone: dict[str, set[str]]
    longer: dict[str, _Longer]
    words: frozenset[str]
    longest: int


@cache
def _phrases() -> _Phrases:
    alone: dict[str, set[str]] = {}
    longer: dict[str, _Longer] = {}
    for row in meanings():
        for phrase in row.phrases:
            first, *behind = _PART_OF_PHRASE.findall(phrase)
            if behind:
                one = _Phrase(tuple(behind[1:]), f"{row.meaning}?")
                longer.setdefault(first, {}).setdefault(behind[0], []).append(one)
            else:
                alone.setdefault(first, set()).add(f"{row.meaning}?")
    words = frozenset(alone).union(longer, *longer.values())
    return _Phrases(alone, longer, words, max(map(len, words)))


@lru_cache(_WORDS_KEPT)
def _stands_for(part: str) -> tuple[str, ...]:
    """Returns the words of phrases, of those that are compared at once, that this one is."""
    known = _phrases()
    beginnings = (f"{part[:length]}*" for length in range(1, min(len(part), known.longest) + 1))
    return tuple(word for word in (part, *beginnings) if word in known.words)


@lru_cache(_WORDS_KEPT)
def _begins(part: str) -> tuple[frozenset[str], tuple[_Longer, ...]]:
    """What a word means alone, and the longer phrases that begin with it."""
    known, words = _phrases(), _stands_for(part)
    alone = frozenset().union(*(known.alone.get(word, ()) for word in words))
    return alone, tuple(known.longer[word] for word in words if word in known.longer)


def _meanings(parts: list[str]) -> set[str]:
    meant: set[str] = set()
    for place, (alone, phrases) in enumerate(map(_begins, parts), 1):
        if alone:
            meant |= alone
        if phrases and place < len(parts):
            for word in _stands_for(parts[place]):
                for longer in phrases:
                    if word in longer:
                        meant.update(_ended(longer[word], parts, place + 1))
    return meant


def _ended(phrases: list[_Phrase], parts: list[str], place: int) -> Iterator[str]:
    """The meanings of those phrases of which the rest stands at that place."""
    for phrase in phrases:
        behind = parts[place : place + len(phrase.rest)]
        if len(behind) == len(phrase.rest) and all(map(_is, behind, phrase.rest)):
            yield phrase.meaning


def _is(part: str, wanted: str) -> bool:
    return part == wanted or (wanted[-1] == "*" and part.startswith(wanted[:-1]))
