"""From sightings to matches: how sure each family is, what this host says of it, and causes before consequences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

from gpuctl.command import Shell, command
from gpuctl.compat.knowledge.errors.failures import LAYERS, Family, families
from gpuctl.diagnose.scan import Sighting
from gpuctl.diagnose.signatures import Strength
from gpuctl.frozen import dataclass
from gpuctl.model import Finding, Remedy, Report

COLLECT = (
    command("gpuctl", "doctor", "-v"),
    command("nvidia-smi"),
    command("docker", "version", Shell.THEN, "docker", "info"),
    command("journalctl", "-b", "-u", "docker", "-u", "containerd", "-n", "200"),
    command("dmesg", Shell.PIPE, "grep", "-iE", "nvrm|xid|nvidia"),
    command("nvidia-container-cli", "-k", "-d", "/dev/stderr", "info"),
)
"""What to look at, or to send along, where nothing is recognised."""

UNKNOWN_HOST = Report(())


class Confidence(str, Enum):
    """How sure a match is, surest first.

    certain: the core line leaves no other cause, or the host or such a line decides. likely: the most reported of
    those that have it, or the one for which other words speak. possible: another of them. resembling: no known line of
    it is there, but its words are.
    """

    CERTAIN = "certain"
    LIKELY = "likely"
    POSSIBLE = "possible"
    RESEMBLING = "resembling"


@dataclass(frozen=True)
class Match:
    """A family that a text shows, the lines that gave it away, and the doctor's finding that says so of this host."""

    family: Family
    confidence: Confidence
    evidence: tuple[Sighting, ...]
    here: Finding | None = None

    @property
    def sentence(self) -> str:
        """The cause, and what the doctor found of it on this host."""
        return f"{self.family.cause} This host: {self.here.message}" if self.here else self.family.cause

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """What to do: first what the doctor says for this host."""
        own = (self.here.remedy,) if self.here and self.here.remedy else ()
        return (*own, *self.family.remedies)


def can_be_decided(sightings: tuple[Sighting, ...]) -> bool:
    """Returns whether the doctor's checks of a host say more of what was seen."""
    return any(families()[id].checks for sighting in sightings for id in sighting.families)


def matches(sightings: tuple[Sighting, ...], report: Report = UNKNOWN_HOST) -> tuple[Match, ...]:
    """Returns the families that were seen, best first. `report` is the doctor's, of the host where it happened."""
    here = dict(found_here(dict.fromkeys(id for one in sightings for id in one.families), report))
    certain = frozenset(one.families[0] for one in sightings if one.strength is Strength.SURE)
    named = frozenset(id for one in sightings if one.strength is not Strength.SIGN for id in one.families)
    sure: dict[str, Confidence] = {}
    evidence: dict[str, dict[int, Sighting]] = {}
    for sighting in sightings:
        for id, confidence in _settled(sighting, certain, named, here, report):
            sure[id] = min(sure.get(id, confidence), confidence, key=list(Confidence).index)
            lines = evidence.setdefault(id, {})
            lines[sighting.line] = max(
                lines.get(sighting.line, sighting), sighting, key=lambda one: one.strength.weight
            )
    known = families()
    found = tuple(Match(known[id], sure[id], tuple(evidence[id].values()), here.get(id)) for id in sure)
    return tuple(sorted(found, key=lambda match: _rank(match, found)))


def found_here(ids: Iterable[str], report: Report) -> Iterator[tuple[str, Finding]]:
    """Yields those of the families of which the doctor says that this host has them, each with its finding."""
    if not report.findings:
        return
    from gpuctl.checks.select import finding  # for a text from elsewhere no check is asked

    for id in ids:
        family = families()[id]
        told = finding(report, family.checks, family.check_says)
        if told:
            yield id, told


def _settled(
    sighting: Sighting,
    certain: frozenset[str],
    named: frozenset[str],
    here: Mapping[str, Finding],
    report: Report,
) -> Iterator[tuple[str, Confidence]]:
    """The families that a sighting speaks for: all that have its core line, unless something decides for one.

    A mere sign adds nothing but itself to those of its families that other lines name, if they name any.
    """
    ids = sighting.families
    if sighting.strength is Strength.SIGN and named.intersection(ids):
        yield from ((id, Confidence.POSSIBLE) for id in ids if id in named)
        return
    told = [id for id in ids if id in here]
    decided = [id for id in ids if id in certain] or sorted(told, key=lambda id: report.findings.index(here[id]))[:1]
    if decided:
        yield from ((id, Confidence.CERTAIN) for id in decided)
        return
    likely = [id for id in ids if id in sighting.nearby] or ids[:1]
    yield from ((id, Confidence.LIKELY if id in likely else Confidence.POSSIBLE) for id in ids)


def _rank(match: Match, found: tuple[Match, ...]) -> tuple[bool, int, bool, int, int, int, int]:
    """Causes before consequences, the surer before, lines that name a cause before those that only follow from one.

    Those that are only possible stand as their line has them, likeliest first.
    """
    sure = [other for other in found if other.confidence is not Confidence.POSSIBLE]
    follows = any(match.family.id in other.family.explains for other in sure)
    layer = LAYERS.index(match.family.layer)
    confidence = list(Confidence).index(match.confidence)
    only_signs = all(seen.strength is Strength.SIGN for seen in match.evidence)
    possible = match.confidence is Confidence.POSSIBLE
    place = min(seen.families.index(match.family.id) for seen in match.evidence) if possible else 0
    return follows, confidence, only_signs, place, layer, -match.family.reports, match.evidence[0].line
