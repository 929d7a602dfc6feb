"""Which other causes are found behind what a text shows: the line of a symptom does not hold its cause."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.compat.knowledge.errors.failures import Family, families
from gpuctl.compat.knowledge.errors.symptoms import symptoms
from gpuctl.diagnose.answer import Confidence, Match

MOST = 6
"""Causes that are named besides: with the matches they stay on one screen."""


def behind(shown: tuple[Match, ...]) -> tuple[Family, ...]:
    """Returns families that were found behind what is shown, those that mended most often first.

    None where something is certain. Of the symptoms that a family shows it is the one that has most of the candidates.
    """
    if any(match.confidence is Confidence.CERTAIN for match in shown):
        return ()
    named = {match.family.id for match in shown}
    places: dict[str, int] = {}
    for match in _leading(shown):
        told = [symptom for symptom in symptoms() if match.family.id in symptom.shown_by]
        likeliest = max(told, key=lambda symptom: len(named.intersection(symptom.causes)), default=None)
        others = [id for id in likeliest.causes if id not in named] if likeliest else []
        for place, id in enumerate(others):
            places[id] = min(places.get(id, place), place)
    return tuple(families()[id] for id in sorted(places, key=lambda id: places[id])[:MOST])


def _leading(shown: tuple[Match, ...]) -> Iterator[Match]:
    """The likely ones; where no known line stands, the nearest."""
    likely = [match for match in shown if match.confidence is Confidence.LIKELY]
    yield from likely or shown[:1]
