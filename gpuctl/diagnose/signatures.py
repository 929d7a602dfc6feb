"""The core lines of all families as signatures, and where they stand in a condensed text."""

from __future__ import annotations

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
_ANCHOR = 12


@dataclass(frozen=True)
class Signature:
    """A core line: its pieces, in order, with gaps between; the families that have it, most reported first."""

    pieces: tuple[bytes, ...]
    families: tuple[str, ...]

    @property
    def anchor(self) -> bytes:
        """Letters without which it is not there: the beginning of its longest piece."""
        return max(self.pieces, key=len)[:_ANCHOR]

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
def signatures() -> dict[bytes, tuple[Signature, ...]]:
    """Returns all signatures by their anchor."""
    owners: dict[tuple[bytes, ...], list[str]] = {}
    for family in sorted(families().values(), key=lambda one: -one.reports):
        for core in family.cores:
            owners.setdefault(pieces(core), []).append(family.id)
    anchored: dict[bytes, tuple[Signature, ...]] = {}
    for known in (Signature(core, tuple(dict.fromkeys(ids))) for core, ids in owners.items()):
        anchored[known.anchor] = (*anchored.get(known.anchor, ()), known)
    return anchored


def pieces(core: str) -> tuple[bytes, ...]:
    """Returns what stands between the gaps of a core line, condensed."""
    return tuple(condensed(piece.encode()) for piece in core.split("*") if piece.strip())


def hits(text: bytes) -> list[Hit]:
    """Returns where signatures stand in a condensed text, in order: of two that overlap whole, the longer one."""
    near = (known for anchor, group in signatures().items() if anchor in text for known in group)
    found = [hit for known in near for hit in islice(_hits(known, text), HITS)]
    found.sort(key=lambda hit: (hit.start, -hit.end, -hit.signature.letters))
    return list(_outermost(found))


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
