"""In which words failures are told, and which of them mean the same: data/family_words.jsonl, data/meanings.jsonl."""

from __future__ import annotations

from functools import cache

from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class Meaning:
    """A meaning, and the phrases that have it: words between spaces; one that ends in `*` stands for all that begin so.

    It is what went wrong (missing, denied, busy), the part that it went wrong with, or who says it. `of_gpus`: only
    texts of this field have it.
    """

    meaning: str
    phrases: tuple[str, ...]
    source: str
    of_gpus: bool = False


@cache
def meanings() -> tuple[Meaning, ...]:
    """Returns all meanings, by name."""
    return load("meanings", Meaning)


@dataclass(frozen=True)
class FamilyWords:
    """In which words programs and people tell of a family of failures, where none of its core lines stands."""

    family: str
    told_as: tuple[str, ...]
    source: str


@cache
def family_words() -> dict[str, tuple[str, ...]]:
    """Returns in which words families are told, by family; not all have any."""
    return {row.family: row.told_as for row in load("family_words", FamilyWords)}
