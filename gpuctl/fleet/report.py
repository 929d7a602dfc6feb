"""A run as it is told: classes of hosts, who is not like the others, which names are not one host each, who is silent.

What is held of a host are the facts that it is compared by and its class. A class is hosts with the same findings and
the same of the facts that KeyFact.is_class names; the words of its findings are those of its first host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gpuctl.checks.mendable import LOUD, MENDABLE
from gpuctl.fleet.identity import Twins, impostors, twins
from gpuctl.fleet.judge import JudgedHost, SaidFinding, judge_run
from gpuctl.fleet.key_facts import HOST_FACTS, GpuFacts, KeyFacts
from gpuctl.fleet.outliers import OddGpus, Spread, odd_gpus, products, spreads
from gpuctl.fleet.run_folder import HostOutcome, RecordedRun, State
from gpuctl.fleet.silence import Share, silence_code
from gpuctl.frozen import dataclass
from gpuctl.model import Action, ExitCode, Status

CLASS_FACTS = tuple(fact for fact in HOST_FACTS if fact.is_class)

Mark = tuple[str, Status, bool]
"""What tells findings of one kind from others: id, status, and whether it is waived."""


@dataclass(frozen=True)
class Kind:
    """What hosts of one class have alike: findings by id, status and whether they are waived, products and facts."""

    findings: tuple[Mark, ...]
    products: tuple[str, ...]
    values: tuple[str | None, ...]
    """Those of CLASS_FACTS."""
    action: Action

    @property
    def code(self) -> ExitCode:
        """What the doctor of one of these hosts ends with."""
        statuses = {status for _, status, waived in self.findings if not waived}
        if Status.FAIL in statuses:
            return ExitCode.PROBLEM
        return ExitCode.UNDETERMINED if Status.UNKNOWN in statuses else ExitCode.GOOD

    @property
    def is_warned(self) -> bool:
        """Whether a warning counts."""
        return any(status is Status.WARN and not waived for _, status, waived in self.findings)


@dataclass(frozen=True)
class HostRecord:
    """One host: how it ended, and where it has reported what it is. `at` is when it was recorded."""

    outcome: HostOutcome
    at: float
    hostname: str
    kind: Kind | None
    key: KeyFacts | None


@dataclass(frozen=True)
class HostClass:
    """Hosts that are alike, by their names; `findings` in the words of the first."""

    kind: Kind
    hosts: tuple[str, ...]
    findings: tuple[SaidFinding, ...]


@dataclass(frozen=True)
class FleetFinding:
    """A finding with all hosts that have it, in the words of the first of them.

    `classes` are the classes of these hosts by their places in the report, from 1 on. `varies`: other hosts say it in
    other words, or with other commands.
    """

    finding: SaidFinding
    hosts: tuple[str, ...]
    classes: tuple[int, ...]
    varies: bool


@dataclass(frozen=True)
class Silence:
    """Hosts that ended without a report in one way, each with its reason."""

    state: State
    hosts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FleetReport:
    """All that is told of a run; `hosts` in the order in which they were asked for."""

    run: RecordedRun
    hosts: tuple[HostRecord, ...]
    classes: tuple[HostClass, ...]
    silences: tuple[Silence, ...]
    spreads: tuple[Spread, ...]
    odd: tuple[OddGpus, ...]
    twins: tuple[Twins, ...]
    findings: tuple[FleetFinding, ...]
    """Those of all classes, each once: worst first, what is waived last, then what most hosts have."""

    @property
    def silent(self) -> int:
        """How many hosts have not reported."""
        return sum(len(one.hosts) for one in self.silences)

    @property
    def outliers(self) -> tuple[Spread, ...]:
        """The facts in which hosts differ from the majority."""
        return tuple(one for one in self.spreads if one.differing)

    @property
    def is_mendable(self) -> bool:
        """Whether gpuctl can mend a finding of theirs."""
        loud = [one.finding for one in self.findings if one.finding.status in LOUD and not one.finding.waived]
        return any(one.id in MENDABLE and one.commands for one in loud)

    @property
    def action(self) -> Action:
        """The gravest that a host asks for."""
        asked = [one.kind.action for one in self.classes]
        return max(asked, key=list(Action).index, default=Action.NOTHING_NOW)

    def code(self, allowed: Share, strict: bool) -> ExitCode:
        """Returns the exit code: that of the worst host, where no more than `allowed` are silent.

        `strict`: warnings, unknowns and whoever differs count as a problem.
        """
        codes = {one.kind.code for one in self.classes}
        codes.add(silence_code((one.outcome.state for one in self.hosts), allowed))
        doubts = ExitCode.UNDETERMINED in codes or any(one.kind.is_warned for one in self.classes)
        if ExitCode.PROBLEM in codes or (strict and (doubts or self.outliers or self.odd or self.twins)):
            return ExitCode.PROBLEM
        return ExitCode.UNDETERMINED if ExitCode.UNDETERMINED in codes else ExitCode.GOOD


def report_of(run: RecordedRun, told: Callable[[], None] = lambda: None) -> FleetReport:
    """Returns what is told of a run, judged by the knowledge of today. `told` is called after each host.

    Call it where no other thread runs.
    """
    return folded(run, _counted(judge_run(run), told))


def _counted(judged: Iterable[JudgedHost], told: Callable[[], None]) -> Iterable[JudgedHost]:
    for one in judged:
        told()
        yield one


def folded(run: RecordedRun, judged: Iterable[JudgedHost]) -> FleetReport:
    """Returns what is told of hosts that come one by one; of each no more is kept than is told."""
    memory: dict[Any, Any] = {}
    words: dict[Kind, tuple[SaidFinding, ...]] = {}
    varied: set[Mark] = set()
    found: dict[str, HostRecord] = {}
    for one in judged:
        record = _record(one, memory)
        found[one.outcome.host] = record
        if record.kind is not None:
            first = words.setdefault(record.kind, one.findings)
            varied |= {_mark(said) for said, other in zip(one.findings, first, strict=True) if said != other}
    records = _without_impostors(found, run.hosts)
    keys = {host: one.key for host, one in records.items() if one.key is not None}
    spread = spreads(keys)
    named = products(keys)
    whole = {host: _with_products(one, named.get(host, ())) for host, one in records.items()}
    ordered = tuple(whole[host] for host in run.hosts if host in whole)
    classes = _classes(ordered, words)
    findings = tuple(_findings(classes, varied))
    odd = odd_gpus(keys, spread)
    return FleetReport(run, ordered, classes, _silences(ordered), spread, odd, twins(keys), findings)


def _mark(said: SaidFinding) -> Mark:
    return said.id, said.status, bool(said.waived)


def _findings(classes: tuple[HostClass, ...], varied: set[Mark]) -> Iterator[FleetFinding]:
    having: dict[Mark, list[int]] = defaultdict(list)
    words: dict[Mark, list[SaidFinding]] = defaultdict(list)
    largest = sorted(range(len(classes)), key=lambda place: -len(classes[place].hosts))
    for place in largest:
        for said in classes[place].findings:
            having[_mark(said)].append(place)
            words[_mark(said)].append(said)
    hosts = {mark: tuple(host for place in places for host in classes[place].hosts) for mark, places in having.items()}
    for mark in sorted(having, key=lambda mark: (mark[2], list(Status).index(mark[1]), -len(hosts[mark]), mark[0])):
        numbers = tuple(sorted(place + 1 for place in having[mark]))
        yield FleetFinding(words[mark][0], hosts[mark], numbers, mark in varied or len(set(words[mark])) > 1)


def _record(one: JudgedHost, memory: dict[Any, Any]) -> HostRecord:
    """The record of a host; what it has in common with others it shares with them in memory."""
    if one.key is None:
        return HostRecord(one.outcome, one.at, one.hostname, None, None)

    def shared(value: Any) -> Any:
        return memory.setdefault(value, value)

    key = one.key
    gpus = (
        GpuFacts(gpu.index, gpu.uuid, shared(gpu.product), shared(tuple(map(shared, gpu.values)))) for gpu in key.gpus
    )
    kept = KeyFacts(
        key.machine,
        shared(tuple(map(shared, key.values))),
        tuple(gpus),
        shared(key.boards),
        shared(tuple(map(shared, key.changes))),
        key.boot,
    )
    findings = tuple(map(_mark, one.findings))
    values = tuple(value for fact, value in zip(HOST_FACTS, kept.values, strict=True) if fact.is_class)
    kind = shared(Kind(findings, (), values, one.action))
    return HostRecord(one.outcome, one.at, one.hostname, kind, kept)


def _with_products(one: HostRecord, names: tuple[str, ...]) -> HostRecord:
    return replace(one, kind=replace(one.kind, products=names)) if one.kind is not None and names else one


def _without_impostors(found: Mapping[str, HostRecord], names: tuple[str, ...]) -> dict[str, HostRecord]:
    keys = {host: one.key for host, one in found.items() if one.key is not None}
    others = impostors({host: one.hostname for host, one in found.items()}, names, keys)
    return {host: _broken(one, others[host]) if host in others else one for host, one in found.items()}


def _broken(one: HostRecord, other: str) -> HostRecord:
    why = f"its snapshot is that of a host that calls itself {one.hostname}, and {other} is another host of this run"
    outcome = replace(one.outcome, state=State.BROKEN, detail=why, snapshot=None)
    return HostRecord(outcome, one.at, one.hostname, None, None)


def _classes(records: Iterable[HostRecord], words: Mapping[Kind, tuple[SaidFinding, ...]]) -> tuple[HostClass, ...]:
    """Worst first, of those alike the largest."""
    hosts: dict[Kind, list[str]] = defaultdict(list)
    for one in records:
        if one.kind is not None:
            hosts[one.kind].append(one.outcome.host)
    found = (HostClass(kind, tuple(names), words[replace(kind, products=())]) for kind, names in hosts.items())
    return tuple(sorted(found, key=lambda one: (_rank(one.kind), -len(one.hosts), one.hosts)))


def _rank(kind: Kind) -> int:
    statuses = [status for _, status, waived in kind.findings if not waived]
    return min((list(Status).index(status) for status in statuses), default=len(Status))


def _silences(records: Iterable[HostRecord]) -> tuple[Silence, ...]:
    hosts: dict[State, list[tuple[str, str]]] = defaultdict(list)
    for one in records:
        if one.kind is None:
            hosts[one.outcome.state].append((one.outcome.host, one.outcome.detail))
    return tuple(Silence(state, tuple(hosts[state])) for state in State if state in hosts)
