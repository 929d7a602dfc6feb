"""A run of smoke pods: the nodes that are meant, their pods, and how they ended."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

from gpuctl.cli.frame.own_pods import PodsRequest, pods_cluster, pods_nodes, pods_run
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from gpuctl.k8s.answer import Why
    from gpuctl.k8s.cluster import Cluster
    from gpuctl.smoke.cluster.judge import PodResult
    from gpuctl.smoke.cluster.pod import SmokePod


@dataclass(frozen=True)
class SmokeRequest:
    """What was typed: where pods are made, whether on all nodes with GPUs, and what runs there."""

    pods: PodsRequest
    every: bool
    deep: bool
    image: str | None


def planned(request: SmokeRequest) -> tuple[tuple[SmokePod, ...], tuple[PodResult, ...]]:
    """Returns the pods to make, and of nodes for which there is none why not. Ends the run where no node is meant."""
    from gpuctl.k8s.live import LISTS
    from gpuctl.k8s.scene import scene_of
    from gpuctl.smoke.cluster.judge import PodResult
    from gpuctl.smoke.cluster.pod import NoSmokePod, PodWish, smoke_pod

    scene = scene_of(pods_cluster(request.pods, LISTS))
    run = secrets.token_hex(4)
    wish = PodWish(request.image, request.deep, request.pods.namespace, run, max(1, int(request.pods.seconds)))
    pods, without = [], []
    for number, node in enumerate(pods_nodes(request.pods, scene, request.every)):
        if node.ready != "True":
            without.append(PodResult(node.name, None, f"{node.name} is not ready: no pod starts there."))
            continue
        try:
            pods.append(smoke_pod(node, scene, wish, number))
        except NoSmokePod as problem:
            without.append(PodResult(node.name, None, str(problem)))
    return tuple(pods), tuple(without)


def carried_out(request: SmokeRequest, pods: tuple[SmokePod, ...]) -> tuple[PodResult, ...]:
    """Returns how the pods ended; none of them is left."""
    from gpuctl.smoke.cluster.judge import judging
    from gpuctl.smoke.cluster.pod import LABEL

    judge = judging(_why(request.pods), request.pods.seconds)
    return pods_run(request.pods, LABEL, pods, judge, "Running smoke pods")


def _why(request: PodsRequest) -> Callable[[SmokePod], Why | None]:
    """Returns what tells why a pod waits: by the cluster as it was seen last, where that has the pod."""
    from gpuctl.k8s.live import LISTS
    from gpuctl.k8s.why import NoSuchPod, why

    seen: list[Cluster] = []

    def tell(one: SmokePod) -> Why | None:
        if not seen or not any(pod.name == one.name for pod in seen[-1].pods):
            seen[:] = [pods_cluster(request, LISTS)]
        try:
            return why(seen[-1], one.name, request.namespace)
        except NoSuchPod:
            return None

    return tell
