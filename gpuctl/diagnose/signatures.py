"""The core lines of all families as signatures, and where they stand in a condensed text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice

from gpuctl.compat.failures import families
from gpuctl.diagnose.letters import condensed

GAP = 240
"""Letters that may stand in the place of a `*`."""
HITS = 3
"""Of one signature in one text: what repeats tells nothing more."""
_GRAM = 8
_WINDOW = 2 * _GRAM - 1
"""Letters of a signature that hold a whole gram of a text, wherever the text is cut."""
_CUT = re.compile(rb".{%d}" % _GRAM)
_SMALL = 16 << 10
"""Letters of a text in which looking for every signature takes less time than knowing which to look for."""


@dataclass(frozen=True)
class Signature:
    """A core line: its pieces, in order, with gaps between; the families that have it, most reported first."""

    pieces: tuple[bytes, ...]
    families: tuple[str, ...]

    @property
    def letters(self) -> int:
        return sum(map(len, self.pieces))


@dataclass(frozen=True)
class Hit:
    """Where a signature stands in a text."""

    start: int
    end: int
    signature: Signature


@cache
def signatures() -> tuple[Signature, ...]:
    """Returns all signatures."""
    owners: dict[tuple[bytes, ...], list[str]] = {}
    for family in sorted(families().values(), key=lambda one: -one.reports):
        for core in family.cores:
            owners.setdefault(pieces(core), []).append(family.id)
    return tuple(Signature(core, tuple(dict.fromkeys(ids))) for core, ids in owners.items())


def pieces(core: str) -> tuple[bytes, ...]:
    """Returns what stands between the gaps of a core line, condensed."""
    return tuple(condensed(piece.encode()) for piece in core.split("*") if piece.strip())


def hits(text: bytes) -> list[Hit]:
    """Returns where signatures stand in a condensed text, in order: of two that overlap whole, the longer one."""
    near = signatures() if len(text) < _SMALL else _near(text)
    found = [hit for known in near for hit in islice(_hits(known, text), HITS)]
    found.sort(key=lambda hit: (hit.start, -hit.end, -hit.signature.letters))
    return list(_outermost(found))


def _near(text: bytes) -> set[Signature]:
    """Returns the signatures that a text may have.

    The text is cut into grams side by side, wherever the first begins. Of the grams in a signature's window, one for
    each place where a cut may fall, one is then among the text's: the price is the same for every text.
    """
    grams, short = _indexed()
    present = set(_CUT.findall(text)) & grams.keys()
    return {known for gram in present for known in grams[gram]} | short


@cache
def _indexed() -> tuple[dict[bytes, list[Signature]], set[Signature]]:
    """The signatures by the grams of the window that they share least with others, and those that have no window."""
    shared = Counter(gram for known in signatures() for piece in known.pieces for gram in _grams(piece))
    grams: dict[bytes, list[Signature]] = {}
    short = set()
    for known in signatures():
        windows = [window for piece in known.pieces for window in _windows(piece)]
        if not windows:
            short.add(known)
            continue
        for gram in _grams(min(windows, key=lambda window: sum(shared[gram] for gram in _grams(window)))):
            grams.setdefault(gram, []).append(known)
    return grams, short


def _windows(piece: bytes) -> list[bytes]:
    return [piece[start : start + _WINDOW] for start in range(len(piece) - _WINDOW + 1)]


def _grams(letters: bytes) -> list[bytes]:
    return [letters[start : start + _GRAM] for start in range(len(letters) - _GRAM + 1)]


def _hits(known: Signature, text: bytes) -> Iterator[Hit]:
    first, *others = known.pieces
    if not all(piece in text for piece in others):
        return
    start = text.find(first)
    while start >= 0:
        end = _end(others, text, start + len(first))
        if end is not None:
            yield Hit(start, end, known)
        start = text.find(first, start + 1 if end is None else end)


def _end(others: list[bytes], text: bytes, end: int) -> int | None:
    """Returns where the last of these pieces ends, each within a gap of the one before; None where one is missing."""
    for piece in others:
        found = text.find(piece, end, end + GAP + len(piece))
        if found < 0:
            return None
        end = found + len(piece)
    return end


def _outermost(found: list[Hit]) -> Iterator[Hit]:
    around: list[Hit] = []
    for hit in found:
        around = [one for one in around if one.end > hit.start]
        if not any(one.end >= hit.end and one.signature.letters > hit.signature.letters for one in around):
            yield hit
        around.append(hit)
