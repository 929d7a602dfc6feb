"""Error text of any length as sightings: the lines that gave a failure away, and of which families they may be."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Set
from dataclasses import replace
from itertools import accumulate
from typing import Protocol

from gpuctl.compat.knowledge.errors.failures import families
from gpuctl.diagnose.cut_off import cut_off
from gpuctl.diagnose.letters import cleaned, condensed, position, readable
from gpuctl.diagnose.signatures import MESSAGE, Signature, Strength, hits, outermost
from gpuctl.frozen import dataclass
from gpuctl.host.record.redact import without_secrets

BLOCK = 256 << 10
OVERLAP = 2048
"""Bytes of a block that the next one repeats: a core line may be broken between the two."""
EVIDENCE = 3
"""Lines that are kept for the same families."""
_BEFORE, _AFTER = 120, 280
"""Letters of a long line that are shown around the place."""
_HINT = b"dockerrun--help"
"""What Docker's client adds to every failure: no word of what was run."""


@dataclass(frozen=True)
class Sighting:
    """A line, by its number from 1, that has the core line of these families, most reported first.

    `nearby`: those of them of whose context there is something around. `strength`: what the line tells.
    """

    line: int
    text: str
    families: tuple[str, ...]
    nearby: frozenset[str] = frozenset()
    strength: Strength = Strength.CORE


class Readable(Protocol):
    """What can be read in pieces."""

    def read(self, size: int, /) -> bytes: ...


def scan(file: Readable) -> tuple[Sighting, ...]:
    """Returns what is seen in a text, in order. Reads it once, in memory that does not grow with it."""
    seen: _Seen = {}
    told: Set[Signature] = frozenset()
    for block in _blocks(file):
        told = _note(block, seen, told)
    sightings = (sighting for kept in seen.values() for sighting in kept.values())
    found = (replace(one, text=without_secrets(one.text)) for one in sightings)
    return tuple(sorted(found, key=lambda one: (one.line, one.families)))


_Seen = dict[tuple[Strength, tuple[str, ...]], dict[int, Sighting]]
"""What is kept, by what it tells and of which families, and by line."""


@dataclass(frozen=True)
class _Block:
    """A piece of a text, the number of its first line, and how many of its last bytes the next piece begins with."""

    first_line: int
    raw: bytes
    repeated: int


def _blocks(file: Readable) -> Iterator[_Block]:
    first_line, raw = 1, file.read(BLOCK)
    while chunk := file.read(BLOCK):
        kept = raw[-OVERLAP:]
        kept = kept[kept.find(b"\n") + 1 :]
        yield _Block(first_line, raw, len(kept))
        first_line += raw.count(b"\n", 0, len(raw) - len(kept))
        raw = kept + chunk
    yield _Block(first_line, raw, 0)


def _note(block: _Block, seen: _Seen, told: Set[Signature]) -> Set[Signature]:
    """Adds what is seen in a block. Only what is kept is put into words: a text may show a failure in every line.

    Returns the signatures that its last line has shown, and is handed those of the line before it: a line that goes on
    through blocks tells each thing once, and nothing that it has told is looked for again.
    """
    text = cleaned(block.raw)
    letters = condensed(text)
    told = frozenset() if b"\n" in text else told
    every = hits(letters, told)
    found = list(outermost(every))
    part = None if block.repeated else cut_off(letters)
    if part and not any(hit.start <= part.start and hit.end >= part.end for hit in found):
        found.append(part)
    if not found:
        return told
    # A line that is cut off here, or goes on in the next piece, is whole there.
    own = len(condensed(cleaned(block.raw[: len(block.raw) - block.repeated])))
    lines = text.split(b"\n")
    starts = [0, *accumulate(len(condensed(line)) if line else 0 for line in lines)]
    placed = [(bisect_right(starts, hit.start) - 1, hit) for hit in found if hit.start < own]
    around = letters.replace(_HINT, b"")
    harmless = sorted((index, hit.start) for index, hit in placed if hit.signature.harmless)
    for index, hit in placed:
        if not hit.signature.harmless and _is_of_one(harmless, index, hit.start):
            continue
        nearby = _nearby(hit.signature, around)
        ids = tuple(id for id in hit.signature.families if id not in hit.signature.given or id in nearby)
        if not ids:
            continue
        number = block.first_line + index
        kept = seen.setdefault((hit.signature.strength, ids), {})
        if len(kept) < EVIDENCE and number not in kept:
            shown = excerpt(lines[index], hit.start - starts[index])
            kept[number] = Sighting(number, shown, ids, nearby, hit.signature.strength)
    return told | {hit.signature for hit in every if starts[len(lines) - 1] <= hit.start < own}


def _is_of_one(places: list[tuple[int, int]], line: int, start: int) -> bool:
    """Whether something on a line is of one message with one of these places, as it is on any but a very long line."""
    after = bisect_left(places, (line, start))
    near = places[max(0, after - 1) : after + 1]
    return any(other == line and abs(at - start) <= MESSAGE for other, at in near)


def excerpt(line: bytes, letters: int) -> str:
    """Returns a line for people: of a long one what is around the letter of that number."""
    if len(line) <= _BEFORE + _AFTER:
        return readable(line)
    place = position(line, letters)
    start = max(0, place - _BEFORE)
    piece = readable(line[start : place + _AFTER])
    return f"{'…' if start else ''}{piece}{'…' if place + _AFTER < len(line) else ''}"


def _nearby(known: Signature, letters: bytes) -> frozenset[str]:
    """Returns the families of a core line of whose context there is something around; it matters where it decides."""
    ids = known.families if len(known.families) > 1 else known.given
    return frozenset(id for id in ids if any(condensed(word.encode()) in letters for word in families()[id].context))
