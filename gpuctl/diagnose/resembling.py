"""Which failures a text resembles: those of whose terms it has most, the rarer the more.

Programs say one thing in many ways, and gpuctl has not seen them all. What is found like this is a hint of where to
look, and never more: a word is no cause.

Ranked by BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009): a family is a document of its core
lines, its title, its cause, what tells it apart and in which words it is told. A term weighs by how few families have
it, and by in how many lines of a family it stands, for its size.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import cache, lru_cache

from gpuctl.compat.knowledge.errors.failures import families, written
from gpuctl.diagnose.answer import Confidence, Match
from gpuctl.diagnose.family_terms import family_terms
from gpuctl.diagnose.letters import cleaned, condensed, readable
from gpuctl.diagnose.scan import Sighting, excerpt
from gpuctl.diagnose.signatures import is_harmless
from gpuctl.diagnose.terms import of_gpus, terms
from gpuctl.frozen import dataclass
from gpuctl.host.record.redact import without_secrets

MOST, NEAREST = 5, 3
"""Families that a text is said to show or to resemble, where it shows fewer; how many it is said to resemble."""
READ = 16 << 10
"""Bytes of a text whose terms are compared: a person's paste. The terms of a long log resemble everything."""
_LEAST, _OF_NEAREST = 8.0, 0.5
"""The weight of shared terms from which on they tell something: two rare ones, and that part of the nearest's."""
_SATURATED, _BY_SIZE = 1.2, 0.5
"""BM25's k1 and b, as is usual: how soon more lines with a term tell nothing more, how much a family's size counts."""
_FIELD = re.compile(
    r"nvidia|nvml|nvrm|cuda|gpu|libnv|\bnv[_-]|cudnn|nccl|nouveau|dcgm|dkms|nvlink|nvswitch|jetson|tegra|nvcr|enroot"
    r"|pyxis|apptainer|singularity|\bgres\b|\bcdi\b|\bmig\b|dxcore|\bimex\b",
    re.I,
)
"""Words of this field: a text without any, without a meaning or a name of it, is of something else."""
_NAME = re.compile(r"[a-z0-9][._-][a-z0-9]")
"""What programs call a thing, such as `device_requests` and `libgl.so.1`: no word of a language."""


def resembling(text: bytes, shown: tuple[Match, ...] = ()) -> tuple[Match, ...]:
    """Returns the families that a text resembles, the nearest first; none where it is not of this field.

    `shown`: the families that known lines of it name. They are not named again, and with them it is MOST in all.
    """
    read = _read(text[:READ])
    if len(shown) >= MOST or not _of_this_field("\n".join(read.readable), read.terms):
        return ()
    ranked = (id for id in _ranked(nearness(text)) if not families()[id].harmless)
    near = list(_apart(ranked, {match.family.id for match in shown}))[: min(MOST - len(shown), NEAREST)]
    said = [terms(line) for line in read.readable] if near else []
    return tuple(Match(families()[id], Confidence.RESEMBLING, (_sighting(id, read.lines, said),)) for id in near)


def nearness(text: bytes, leaving_out: Set[int] = frozenset()) -> Mapping[str, float]:
    """Returns the weight of the terms that a text has in common with each family; one without any is not there.

    `leaving_out`: the numbers of lines that do not count, from 1.
    """
    read = _read(text[:READ])
    if not leaving_out:
        return _weighed(read.terms)
    rest = (line for number, line in enumerate(read.readable, 1) if number not in leaving_out)
    return _weighed(terms("\n".join(rest)))


@dataclass(frozen=True)
class _Read:
    """A text's lines; as they are read, those that tell of no failure empty; and the terms of these."""

    lines: list[bytes]
    readable: list[str]
    terms: frozenset[str]


@lru_cache(1)
def _read(text: bytes) -> _Read:
    lines = cleaned(text).split(b"\n")
    readable_lines = [readable(b"" if is_harmless(condensed(line)) else line) for line in lines]
    return _Read(lines, readable_lines, terms("\n".join(readable_lines)))


@lru_cache(1)
def _weighed(said: frozenset[str]) -> Counter[str]:
    weights: Counter[str] = Counter()
    for term in said:
        weights.update(_weights(term))
    return weights


def _of_this_field(text: str, said: frozenset[str]) -> bool:
    """Whether a text has a word or a meaning of this field, or a name that stands in the lines of a family."""
    if _FIELD.search(text) or said & of_gpus():
        return True
    known = family_terms().lines
    return any(term in known and not term.endswith("?") and _NAME.search(term) for term in said)


def _ranked(weights: Mapping[str, float]) -> Iterator[str]:
    """The families of enough weight, nearest first."""
    least = max(_LEAST, _OF_NEAREST * max(weights.values(), default=0.0))
    yield from (id for id in sorted(weights, key=lambda id: -weights[id]) if weights[id] >= least)


def _apart(ranked: Iterable[str], shown: set[str]) -> Iterator[str]:
    """Leaves out what is shown, and all but the first of the errors that have a number and no more: they are alike."""
    bare = False
    for id in ranked:
        if id in shown or (bare and id not in written()):
            continue
        bare = bare or id not in written()
        yield id


@cache
def _weights(term: str) -> Mapping[str, float]:
    """What a term tells of each family that has it."""
    having, slow = family_terms().lines.get(term, {}), _slow()
    rarity = math.log1p((len(slow) - len(having) + 0.5) / (len(having) + 0.5))
    return {id: rarity * count * (_SATURATED + 1) / (count + slow[id]) for id, count in having.items()}


@cache
def _slow() -> Mapping[str, float]:
    """How slowly more lines of a family with a term tell more: the more terms it has in all, the slower."""
    sizes = family_terms().sizes
    usual = sum(sizes.values()) / len(sizes)
    return {id: _SATURATED * (1 - _BY_SIZE + _BY_SIZE * size / usual) for id, size in sizes.items()}


def _sighting(id: str, lines: list[bytes], said: list[frozenset[str]]) -> Sighting:
    """The line that tells most of a family."""
    told = [sum(_weights(term).get(id, 0.0) for term in line) for line in said]
    number = told.index(max(told))
    return Sighting(number + 1, without_secrets(excerpt(lines[number], 0)), (id,))
