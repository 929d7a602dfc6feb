"""What selects: labels of nodes and pods, and what tolerates a taint.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from gpuctl.k8s.objects import (
    ClusterNode,
    NodeTerm,
    Placement,
    Pod,
    PodTerm,
    Selector,
    SelectorRequirement,
    Taint,
    Toleration,
)

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


def holds(requirement: SelectorRequirement, labels: Mapping[str, str]) -> bool:
    """Returns whether labels are as a requirement wants them; one with an operator that is not known does not hold."""
    value = labels.get(requirement.key)
    operator = requirement.operator
    if operator == "In":
        return value is not None and value in requirement.values
    if operator == "NotIn":
        return value is None or value not in requirement.values
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) is (operator == "Exists")
    bound = requirement.values[0] if len(requirement.values) == 1 else ""
    if operator not in ("Gt", "Lt") or value is None or not (_WHOLE.fullmatch(value) and _WHOLE.fullmatch(bound)):
        return False
    return int(value) > int(bound) if operator == "Gt" else int(value) < int(bound)


def selects(selector: Selector | None, labels: Mapping[str, str]) -> bool:
    """Returns whether a selector selects what has these labels."""
    return selector is not None and all(holds(one, labels) for one in selector)


def wanted_of(placement: Placement, node: ClusterNode) -> tuple[SelectorRequirement, ...]:
    """Returns what a pod's nodeSelector and required node affinity want of this node and it does not have.

    Of several alternatives that with the least missing.
    """
    equal = (SelectorRequirement(key, "In", (value,)) for key, value in placement.node_selector.items())
    missing = tuple(one for one in equal if not holds(one, node.labels))
    if placement.terms is None:
        return missing
    nothing = (SelectorRequirement("nodeAffinity", "selects nothing"),)
    unmet = min((_unmet(term, node) for term in placement.terms), key=len, default=nothing)
    return (*missing, *unmet)


def _unmet(term: NodeTerm, node: ClusterNode) -> tuple[SelectorRequirement, ...]:
    if not term.labels and not term.fields:
        return (SelectorRequirement("nodeAffinity", "selects nothing"),)
    fields = {"metadata.name": node.name}
    labels = tuple(one for one in term.labels if not holds(one, node.labels))
    return (*labels, *(one for one in term.fields if not holds(one, fields)))


def on_one_of(terms: Iterable[NodeTerm], node: ClusterNode) -> bool:
    """Returns whether a node is one of those that these alternatives select."""
    return any(not _unmet(term, node) for term in terms)


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """Returns whether one of the tolerations is for this taint."""
    return any(_tolerates(one, taint) for one in tolerations)


def _tolerates(one: Toleration, taint: Taint) -> bool:
    if one.effect not in ("", taint.effect) or (one.key and one.key != taint.key):
        return False
    if one.operator == "Exists":
        return True
    return one.operator == "Equal" and bool(one.key) and one.value == taint.value


def untolerated(tolerations: Iterable[Toleration], node: ClusterNode) -> tuple[Taint, ...]:
    """Returns the taints of a node that keep such a pod off it, besides that of a node that is cordoned."""
    hard = (one for one in node.taints if one.effect in ("NoSchedule", "NoExecute") and one.key != UNSCHEDULABLE.key)
    return tuple(one for one in hard if not tolerates(tolerations, one))


def is_meant(term: PodTerm, pod: Pod) -> bool:
    """Returns whether a term is about this pod."""
    return (term.namespaces is None or pod.namespace in term.namespaces) and selects(term.selector, pod.labels)
