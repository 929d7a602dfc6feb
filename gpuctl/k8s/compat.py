"""Whether something runs on a cluster: asked of each class of its nodes, and a nodeSelector for where it does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

from gpuctl.compat.answer.answer import Compatibility, check
from gpuctl.compat.ask.question import Machine, Question
from gpuctl.compat.knowledge.gpus.gpus import gpu_described
from gpuctl.frozen import dataclass
from gpuctl.k8s.cluster import Cluster
from gpuctl.k8s.gpu_nodes import capability, driver, has_gpus, product
from gpuctl.k8s.host_reports import HostReport, joined
from gpuctl.k8s.objects import ClusterNode
from gpuctl.k8s.scene import Scene, scene_of
from gpuctl.model import Verdict

RUNS = (Verdict.COMPATIBLE, Verdict.LIMITED)
SELECTING = (
    "nvidia.com/gpu.product",
    "nvidia.com/gpu.family",
    "nvidia.com/gpu.compute.major",
    "nvidia.com/cuda.driver-version.major",
    "nvidia.com/cuda.driver-version.full",
    "nvidia.com/cuda.driver.major",
    "nvidia.com/cuda.driver.minor",
    "nvidia.com/gpu.present",
)
"""Labels of GFD's by which nodes are picked, the plainest first."""


@dataclass(frozen=True)
class ClassAnswer:
    """Nodes with the same GPUs and driver, and whether it runs there; `unknown` says why that cannot be told."""

    nodes: tuple[str, ...]
    product: str
    capability: str
    driver: str | None
    answer: Compatibility | None
    unknown: str

    @property
    def verdict(self) -> Verdict:
        """The answer's verdict."""
        return self.answer.verdict if self.answer else Verdict.UNKNOWN


@dataclass(frozen=True)
class ClusterAnswer:
    """The answer for a cluster, the best class first. `selector` picks `picked` of the nodes on which it runs, and no
    node with GPUs on which it does not; empty where no labels do that.
    """

    classes: tuple[ClassAnswer, ...]
    selector: Mapping[str, str]
    picked: int

    @property
    def verdict(self) -> Verdict:
        """The best: it needs to run somewhere."""
        order = list(Verdict)
        return min((one.verdict for one in self.classes), key=order.index, default=Verdict.UNKNOWN)

    @property
    def runs_on(self) -> int:
        """On how many nodes it runs."""
        return sum(len(one.nodes) for one in self.classes if one.verdict in RUNS)


def cluster_answer(cluster: Cluster, question: Question, hosts: Iterable[HostReport] = ()) -> ClusterAnswer:
    """Returns whether what is asked runs on each class of a cluster's nodes; `hosts` are the nodes' own reports."""
    scene, reports = scene_of(cluster), joined(hosts, cluster.nodes)
    by_kind: dict[tuple[str, str, str | None], list[ClusterNode]] = {}
    nodes = [node for node in cluster.nodes if has_gpus(node, scene)]
    for node in nodes:
        by_kind.setdefault(_told(node, scene, reports.fresh(node.name)), []).append(node)
    order = list(Verdict)
    answers = [_answered(kind, group, question) for kind, group in by_kind.items()]
    ranked = sorted(answers, key=lambda one: (order.index(one.verdict), -len(one.nodes)))
    good = {name for one in answers if one.verdict in RUNS for name in one.nodes}
    selector, picked = _selector([node for node in nodes if node.name in good], nodes)
    return ClusterAnswer(tuple(ranked), selector, picked)


def _told(node: ClusterNode, scene: Scene, report: HostReport | None) -> tuple[str, str, str | None]:
    """A node's GPUs and driver, by GFD's labels, else by what a DRA driver says of its devices, else by its report."""
    name, compute, version = product(node), capability(node), driver(node)
    one = next((one for one in scene.cluster.slices if one.node == node.name and one.product), None)
    if one and not (name or compute):
        name, compute = one.product, one.capability
    return name, compute, version or (one and one.driver_version) or (report and report.driver) or None


def _answered(kind: tuple[str, str, str | None], group: list[ClusterNode], question: Question) -> ClassAnswer:
    name, compute, version = kind
    names = tuple(node.name for node in group)
    lacking = [what for what, told in (("GPU", name or compute), ("driver", version)) if not told]
    if lacking:
        unknown = f"its labels do not tell the {' and the '.join(lacking)}: GPU Feature Discovery writes these"
        return ClassAnswer(names, name, compute, version, None, unknown)
    try:
        machine = Machine(version, (gpu_described(name.replace("-", " "), compute),))
        return ClassAnswer(names, name, compute, version, check(question, machine), "")
    except ValueError as error:
        return ClassAnswer(names, name, compute, version, None, str(error))


def _selector(good: list[ClusterNode], nodes: list[ClusterNode]) -> tuple[Mapping[str, str], int]:
    """The fewest labels, two at most, that pick most of the good nodes and no other one with GPUs."""
    best: tuple[Mapping[str, str], int] = {}, 0
    for wanted in _candidates(good):
        picked = [node for node in nodes if all(node.labels.get(key) == value for key, value in wanted)]
        if len(picked) > best[1] and all(node in good for node in picked):
            best = dict(wanted), len(picked)
    return best


def _candidates(good: list[ClusterNode]) -> Iterator[tuple[tuple[str, str], ...]]:
    labels = {tuple((key, node.labels[key]) for key in SELECTING if key in node.labels) for node in good}
    for size in (1, 2):
        yield from dict.fromkeys(pair for one in sorted(labels) for pair in combinations(one, size))
