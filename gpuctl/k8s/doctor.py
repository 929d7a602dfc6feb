"""A cluster's doctor: its classes of nodes, the chain of one node, and what the checks say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gpuctl.frozen import dataclass
from gpuctl.k8s.checks import CHECKS, View, diagnose
from gpuctl.k8s.cluster import OF_OPERATOR, Cluster
from gpuctl.k8s.gpu_nodes import Link, NodeClass, chain, classes, dropped
from gpuctl.k8s.host_reports import HostReport, joined
from gpuctl.k8s.live import List, lists_of
from gpuctl.k8s.objects import ClusterNode, Pod, SelectorRequirement, Slice, Thing
from gpuctl.k8s.operands import OPERATOR, is_operand
from gpuctl.k8s.scene import scene_of
from gpuctl.k8s.selectors import selects
from gpuctl.model import Report


class NoSuchNode(ValueError):
    """The node that was named, or what selects nodes, is none; the message is a sentence. `known`: the nodes' names."""

    def __init__(self, message: str, known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.known = tuple(known)


@dataclass(frozen=True)
class Examination:
    """What the doctor found: `nodes` of how many with GPUs, and `chain` where one node was asked about.

    `drop` is the first link of the chain at which the number drops, "" where there is none. `stale`: the node's own
    report is of an earlier boot.
    """

    nodes: int
    classes: tuple[NodeClass, ...]
    node: str | None
    chain: tuple[Link, ...]
    drop: str
    stale: bool
    report: Report


_ALWAYS = ("Node", "Pod", "ResourceSlice", "ResourceClaim")
"""What the classes of nodes and a node's chain are made of."""


def lists_for(node: str | None) -> Mapping[str, List]:
    """Returns the lists that a doctor asks for: what its checks need of a cluster, or of one node.

    What is given by claims, and what the operator says, is asked for where pods or slices show that there is any.
    """
    needed = {kind for one in CHECKS.values() if node is None or not one.of_cluster for kind in one.needs}
    lists = dict(lists_of({*_ALWAYS, *OF_OPERATOR, *needed}, node))
    if "Event" in lists:
        lists["Event"] = replace(lists["Event"], only=("reason=FailedCreate", "reason=FailedCreatePodSandBox"))
    tells = dict.fromkeys(("DeviceClass", "ResourceClaim"), _has_claims) | dict.fromkeys(OF_OPERATOR, _has_operator)
    return {kind: replace(one, tells=tells.get(kind, one.tells)) for kind, one in lists.items()}


def _has_claims(read: Iterable[Thing]) -> bool:
    return any(isinstance(one, Slice) or (isinstance(one, Pod) and bool(one.claims)) for one in read)


def _has_operator(read: Iterable[Thing]) -> bool:
    return any(isinstance(one, Pod) and (OPERATOR in one.labels.values() or is_operand(one)) for one in read)


def examine(
    cluster: Cluster, node: str | None = None, selector: str | None = None, hosts: Iterable[HostReport] = ()
) -> Examination:
    """Returns what is wrong in a cluster, or on the nodes that are chosen; `hosts` are the nodes' own reports.

    Raises NoSuchNode.
    """
    scene = scene_of(cluster)
    nodes = _chosen(cluster, node, selector)
    reports = joined(hosts, cluster.nodes)
    links = chain(nodes[0], scene, reports.fresh(nodes[0].name)) if node else ()
    of_node = reports.by_node.get(node or "")
    return Examination(
        len(nodes),
        classes(nodes, scene),
        node,
        links,
        dropped(nodes[0], links) if links else "",
        bool(of_node and of_node.stale),
        diagnose(View(scene, nodes, not (node or selector), reports)),
    )


def _chosen(cluster: Cluster, name: str | None, selector: str | None) -> tuple[ClusterNode, ...]:
    wanted = selector_of(selector) if selector else ()
    nodes = tuple(one for one in cluster.nodes if name in (None, one.name) and selects(wanted, one.labels))
    if (name or selector) and not nodes and not cluster.lacks("Node"):
        known = (one.name for one in cluster.nodes) if name else ()
        raise NoSuchNode(f"there is no node {name or f'with the labels {selector}'}.", known)
    if name and not nodes:
        raise NoSuchNode(f"the nodes cannot be told: {cluster.lacks('Node')}")
    return nodes


def selector_of(text: str) -> tuple[SelectorRequirement, ...]:
    """Returns what `kubectl -l` takes in its plainest form. Raises NoSuchNode.

    nvidia.com/gpu.product=Tesla-T4,pool!=old,nvidia.com/gpu.present
    """
    return tuple(_requirement(part.strip()) for part in text.split(","))


def _requirement(part: str) -> SelectorRequirement:
    for sign, operator in (("!=", "NotIn"), ("==", "In"), ("=", "In")):
        key, found, value = part.partition(sign)
        if found and key:
            return SelectorRequirement(key.strip(), operator, (value.strip(),))
    if not part or part.startswith("=") or " " in part:
        raise NoSuchNode(f"{part!r} selects no labels: write KEY=VALUE, KEY!=VALUE, KEY or !KEY, with commas between")
    return SelectorRequirement(part.removeprefix("!"), "DoesNotExist" if part.startswith("!") else "Exists")
