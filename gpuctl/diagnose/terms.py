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
    text = _LINKED.sub("lib", text)
    parted, whole = _HUMPS.sub(" ", text).lower(), text.lower()
    words, meant = set(_WORD.findall(whole)), set(_meanings(_PART.findall(whole)))
    if len(parted) > len(whole):
        words.update(_WORD.findall(parted))
        meant.update(_meanings(_PART.findall(parted)))
    return frozenset(meant).union(*map(_of_word, words))


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
    """The words of a phrase behind its first one, and what it means."""

    rest: tuple[str, ...]
    meaning: str


@cache
def _phrases() -> dict[str, list[_Phrase]]:
    """The phrases by their first word, which ends in `*` where it stands for all that begin so."""
    phrases: dict[str, list[_Phrase]] = {}
    for row in meanings():
        for phrase in row.phrases:
            first, *rest = _PART_OF_PHRASE.findall(phrase)
            phrases.setdefault(first, []).append(_Phrase(tuple(rest), f"{row.meaning}?"))
    return phrases


@cache
def _longest() -> int:
    """How many letters the longest first word of a phrase has."""
    return max(map(len, _phrases()))


@lru_cache(_WORDS_KEPT)
def _beginning_with(part: str) -> tuple[frozenset[str], tuple[_Phrase, ...]]:
    """What a word means alone, and the longer phrases that begin with it."""
    keys = (part, *(f"{part[:length]}*" for length in range(1, min(len(part), _longest()) + 1)))
    phrases = [phrase for key in keys for phrase in _phrases().get(key, ())]
    alone = frozenset(phrase.meaning for phrase in phrases if not phrase.rest)
    return alone, tuple(phrase for phrase in phrases if phrase.rest and phrase.meaning not in alone)


def _meanings(parts: list[str]) -> Iterator[str]:
    for place, part in enumerate(parts, 1):
        alone, longer = _beginning_with(part)
        yield from alone
        for phrase in longer:
            if _is(parts, place, phrase.rest):
                yield phrase.meaning


def _is(parts: list[str], place: int, phrase: tuple[str, ...]) -> bool:
    """Whether a phrase stands at that place; its words are compared one by one, since few go on."""
    if place + len(phrase) > len(parts):
        return False
    for wanted in phrase:
        part = parts[place]
        if part != wanted and not (wanted[-1] == "*" and part.startswith(wanted[:-1])):
            return False
        place += 1
    return True
