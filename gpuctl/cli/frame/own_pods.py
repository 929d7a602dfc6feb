"""Pods that gpuctl makes in a cluster for a command: on which nodes, where, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import typer

from gpuctl.cli.frame.cluster import asked, cluster_at
from gpuctl.cli.frame.endings import refused
from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.k8s.cluster import Cluster
    from gpuctl.k8s.live import List
    from gpuctl.k8s.objects import ClusterNode
    from gpuctl.k8s.own_pods import OwnPod, PodEnd
    from gpuctl.k8s.scene import Scene

    P = TypeVar("P", bound=OwnPod)

R = TypeVar("R")


@dataclass(frozen=True)
class PodsRequest:
    """What was typed: which node, None for many; where pods are made, by which context, for how many seconds each.

    `files` are recorded lists, for which pods can only be planned.
    """

    node: str | None
    namespace: str
    context: str | None
    seconds: float
    files: list[str] | None = None


def pods_cluster(request: PodsRequest, lists: Mapping[str, List]) -> Cluster:
    """Returns the cluster by the user's kubectl, which makes the pods too: one identity for both."""
    from gpuctl.host.api.kubectl import kubectl
    from gpuctl.k8s.live import live_cluster

    if request.files:
        return cluster_at(request.files, request.context, lists)
    return asked(request.context, lambda ask: live_cluster(ask, lists), kubectl)


def pods_nodes(request: PodsRequest, scene: Scene, every: bool) -> tuple[ClusterNode, ...]:
    """Returns the nodes that get a pod: the one that was named, all with GPUs, or one of each class.

    Ends the run with a sentence where there is none.
    """
    from gpuctl.k8s.gpu_nodes import chosen_nodes

    nodes = chosen_nodes(scene, request.node, every)
    if nodes:
        return nodes
    lacking = scene.cluster.lacks("Node")
    if lacking:
        raise refused(f"the nodes cannot be told: {lacking}", ExitCode.UNDETERMINED)
    if request.node is not None:
        raise typer.BadParameter(f"there is no node {request.node}", param_hint="--node")
    raise refused("no node of this cluster is known to have NVIDIA GPUs; --node names one.", ExitCode.UNDETERMINED)


def pods_run(
    request: PodsRequest, label: str, pods: Sequence[P], judge: Callable[[PodEnd[P]], R], words: str
) -> tuple[R, ...]:
    """Returns what `judge` says of how each pod ended; none of them is left.

    `label` is that of their run; `words` say what goes on.
    """
    from gpuctl.host.api.pods import KubectlPods
    from gpuctl.k8s.own_pods import run_pods
    from gpuctl.render.draw.progress import working

    if not pods:
        return ()
    door = KubectlPods(request.namespace, f"{label}={pods[0].manifest['metadata']['labels'][label]}", request.context)
    with working(words):
        return run_pods(door, pods, request.seconds, judge)
