"""Nodes recorded by pods: which get one, and the folder that their snapshots come into."""

from __future__ import annotations

import posixpath
import secrets
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.own_pods import PodsRequest, pods_cluster, pods_nodes, pods_run
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.k8s.collecting import CollectPod, NodeRecord


def planned(request: PodsRequest, image: str) -> tuple[tuple[CollectPod, ...], tuple[NodeRecord, ...]]:
    """Returns the pods to make, and of nodes for which there is none why not. Ends the run where no node is meant."""
    from gpuctl.k8s.collecting import NodeRecord, collect_pod, without_pod
    from gpuctl.k8s.live import lists_of
    from gpuctl.k8s.scene import scene_of

    scene = scene_of(pods_cluster(request, lists_of(("Node", "ResourceSlice"))))
    run, seconds = secrets.token_hex(4), max(1, int(request.seconds))
    pods, without = [], []
    for number, node in enumerate(pods_nodes(request, scene, every=True)):
        reason = without_pod(node)
        if reason:
            without.append(NodeRecord(node.name, cause=reason))
        else:
            pods.append(collect_pod(node.name, request.namespace, image, run, number, seconds))
    return tuple(pods), tuple(without)


def new_folder(named: str | None) -> str:
    """Returns the folder that was named, or one after the time, made or empty. Ends the run where that cannot be."""
    from gpuctl.host.write.output import FileProblem, NoPlaceForFile, is_stdout, make_folder

    if named is not None and is_stdout(named):
        raise typer.BadParameter("nodes' snapshots are files in a folder: name one", param_hint="--output")
    folder = named or f"gpuctl-nodes-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
    try:
        make_folder(folder)
    except NoPlaceForFile as problem:
        raise typer.BadParameter(str(problem), param_hint="--output") from None
    except FileProblem as problem:
        raise refused(str(problem), ExitCode.PROBLEM) from None
    return folder


def collected(request: PodsRequest, pods: tuple[CollectPod, ...], folder: str) -> tuple[NodeRecord, ...]:
    """Returns what came of each pod: a snapshot is on the disk before the next one comes. No pod is left."""
    from gpuctl.host.write.output import FileProblem, write_new
    from gpuctl.k8s.collecting import LABEL, judging

    def keep(node: str, raw: bytes) -> str:
        path = posixpath.join(folder, f"{node}.jsonl.gz")
        write_new(path, raw)
        return path

    try:
        judge = judging(request.namespace, request.seconds, keep)
        return pods_run(request, LABEL, pods, judge, "Recording nodes")
    except FileProblem as problem:
        raise refused(str(problem), ExitCode.PROBLEM) from None
