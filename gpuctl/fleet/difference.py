"""What differs between two runs of one fleet: hosts that came and went, and what changed on the others, in groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from gpuctl.fleet.judge import SaidFinding
from gpuctl.fleet.key_facts import GPU_FACTS, HOST_FACTS, GpuFacts, KeyFact, KeyFacts
from gpuctl.fleet.report import FleetReport, HostRecord
from gpuctl.frozen import dataclass
from gpuctl.model import Status


@dataclass(frozen=True)
class FindingChange:
    """A finding that hosts have and had not, or had and have no more; in its words on one host of them."""

    finding: SaidFinding
    is_new: bool
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class FactChange:
    """A fact that became another one on some hosts; of a GPU's fact each host counts once. None: not told."""

    fact: KeyFact
    old: str | None
    new: str | None
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class StateChange:
    """Hosts that ended otherwise than the last time."""

    old: str
    new: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class FleetDifference:
    """All that differs. `moved` are hosts that are of another class now."""

    came: tuple[str, ...]
    went: tuple[str, ...]
    states: tuple[StateChange, ...]
    moved: tuple[str, ...]
    findings: tuple[FindingChange, ...]
    facts: tuple[FactChange, ...]
    compared: int
    """Hosts that have reported in both runs."""

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.came or self.went or self.states or self.moved or self.findings or self.facts)


def difference(old: FleetReport, new: FleetReport) -> FleetDifference:
    """Returns what differs between two runs, both judged by the knowledge of today; hosts are known by their names."""
    before = {one.outcome.host: one for one in old.hosts}
    after = {one.outcome.host: one for one in new.hosts}
    both = [(host, before[host], after[host]) for host in after if host in before]
    reported = [(host, one, other) for host, one, other in both if one.kind is not None and other.kind is not None]
    return FleetDifference(
        came=tuple(host for host in after if host not in before),
        went=tuple(host for host in before if host not in after),
        states=tuple(_states(both)),
        moved=tuple(host for host, one, other in reported if one.kind != other.kind),
        findings=tuple(_findings(reported, old, new)),
        facts=tuple(_facts(reported)),
        compared=len(reported),
    )


_Pair = tuple[str, HostRecord, HostRecord]


def _states(both: list[_Pair]) -> Iterator[StateChange]:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for host, one, other in both:
        if one.outcome.state is not other.outcome.state:
            found[one.outcome.state.value, other.outcome.state.value].append(host)
    yield from (StateChange(old, new, tuple(hosts)) for (old, new), hosts in found.items())


def _findings(reported: list[_Pair], old: FleetReport, new: FleetReport) -> Iterator[FindingChange]:
    """New ones first, worst first."""
    said = {(one.id, one.status): one for report in (old, new) for kind in report.classes for one in kind.findings}
    found: dict[tuple[bool, str, Status], list[str]] = defaultdict(list)
    for host, one, other in reported:
        before, after = _loud(one), _loud(other)
        for is_new, changed in ((True, after - before), (False, before - after)):
            for id, status in changed:
                found[is_new, id, status].append(host)
    order = sorted(found, key=lambda one: (not one[0], list(Status).index(one[2]), one[1]))
    for is_new, id, status in order:
        yield FindingChange(said[id, status], is_new, tuple(found[is_new, id, status]))


def _loud(one: HostRecord) -> frozenset[tuple[str, Status]]:
    findings = one.kind.findings if one.kind else ()
    return frozenset((id, status) for id, status, waived in findings if not waived)


def _facts(reported: list[_Pair]) -> Iterator[FactChange]:
    found: dict[tuple[int, str | None, str | None], list[str]] = defaultdict(list)
    facts = (*HOST_FACTS, *GPU_FACTS)
    for host, one, other in reported:
        if one.key and other.key:
            for change in dict.fromkeys(_changes(one.key, other.key)):
                found[change].append(host)
    for place, old, new in sorted(found, key=lambda one: (one[0], one[1] or "", one[2] or "")):
        yield FactChange(facts[place], old, new, tuple(found[place, old, new]))


def _changes(old: KeyFacts, new: KeyFacts) -> Iterator[tuple[int, str | None, str | None]]:
    """The place of each fact that changed, in HOST_FACTS and then GPU_FACTS, with its values."""
    yield from _unequal(old.values, new.values, 0)
    before = {_identity(gpu): gpu for gpu in old.gpus}
    for gpu in new.gpus:
        was = before.get(_identity(gpu))
        if was is not None:
            yield from _unequal(was.values, gpu.values, len(HOST_FACTS))


def _identity(gpu: GpuFacts) -> str:
    return gpu.uuid or f"{gpu.index}"


def _unequal(
    old: tuple[str | None, ...], new: tuple[str | None, ...], first: int
) -> Iterator[tuple[int, str | None, str | None]]:
    for place, (one, other) in enumerate(zip(old, new, strict=True), first):
        if one != other:
            yield place, one, other
