"""In how many lines of which families each term stands: what a text is compared with to find what it resembles.

It follows from the tables, and putting every line of every family into terms takes longer than all else that is done
with a short text. So it is kept beside them, with the checksum of those that it was made of: where other tables are put
over them, or the file is not of today's, it is made anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from zlib import crc32

from gpuctl.compat.knowledge.errors.codes import codes
from gpuctl.compat.knowledge.errors.failures import Family, families
from gpuctl.compat.knowledge.errors.meanings import family_words
from gpuctl.compat.tables.loader import data_dir, read_lines
from gpuctl.diagnose.terms import terms
from gpuctl.frozen import dataclass

FILE = "family_terms.json"
_TABLES = ("cuda_errors", "failures", "family_words", "meanings", "nvml_errors", "printed_lines", "xids")
"""What it is made of."""


@dataclass(frozen=True)
class FamilyTerms:
    """`sizes`: how many terms a family's lines have in all. `lines`: by term, how many lines of each family have it."""

    sizes: Mapping[str, int]
    lines: Mapping[str, Mapping[str, int]]


@cache
def family_terms() -> FamilyTerms:
    """Returns them as they are kept, or made of the tables where that is not theirs."""
    try:
        kept = json.loads((data_dir() / FILE).read_text(encoding="utf-8"))
        return FamilyTerms(kept["sizes"], kept["lines"]) if kept["of"] == _checksum() else made()
    except (OSError, ValueError, KeyError, TypeError):
        return made()


def made() -> FamilyTerms:
    """Returns them made of the tables as they are."""
    lines: dict[str, dict[str, int]] = {}
    sizes: dict[str, int] = {}
    for family in families().values():
        document = Counter(chain.from_iterable(map(terms, _told(family))))
        sizes[family.id] = sum(document.values())
        for term, count in document.items():
            lines.setdefault(term, {})[family.id] = count
    return FamilyTerms(sizes, lines)


def text() -> str:
    """Returns what FILE holds for the tables as they are, a term a line."""
    now = made()
    lines = ",\n".join(f"{json.dumps(term)}: {json.dumps(now.lines[term])}" for term in sorted(now.lines))
    return f'{{"of": {_checksum()},\n"sizes": {json.dumps(now.sizes)},\n"lines": {{\n{lines}\n}}}}\n'


def _checksum() -> int:
    return crc32("".join(chain.from_iterable(map(read_lines, _TABLES))).encode())


def _told(family: Family) -> Iterator[str]:
    """The lines of a family: its core lines, what it is, and in which words it is told."""
    for core in family.known_by:
        code = codes().get(core[1:]) if core.startswith("@") else None
        yield from code.wordings if code else (core,)
    yield from (*family.context, family.title, family.cause, family.id.replace("-", " "), family.tells_apart or "")
    yield from family_words().get(family.id, ())
