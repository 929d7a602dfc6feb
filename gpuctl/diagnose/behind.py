"""Which other causes are found behind what a text shows: the line of a symptom does not hold its cause."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.compat.knowledge.errors.failures import families
from gpuctl.compat.knowledge.errors.symptoms import causes_behind
from gpuctl.diagnose.answer import UNKNOWN_HOST, Confidence, Match, found_here
from gpuctl.diagnose.scan import Sighting
from gpuctl.model import Report

MOST, IN_ALL = 6, 12
"""Causes that are named besides, and with the matches: so they stay on one screen."""


def behind(shown: tuple[Match, ...], report: Report = UNKNOWN_HOST) -> tuple[Match, ...]:
    """Returns what was found behind what is shown: what this host has, then by how often it mended.

    None where something is certain. Of the symptoms that a family shows it is the one that has most of the candidates.
    """
    if any(match.confidence is Confidence.CERTAIN for match in shown):
        return ()
    causes = _causes(shown)
    here = dict(found_here(causes, report))
    room = max(0, min(MOST, IN_ALL - len(shown)))
    ordered = sorted(causes, key=lambda id: (id not in here, causes[id][0]))
    return tuple(Match(families()[id], Confidence.POSSIBLE, causes[id][1], here.get(id)) for id in ordered[:room])


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
    yield from likely or shown[:1]
