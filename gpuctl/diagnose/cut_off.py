"""Core lines of which a text has the beginning only, because it was cut off within one."""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from itertools import takewhile

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
    first = bisect_left(_sorted(), part, key=lambda known: known.pieces[0])
    return list(takewhile(lambda known: known.pieces[0].startswith(part), _sorted()[first:]))


def _hit(part: bytes, same: list[Signature], end: int) -> Hit | None:
    """Returns no hit where core lines of other families have these letters as well: then they tell nothing."""
    ids = tuple(dict.fromkeys(id for known in same for id in known.families))
    others = (known for known in signatures() if any(part in piece for piece in known.pieces))
    if not all(set(known.families) <= set(ids) for known in others):
        return None
    weakest = min((known.strength for known in same), key=lambda strength: strength.weight)
    strength = Strength.SIGN if weakest is Strength.SIGN else Strength.CORE
    return Hit(end - len(part), end, Signature((part,), ids, strength))


@cache
def _sorted() -> list[Signature]:
    """Core lines without a gap, by their letters."""
    return sorted((known for known in signatures() if len(known.pieces) == 1), key=lambda known: known.pieces[0])
