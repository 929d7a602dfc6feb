"""A run of smoke pods: the nodes that are meant, their pods, and how they ended."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from gpuctl.cli.frame.cluster import cluster_at
from gpuctl.cli.frame.endings import refused
from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.k8s.answer import Why
    from gpuctl.k8s.cluster import Cluster
    from gpuctl.k8s.scene import Scene
    from gpuctl.smoke.cluster.pod import SmokePod
    from gpuctl.smoke.cluster.run import PodResult


@dataclass(frozen=True)
class SmokeRequest:
    """What was typed: which nodes, what runs there, where, by which context, for how many seconds.

    `files` are recorded lists, for which pods can only be planned.
    """

    node: str | None
    every: bool
    deep: bool
    image: str | None
    namespace: str
    context: str | None
    seconds: float
    files: list[str] | None = None


def planned(asked: SmokeRequest) -> tuple[tuple[SmokePod, ...], tuple[PodResult, ...]]:
    """Returns the pods to make, and of nodes for which there is none why not. Ends the run where no node is meant."""
    from gpuctl.k8s.scene import scene_of
    from gpuctl.smoke.cluster.pod import NoSmokePod, PodWish, chosen_nodes, smoke_pod
    from gpuctl.smoke.cluster.run import PodResult

    scene = scene_of(cluster_at(asked.files, asked.context))
    nodes = chosen_nodes(scene, asked.node, asked.every)
    if not nodes:
        raise _no_node(asked, scene)
    run = secrets.token_hex(4)
    wish = PodWish(asked.image, asked.deep, asked.namespace, run, max(1, int(asked.seconds)))
    pods, without = [], []
    for number, node in enumerate(nodes):
        if node.ready != "True":
            without.append(PodResult(node.name, None, f"{node.name} is not ready: no pod starts there."))
            continue
        try:
            pods.append(smoke_pod(node, scene, wish, number))
        except NoSmokePod as problem:
            without.append(PodResult(node.name, None, str(problem)))
    return tuple(pods), tuple(without)


def _no_node(asked: SmokeRequest, scene: Scene) -> typer.Exit | typer.BadParameter:
    lacking = scene.cluster.lacks("Node")
    if lacking:
        return refused(f"the nodes cannot be told: {lacking}", ExitCode.UNDETERMINED)
    if asked.node is not None:
        return typer.BadParameter(f"there is no node {asked.node}", param_hint="--node")
    return refused("no node of this cluster is known to have NVIDIA GPUs.", ExitCode.UNDETERMINED)


def carried_out(asked: SmokeRequest, pods: tuple[SmokePod, ...]) -> tuple[PodResult, ...]:
    """Returns how the pods ended; none of them is left."""
    from gpuctl.host.act.pods import KubectlPods
    from gpuctl.render.draw.progress import working
    from gpuctl.smoke.cluster.pod import LABEL
    from gpuctl.smoke.cluster.run import run_pods

    if not pods:
        return ()
    run = pods[0].manifest["metadata"]["labels"][LABEL]
    door = KubectlPods(asked.namespace, f"{LABEL}={run}", asked.context)
    with working("Running smoke pods"):
        return run_pods(door, pods, asked.seconds, _why(asked))


def _why(asked: SmokeRequest) -> Callable[[SmokePod], Why | None]:
    """Returns what tells why a pod waits: by the cluster as it was seen last, where that has the pod."""
    from gpuctl.k8s.why import NoSuchPod, why

    seen: list[Cluster] = []

    def tell(one: SmokePod) -> Why | None:
        if not seen or not any(pod.name == one.name for pod in seen[-1].pods):
            seen[:] = [cluster_at(None, asked.context)]
        try:
            return why(seen[-1], one.name, asked.namespace)
        except NoSuchPod:
            return None

    return tell
