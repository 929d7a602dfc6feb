"""The frame around the checks of a cluster: each is asked once for all nodes, and symptoms fold under their cause.

A finding folds only where the cause is on each of its nodes: another node's fault explains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from gpuctl.frozen import dataclass
from gpuctl.k8s.gpu_nodes import has_gpus
from gpuctl.k8s.host_reports import NONE_GIVEN, HostReports
from gpuctl.k8s.objects import NAMED, ClusterNode
from gpuctl.k8s.scene import Scene
from gpuctl.model import Evidence, Finding, Remedy, Report, Status, usual_action

LAYER = "k8s"
EVIDENCE = 50
"""Nodes or pods of which a finding shows what it saw."""


@dataclass(frozen=True)
class View:
    """A cluster, and those of its nodes that are judged; `whole`: all of them. `reports`: of doctors on the nodes."""

    scene: Scene
    nodes: tuple[ClusterNode, ...]
    whole: bool = True
    reports: HostReports = NONE_GIVEN

    @property
    def gpu_nodes(self) -> tuple[ClusterNode, ...]:
        """The nodes judged that have GPUs."""
        return tuple(node for node in self.nodes if has_gpus(node, self.scene))


@dataclass(frozen=True)
class ClusterJudgement:
    """What a check says, and of which nodes or pods: (name, what was seen)."""

    status: Status
    message: str
    of: tuple[tuple[str, str], ...] = ()
    remedy: Remedy | None = None


@dataclass(frozen=True)
class ClusterCheck:
    """A function of a view. `needs` are the kinds without whose lists it cannot be told, `explains` its symptoms.

    One that is `of_cluster` says nothing of single nodes, and is not asked about some of them.
    """

    id: str
    needs: tuple[str, ...]
    explains: tuple[str, ...]
    of_cluster: bool
    judge: Callable[[View], ClusterJudgement | None]


CHECKS: dict[str, ClusterCheck] = {}
_Judge = Callable[[View], ClusterJudgement | None]


def check(
    id: str, needs: tuple[str, ...] = (), explains: tuple[str, ...] = (), of_cluster: bool = False
) -> Callable[[_Judge], _Judge]:
    """Registers a check. Its docstring says what it is about."""

    def register(judge: _Judge) -> _Judge:
        CHECKS[id] = ClusterCheck(id, needs, explains, of_cluster, judge)
        return judge

    return register


def worst_of(
    status: Status, of: Iterable[tuple[str, str]], text: str, good: str, remedy: Remedy | None = None
) -> ClusterJudgement:
    """Returns that something is wrong on some nodes, or where there is none that it is `good`.

    `text` goes behind the nodes' names.
    """
    seen = tuple(of)
    if not seen:
        return ClusterJudgement(Status.PASS, good)
    return ClusterJudgement(status, f"{named(name for name, _ in seen)}: {text}", seen, remedy)


def named(names: Iterable[str]) -> str:
    """Returns names for a sentence: the first few, and how many more."""
    every = list(names)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more


def diagnose(view: View) -> Report:
    """Returns what every check says, worst first, and symptoms as what rests on their cause."""
    said = {id: _ask(one, view) for id, one in CHECKS.items()}
    causes = dict(_causes(said))

    def root(id: str) -> str:
        return root(causes[id]) if id in causes else id

    findings = (_finding(id, one, root(id) if id in causes else None) for id, one in said.items())
    return Report(tuple(sorted(findings, key=lambda one: list(Status).index(one.status))))


def _ask(one: ClusterCheck, view: View) -> ClusterJudgement:
    if one.of_cluster and not view.whole:
        return ClusterJudgement(Status.SKIP, "is about the whole cluster")
    lacking = next(filter(None, map(view.scene.cluster.lacks, one.needs)), "")
    if lacking:
        return ClusterJudgement(Status.UNKNOWN, f"could not be determined: {lacking}")
    return one.judge(view) or ClusterJudgement(Status.SKIP, "does not apply to this cluster")


def _causes(said: Mapping[str, ClusterJudgement]) -> Iterator[tuple[str, str]]:
    """Symptoms with their cause, for those on whose nodes the cause is as well."""
    taken: set[str] = set()
    for id, one in said.items():
        nodes = {name for name, _ in one.of}
        for symptom in CHECKS[id].explains if one.status is Status.FAIL else ():
            other = said[symptom]
            there = {name for name, _ in other.of}
            loud = other.status in (Status.FAIL, Status.WARN)
            if loud and there and there <= nodes and symptom not in taken:
                taken.add(symptom)
                yield symptom, id


def _finding(id: str, said: ClusterJudgement, cause: str | None) -> Finding:
    if cause:
        return Finding(id, LAYER, Status.SKIP, f"rests on {cause}", rests_on=cause)
    evidence = tuple(Evidence(name, text) for name, text in said.of[:EVIDENCE])
    finding = Finding(id, LAYER, said.status, said.message, evidence, said.remedy)
    return replace(finding, action=usual_action(said.status, said.remedy))
