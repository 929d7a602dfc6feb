"""Core lines of which a text has the beginning only, because it was cut off within one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from itertools import accumulate

from gpuctl.diagnose.signatures import Hit, Signature, Strength, signatures

LEAST, MOST = 18, 90
"""Letters of a core line that must be there still, and how many are compared."""


def cut_off(text: bytes) -> Hit | None:
    """Returns the core line within which a condensed text ends, as a signature of all families that have it."""
    tail = text.rstrip(b".")
    for letters in range(min(len(tail), MOST), LEAST - 1, -1):
        part = tail[-letters:]
        same = _beginning_with(part)
        if same:
            return _hit(part, same, len(tail))
    return None


def _beginning_with(part: bytes) -> list[Signature]:
    alike = _by_beginning().get(part[:LEAST], ())
    return [known for known in alike if known.pieces[0].startswith(part)]


def _hit(part: bytes, same: list[Signature], end: int) -> Hit | None:
    """Returns no hit where core lines of other families have these letters as well: then they tell nothing."""
    ids = tuple(dict.fromkeys(id for known in same for id in known.families))
    if not all(set(known.families) <= set(ids) for known in _holding(part)):
        return None
    weakest = min((known.strength for known in same), key=lambda strength: strength.weight)
    strength = Strength.SIGN if weakest is Strength.SIGN else Strength.CORE
    return Hit(end - len(part), end, Signature((part,), ids, strength))


def _holding(part: bytes) -> Iterator[Signature]:
    """Yields the core line of each piece that has these letters."""
    text, ends, owners = _joined()
    place = text.find(part)
    while place >= 0:
        number = bisect_right(ends, place)
        yield owners[number]
        place = text.find(part, ends[number])


@cache
def _joined() -> tuple[bytes, list[int], list[Signature]]:
    """All pieces in one text, with what no letter is between them; where each ends, and of which core line it is."""
    owned = [(known, piece) for known in signatures() for piece in known.pieces]
    ends = list(accumulate(len(piece) + 1 for _, piece in owned))
    return b" ".join(piece for _, piece in owned), ends, [known for known, _ in owned]


@cache
def _by_beginning() -> dict[bytes, list[Signature]]:
    """Core lines without a gap in the order of their letters, by the first of these."""
    beginnings: dict[bytes, list[Signature]] = {}
    whole = (known for known in signatures() if len(known.pieces) == 1)
    for known in sorted(whole, key=lambda known: known.pieces[0]):
        beginnings.setdefault(known.pieces[0][:LEAST], []).append(known)
    return beginnings
