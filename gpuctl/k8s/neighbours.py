"""What other pods mean for where a pod may lie: pods to be near, pods to keep apart from, and evenness.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from gpuctl.frozen import dataclass
from gpuctl.k8s.objects import NAMED, ClusterNode, Pod, PodTerm, Spread
from gpuctl.k8s.scene import Scene
from gpuctl.k8s.selectors import is_meant, selects, wanted_of

_Domain = tuple[str, str]
"""A label of nodes and its value."""


@dataclass(frozen=True)
class Neighbours:
    """For one pod: the domains that its own and others' anti-affinity forbid, those near which it has to be, evenness.

    `near` are the domains of each term, None where nothing is there yet and the pod itself is what it wants to be near.
    `crowded` are each constraint's domains that are too full.
    """

    refused_by_others: frozenset[_Domain]
    refused_by_itself: frozenset[_Domain]
    near: tuple[tuple[PodTerm, frozenset[_Domain] | None], ...]
    crowded: tuple[tuple[Spread, frozenset[str]], ...]

    def refusals(self, node: ClusterNode) -> Iterator[tuple[str, str]]:
        """Yields why the pod cannot lie on this node: by whose rule, and a clause; in the scheduler's order."""
        for spread, crowded in self.crowded:
            value = node.labels.get(spread.topology_key)
            if value is None:
                yield "spread", f"it has no label {spread.topology_key}, over which the pod is to be spread"
            elif value in crowded:
                yield "spread", f"{spread.topology_key}={value} has its share of such pods already"
        domains = set(node.labels.items())
        for term, there in self.near:
            if term.topology_key not in node.labels or (there is not None and not there & domains):
                others = sorted(value for _, value in there or ())[:NAMED]
                where = f"those are in {', '.join(others)}" if others else "there is none"
                yield "affinity", f"no pod that this one has to be near is in its {term.topology_key}: {where}"
        for rule, refused in (("anti-affinity", self.refused_by_itself), ("others-apart", self.refused_by_others)):
            found = next(iter(refused & domains), None)
            if found:
                whose = "the pod keeps apart from one" if rule == "anti-affinity" else "a pod keeps apart from this one"
                yield rule, f"{whose} in {found[0]}={found[1]}"


def neighbours_of(pod: Pod, scene: Scene) -> Neighbours:
    """Returns what the pods that are bound mean for where this pod, which is not, may lie."""
    nodes = {node.name: node for node in scene.cluster.nodes}
    placed = [(other, nodes[name]) for name, pods in scene.on_node.items() if name in nodes for other in pods]
    by_others = (
        (term.topology_key, node.labels[term.topology_key])
        for other, node in placed
        for term in other.placement.apart
        if term.topology_key in node.labels and is_meant(term, pod)
    )
    by_itself = (domain for term in pod.placement.apart for domain in _domains(term, placed))
    near = ((term, _near(pod, term, placed)) for term in pod.placement.near)
    crowded = ((one, _crowded(pod, one, scene, placed)) for one in pod.placement.spread)
    return Neighbours(frozenset(by_others), frozenset(by_itself), tuple(near), tuple(crowded))


_Placed = list[tuple[Pod, ClusterNode]]


def _domains(term: PodTerm, placed: _Placed) -> Iterator[_Domain]:
    key = term.topology_key
    return ((key, node.labels[key]) for other, node in placed if key in node.labels and is_meant(term, other))


def _near(pod: Pod, term: PodTerm, placed: _Placed) -> frozenset[_Domain] | None:
    there = frozenset(_domains(term, placed))
    first = not there and all(is_meant(one, pod) for one in pod.placement.near)
    return None if first else there


def _crowded(pod: Pod, spread: Spread, scene: Scene, placed: _Placed) -> frozenset[str]:
    """The values of the label at which one more such pod is too many. Nodes that the pod may not use do not count."""
    keys = [one.topology_key for one in pod.placement.spread]
    eligible = [
        node
        for node in scene.cluster.nodes
        if all(key in node.labels for key in keys) and not wanted_of(pod.placement, node)
    ]
    counts = Counter({node.labels[spread.topology_key]: 0 for node in eligible})
    names = {node.name for node in eligible}
    for other, node in placed:
        if node.name in names and other.namespace == pod.namespace and selects(spread.selector, other.labels):
            counts[node.labels[spread.topology_key]] += 1
    least = min(counts.values(), default=0) if len(counts) >= spread.min_domains else 0
    own = int(selects(spread.selector, pod.labels))
    return frozenset(value for value, count in counts.items() if count + own - least > spread.max_skew)
