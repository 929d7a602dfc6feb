"""Which other causes are found behind what a text shows: the line of a symptom does not hold its cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpuctl.compat.knowledge.errors.failures import families
from gpuctl.compat.knowledge.errors.symptoms import causes_behind
from gpuctl.diagnose.answer import UNKNOWN_HOST, Confidence, Match, found_here
from gpuctl.diagnose.resembling import NEAREST, nearness
from gpuctl.diagnose.scan import Sighting
from gpuctl.model import Report

MOST, IN_ALL = 6, 12
"""Causes that are named besides, and with the matches: so they stay on one screen."""


def behind(shown: tuple[Match, ...], report: Report = UNKNOWN_HOST, text: bytes = b"") -> tuple[Match, ...]:
    """Returns what was found behind what is shown: what this host has, then what mended often and is near to `text`.

    Of the text its other lines count. None where something is certain. Of the symptoms that a family shows it is the
    one that has most of the candidates.
    """
    if any(match.confidence is Confidence.CERTAIN for match in shown):
        return ()
    causes = _causes(shown)
    here = dict(found_here(causes, report))
    room = max(0, min(MOST, IN_ALL - len(shown)))
    near = nearness(text, _known(shown)) if causes else {}
    worth = _worth({id: place for id, (place, _) in causes.items()}, near)
    ordered = sorted(causes, key=lambda id: (id not in here, -worth[id]))
    return tuple(Match(families()[id], Confidence.POSSIBLE, causes[id][1], here.get(id)) for id in ordered[:room])


def _known(shown: tuple[Match, ...]) -> frozenset[int]:
    """The lines of the symptom: they are the same whatever stands behind it."""
    known = (match for match in shown if match.confidence is not Confidence.RESEMBLING)
    return frozenset(seen.line for match in known for seen in match.evidence)


def _worth(places: Mapping[str, int], near: Mapping[str, float]) -> dict[str, float]:
    """What speaks for each cause: one by its place among those of the symptom, and half by its place among the nearest.

    The reciprocals of two places, added: reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009).
    """
    nearest = sorted((id for id in places if id in near), key=lambda id: -near[id])
    told = {id: 1 / place for place, id in enumerate(nearest, 1)}
    return {id: 1 / (place + 1) + told.get(id, 0.0) / 2 for id, place in places.items()}


def _causes(shown: tuple[Match, ...]) -> dict[str, tuple[int, tuple[Sighting, ...]]]:
    """The causes behind what is shown, each with its best place among those of a symptom, and the symptom's lines."""
    named = {match.family.id for match in shown}
    causes: dict[str, tuple[int, tuple[Sighting, ...]]] = {}
    for match in _leading(shown):
        others = (id for id in causes_behind(match.family.id, named) if id not in named)
        for place, id in enumerate(others):
            if id not in causes or place < causes[id][0]:
                causes[id] = (place, match.evidence)
    return causes


def _leading(shown: tuple[Match, ...]) -> Iterator[Match]:
    """The likely ones; where no known line stands, the nearest."""
    likely = [match for match in shown if match.confidence is Confidence.LIKELY]
    yield from likely or shown[:NEAREST]
