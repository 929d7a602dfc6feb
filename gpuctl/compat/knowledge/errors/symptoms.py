"""Which causes people found behind what a failure shows: data/symptoms.jsonl."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class Symptom:
    """What a failure shows, the families whose lines show it, and those found behind it, most often mended first."""

    symptom: str
    shown_by: tuple[str, ...]
    causes: tuple[str, ...]
    source: str


@cache
def symptoms() -> tuple[Symptom, ...]:
    """Returns all symptoms."""
    return load("symptoms", Symptom)


def causes_behind(family: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """Returns the causes of the symptom that a family shows; of several the one that has most of the candidates.

    A family that shows none stands itself behind some: one is taken in whose place others are found.
    """
    shown = [symptom.causes for symptom in symptoms() if family in symptom.shown_by]
    among = shown or [symptom.causes for symptom in symptoms() if family in symptom.causes]
    return max(among, key=lambda causes: len(set(causes).intersection(candidates)), default=())
