"""The core lines of all families as signatures, and where they stand in a condensed text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from enum import Enum
from functools import cache
from itertools import islice

from gpuctl.compat.knowledge.errors.codes import codes
from gpuctl.compat.knowledge.errors.failures import Family, families, printed_lines
from gpuctl.compat.knowledge.errors.symptoms import causes_behind
from gpuctl.diagnose.letters import condensed
from gpuctl.diagnose.numbers import numbered
from gpuctl.frozen import dataclass

GAP = 240
"""Letters that may stand in the place of a `*`."""
HITS = 3
"""Of one signature in one text: what repeats tells nothing more."""
MESSAGE = 1024
"""Letters of a line that may be of one message: one into which a log was folded holds many."""
_GRAM = 8
_WINDOW = 2 * _GRAM - 1
"""Letters of a signature that hold a whole gram of a text, wherever the text is cut."""
_CUT = re.compile(rb".{%d}" % _GRAM)
_BEGINNING = 6
"""Letters of a piece that tell whether to look for all of it."""
_SMALL = 16 << 10
"""Letters of a text in which looking for every signature takes less time than knowing which to look for."""


class Strength(str, Enum):
    """What a core line tells, strongest first: a cause that no other has, a cause that is likely, a consequence."""

    SURE = "sure"
    CORE = "core"
    SIGN = "sign"

    @property
    def weight(self) -> int:
        """The more the stronger."""
        return -list(Strength).index(self)


@dataclass(frozen=True)
class Signature:
    """A core line: its pieces, in order, with gaps between; the families that have it, likeliest first.

    `given`: those of them for which it speaks only where a word of their context stands nearby.
    """

    pieces: tuple[bytes, ...]
    families: tuple[str, ...]
    strength: Strength = Strength.CORE
    given: frozenset[str] = frozenset()

    @property
    def letters(self) -> int:
        return sum(map(len, self.pieces))

    @property
    def harmless(self) -> bool:
        """Whether the line tells of no failure, whatever else stands in it."""
        return all(families()[id].harmless for id in self.families)


@dataclass(frozen=True)
class Hit:
    """Where a signature stands in a text."""

    start: int
    end: int
    signature: Signature


@dataclass(frozen=True)
class _Owner:
    """A family that has a core line, what the line tells of it, and whether only in its context."""

    family: str
    strength: Strength
    given: bool = False


_Owners = dict[str, list[_Owner]]


@cache
def _owners() -> _Owners:
    """The families by core line as it is written, `@cuda 999` included, each with what the line tells of it."""
    owners: _Owners = {}
    for family in sorted(families().values(), key=lambda one: -one.reports):
        for core, own in _lines(family):
            owners.setdefault(core, []).append(own)
    for printed in printed_lines():
        strength = Strength.SIGN if printed.follows else Strength.CORE
        for line in printed.lines:
            owners.setdefault(line, []).extend(_Owner(id, strength) for id in printed.families)
    return owners


def _lines(family: Family) -> Iterator[tuple[str, _Owner]]:
    yield from ((core, _Owner(family.id, Strength.SURE)) for core in family.sure)
    yield from ((core, _Owner(family.id, Strength.CORE)) for core in family.cores)
    yield from ((core, _Owner(family.id, Strength.CORE, given=True)) for core in family.in_context)
    yield from ((core, _Owner(family.id, Strength.SIGN)) for core in family.signs)


@cache
def signatures() -> tuple[Signature, ...]:
    """Returns all signatures that are words."""
    owners: dict[tuple[bytes, ...], list[_Owner]] = {}
    for core, own in _owners().items():
        for wording in _wordings(core):
            owners.setdefault(pieces(wording), []).extend(own)
    return tuple(_signature(core, own) for core, own in owners.items())


def _wordings(core: str) -> tuple[str, ...]:
    """The words of a core line; an Xid that has no row is known by its number alone."""
    if not core.startswith("@"):
        return (core,)
    code = codes().get(core[1:])
    return code.wordings if code else ()


def _signature(core: tuple[bytes, ...], own: list[_Owner]) -> Signature:
    strongest = max((owner.strength for owner in own), key=lambda strength: strength.weight)
    always = {owner.family for owner in own if not owner.given}
    ids = _by_mends(tuple(dict.fromkeys(owner.family for owner in own)))
    return Signature(core, ids, strongest, frozenset(ids) - always)


def _by_mends(ids: tuple[str, ...]) -> tuple[str, ...]:
    """Those behind the first one in the order of its symptom: what mended most often comes first."""
    if len(ids) < 3:
        return ids
    causes = causes_behind(ids[0], ids)
    places = {id: causes.index(id) if id in causes else len(causes) for id in ids[1:]}
    return (ids[0], *sorted(ids[1:], key=lambda id: places[id]))


@cache
def _numbers() -> dict[tuple[str, int], Signature]:
    """The signatures of errors that have a number, by kind and number."""
    keys = {core[1:]: own for core, own in _owners().items() if core.startswith("@")}
    return {
        (kind, int(number)): _signature((f"{kind}{number}".encode(),), keys[key])
        for key in keys
        for kind, number in (key.split(),)
    }


def is_harmless(line: bytes) -> bool:
    """Returns whether a condensed line of one message tells of no failure."""
    return len(line) <= MESSAGE and any(all(piece in line for piece in known.pieces) for known in _harmless())


@cache
def _harmless() -> tuple[Signature, ...]:
    return tuple(known for known in signatures() if known.harmless)


def pieces(core: str) -> tuple[bytes, ...]:
    """Returns what stands between the gaps of a core line, condensed."""
    return tuple(condensed(piece.encode()) for piece in core.split("*") if piece.strip())


def hits(text: bytes, but: Set[Signature] = frozenset()) -> list[Hit]:
    """Returns where signatures stand in a condensed text, in order; those of `but` are not looked for."""
    near = _in_small(text, but) if len(text) < _SMALL else _near(text, but)
    found = [hit for known in near for hit in islice(_hits(known, text), HITS)]
    found += (hit for hit in _hits_of_numbers(text) if hit.signature not in but)
    return sorted(found, key=lambda hit: (hit.start, -hit.end, -hit.signature.letters))


def _in_small(text: bytes, but: Set[Signature]) -> list[Signature]:
    """The same of a text that is shorter than an index is worth: those whose longest piece stands in it."""
    longest = _longest_pieces()
    cut = (text[at : at + size] for size in _beginnings() for at in range(len(text)))
    begun = dict.fromkeys(one for one in cut if one in longest)
    pieces = (one for beginning in begun for one in longest[beginning])
    return [known for known, piece in pieces if piece in text and known not in but]


@cache
def _longest_pieces() -> dict[bytes, list[tuple[Signature, bytes]]]:
    """The signatures, each with its longest piece, by the letters with which that begins."""
    longest: dict[bytes, list[tuple[Signature, bytes]]] = {}
    for known in signatures():
        piece = max(known.pieces, key=len)
        longest.setdefault(piece[:_BEGINNING], []).append((known, piece))
    return longest


@cache
def _beginnings() -> frozenset[int]:
    """How many letters those are: fewer where a piece has no more."""
    return frozenset(map(len, _longest_pieces()))


def _near(text: bytes, but: Set[Signature]) -> set[Signature]:
    """Returns the signatures that a text may have, without those of `but`.

    The text is cut into grams side by side, wherever the first begins. Of the grams in a signature's window, one for
    each place where a cut may fall, one is then among the text's: the price is the same for every text. So are all
    others of its pieces that lie in the same cut. Signatures without a window are looked for by an anchor, a piece that
    many of them have.
    """
    index = _indexed()
    present = set(_CUT.findall(text))
    windowed = {known for gram in present & index.grams for known in index.by_gram[gram]} - but
    anchored = {known for anchor, short in index.by_anchor.items() if anchor in text for known in short} - but
    return {known for known in windowed if _may_be_in(present, known)} | anchored


def _may_be_in(present: set[bytes], known: Signature) -> bool:
    return all(any(cut <= present for cut in cuts) for cuts in _cuts(known))


@cache
def _cuts(known: Signature) -> tuple[tuple[frozenset[bytes], ...], ...]:
    """The grams of each piece that has a window, by the place where a cut falls."""
    long = (_grams(piece) for piece in known.pieces if len(piece) >= _WINDOW)
    return tuple(tuple(frozenset(grams[start::_GRAM]) for start in range(_GRAM)) for grams in long)


@dataclass(frozen=True)
class _Index:
    """The signatures by the grams of their window; the short ones by anchors."""

    by_gram: dict[bytes, list[Signature]]
    by_anchor: dict[bytes, list[Signature]]
    grams: frozenset[bytes]


@cache
def _indexed() -> _Index:
    shared = Counter(gram for known in signatures() for piece in known.pieces for gram in _grams(piece))
    by_gram: dict[bytes, list[Signature]] = {}
    short: list[Signature] = []
    for known in signatures():
        windows = [window for piece in known.pieces for window in _windows(piece)]
        if not windows:
            short.append(known)
            continue
        for gram in min(map(_grams, windows), key=lambda ones: sum(shared[gram] for gram in ones)):
            by_gram.setdefault(gram, []).append(known)
    return _Index(by_gram, _anchored(short), frozenset(by_gram))


def _anchored(short: list[Signature]) -> dict[bytes, list[Signature]]:
    common = Counter(piece for known in short for piece in known.pieces if len(piece) >= _GRAM)
    anchors: dict[bytes, list[Signature]] = {}
    for known in short:
        anchor = max(known.pieces, key=lambda piece: (common[piece], len(piece)))
        anchors.setdefault(anchor, []).append(known)
    return anchors


def _windows(piece: bytes) -> list[bytes]:
    return [piece[start : start + _WINDOW] for start in range(len(piece) - _WINDOW + 1)]


def _grams(letters: bytes) -> list[bytes]:
    return [letters[start : start + _GRAM] for start in range(len(letters) - _GRAM + 1)]


def _hits_of_numbers(text: bytes) -> Iterator[Hit]:
    for one in numbered(text):
        known = _numbers().get((one.kind, one.number))
        if known:
            yield Hit(one.start, one.end, known)


def _hits(known: Signature, text: bytes) -> Iterator[Hit]:
    """By its longest piece, which stands in fewest places, and what has to be before and behind that."""
    longest = max(range(len(known.pieces)), key=lambda place: len(known.pieces[place]))
    before, anchor, behind = known.pieces[:longest], known.pieces[longest], known.pieces[longest + 1 :]
    place = text.find(anchor)
    while place >= 0:
        start, end = _start(before, text, place), _end(behind, text, place + len(anchor))
        if start is not None and end is not None:
            yield Hit(start, end, known)
        place = text.find(anchor, place + len(anchor))


def _start(pieces: tuple[bytes, ...], text: bytes, start: int) -> int | None:
    """Returns where the first of these pieces starts, each within a gap of the one behind; None: one is missing."""
    for piece in reversed(pieces):
        start = text.rfind(piece, max(start - GAP - len(piece), 0), start)
        if start < 0:
            return None
    return start


def _end(pieces: tuple[bytes, ...], text: bytes, end: int) -> int | None:
    """Returns where the last of these pieces ends, each within a gap of the one before; None: one is missing."""
    for piece in pieces:
        found = text.find(piece, end, end + GAP + len(piece))
        if found < 0:
            return None
        end = found + len(piece)
    return end


def outermost(found: Iterable[Hit]) -> Iterator[Hit]:
    """Yields the hits, which are in order, but for those within one of a longer signature that says all of it."""
    around: list[Hit] = []
    for hit in found:
        around = [one for one in around if one.end > hit.start]
        if not any(one.end >= hit.end and _speaks_for(one.signature, hit.signature) for one in around):
            yield hit
        around.append(hit)


def _speaks_for(outer: Signature, inner: Signature) -> bool:
    """Whether a core line that holds another one tells all that it tells: what stands in a gap is no part of it."""
    longer = outer.letters > inner.letters and outer.strength.weight >= inner.strength.weight
    return longer and all(any(piece in whole for whole in outer.pieces) for piece in inner.pieces)
