"""Which failures a text resembles in which no core line stands: those with which it shares rare words.

Programs say one thing in many ways, and gpuctl has not seen them all. What is found like this is a hint of where to
look, and never more: a word is no cause.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

from gpuctl.compat.knowledge.errors.codes import codes
from gpuctl.compat.knowledge.errors.failures import Family, families
from gpuctl.diagnose.answer import Confidence, Match
from gpuctl.diagnose.letters import cleaned, readable
from gpuctl.diagnose.scan import Sighting, excerpt
from gpuctl.frozen import dataclass
from gpuctl.host.record.redact import without_secrets

MOST = 3
"""Families that a text is said to resemble."""
READ = 16 << 10
"""Bytes of a text whose words are compared: a person's paste. The words of a long log resemble everything."""
_LEAST = 4.0
"""The weight of shared words from which on they tell something: two rare ones, or one that no other family has."""
_WORD = re.compile(r"[a-z][a-z0-9]*(?:[._-][a-z0-9]+)*|[0-9]{3,}")
_PARTS = re.compile(r"[._-]")
_FIELD = re.compile(
    r"nvidia|nvml|nvrm|cuda|gpu|libnv|\bnv[_-]|cudnn|nccl|nouveau|dcgm|dkms|nvlink|nvswitch|jetson|tegra|nvcr|enroot"
    r"|pyxis|apptainer|singularity|\bgres\b|\bcdi\b|\bmig\b|dxcore|\bimex\b",
    re.I,
)
"""Words of this field: a text without any is of something else, whatever it resembles."""
_COMMON = frozenset(
    _WORD.findall(
        "the and for not that with this are was from has have you can cannot could may must more its your any all one "
        "out use used does did will been into line error errors failed failure failing unable invalid when what which "
        "there then than other after before while where who how why see run running start started https http com "
        "github www org html docs"
    )
)


def resembling(text: bytes) -> tuple[Match, ...]:
    """Returns the families with which a text shares most, the nearest first; none where it is not of this field."""
    lines = cleaned(text[:READ]).split(b"\n")
    readable_text = " ".join(map(readable, lines))
    if not _FIELD.search(readable_text):
        return ()
    said = words(readable_text)
    weighed = sorted(((weight, id) for id, weight in _weights(said)), key=lambda one: -one[0])
    near = [id for weight, id in weighed[:MOST] if weight >= _LEAST]
    return tuple(Match(families()[id], Confidence.RESEMBLING, (_sighting(lines, id),)) for id in near)


def words(text: str) -> frozenset[str]:
    """Returns the words of a text that tell something, whole and in parts: `nvidia-ctk`, `nvidia`, `ctk`."""
    whole = _WORD.findall(text.lower())
    parts = (part for word in whole for part in _PARTS.split(word))
    return frozenset(word for word in (*whole, *parts) if len(word) > 2) - _COMMON


@dataclass(frozen=True)
class _Vocabulary:
    """The words of a family's core lines, and the others by which it is described."""

    said: frozenset[str]
    about: frozenset[str]


@cache
def _vocabularies() -> dict[str, _Vocabulary]:
    return {family.id: _vocabulary(family) for family in families().values()}


def _vocabulary(family: Family) -> _Vocabulary:
    said = words(" ".join((*_lines(family), *family.context)))
    about = words(" ".join((family.title, family.cause, family.id.replace("-", " "), family.tells_apart or "")))
    return _Vocabulary(said, about - said)


def _lines(family: Family) -> Iterator[str]:
    for core in family.known_by:
        code = codes().get(core[1:]) if core.startswith("@") else None
        yield from code.wordings if code else (core,)


@cache
def _rarity() -> dict[str, float]:
    known = _vocabularies().values()
    count = Counter(word for one in known for word in one.said | one.about)
    return {word: math.log((len(known) + 1) / families_with) for word, families_with in count.items()}


def _weights(said: frozenset[str]) -> Iterator[tuple[str, float]]:
    """Each family's weight: its shared words by their rarity. One that is known by many words shares some by chance."""
    rarity = _rarity()
    for id, known in _vocabularies().items():
        own = sum(rarity[word] for word in said & known.said) + sum(rarity[word] for word in said & known.about) / 2
        yield id, own / (1 + len(known.said) / 50)


def _sighting(lines: list[bytes], id: str) -> Sighting:
    known = _vocabularies()[id]
    shared = [len(words(readable(line)) & (known.said | known.about)) for line in lines]
    number = shared.index(max(shared))
    return Sighting(number + 1, without_secrets(excerpt(lines[number], 0)), (id,))
