"""The ends of the device plugin's logs, where its work is in question: of a few pods, in its own namespace alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from urllib.parse import quote

from gpuctl.host.api import answer as api
from gpuctl.host.api.answer import ApiAnswer, Ask
from gpuctl.host.record.redact import without_secrets
from gpuctl.k8s.cluster import Cluster
from gpuctl.k8s.fields import LONGEST, MEMBERS
from gpuctl.k8s.objects import ClusterNode, Pod, PodLog
from gpuctl.k8s.plugin import is_plugin_pod, stuck
from gpuctl.k8s.requests import gpus_in

MOST = 3
"""Pods whose logs are read: the plugin's pods are one DaemonSet's, and fail alike."""
_BYTES = 1 << 18
"""Of one log, whatever the API sends."""


def with_plugin_logs(ask: Ask, cluster: Cluster) -> Cluster:
    """Returns a cluster with the logs of plugin pods that are in question. Of one node its plugin's is, in any case."""
    every = bool(cluster.only_node)
    return replace(cluster, logs=tuple(plugin_logs(ask, cluster.pods, cluster.nodes, every)))


def plugin_logs(ask: Ask, pods: Iterable[Pod], nodes: Iterable[ClusterNode], every: bool = False) -> Iterator[PodLog]:
    """Yields the logs of plugin pods that are in question, or of `every` one, MOST of them at most.

    In question is one that does not run, and one whose node has no GPU to give, or fewer than it has registered.
    """
    by_name = {node.name: node for node in nodes}
    there = [pod for pod in pods if is_plugin_pod(pod) and pod.node in by_name and not pod.ended]
    wanted = [pod for pod in there if stuck(pod)] + [pod for pod in there if not stuck(pod)]
    for pod in [pod for pod in wanted if every or stuck(pod) or _lacking(by_name[pod.node])][:MOST]:
        log = _read(ask, pod)
        if log:
            yield log


def _lacking(node: ClusterNode) -> bool:
    """Whether GPUs were lost between the plugin and what the node has to give."""
    registered, given = sum(gpus_in(node.capacity).values()), sum(gpus_in(node.allocatable).values())
    return given < registered or not registered


def _read(ask: Ask, pod: Pod) -> PodLog | None:
    """None: there is no log yet, as of a container whose image is not there."""
    waiting, plugins = [name for name, _ in pod.waiting], [name for name in pod.containers if "device-plugin" in name]
    container = next(iter((*waiting, *plugins, *pod.containers)), "")
    namespace, name, of = (quote(text, safe="") for text in (pod.namespace, pod.name, container))
    query = f"tailLines={MEMBERS}&limitBytes={_BYTES}{'&container=' + of if of else ''}"
    answer = ask(f"/api/v1/namespaces/{namespace}/pods/{name}/log?{query}")
    if answer.code == api.FORBIDDEN:
        return PodLog(pod.namespace, pod.name, (), f"get pods/log in the namespace {pod.namespace}")
    return PodLog(pod.namespace, pod.name, _lines(answer), "") if answer.code == api.OK else None


def _lines(answer: ApiAnswer) -> tuple[str, ...]:
    text = without_secrets(answer.body[-_BYTES:].decode("utf-8", "replace"))
    return tuple(line[:LONGEST] for line in text.splitlines()[-MEMBERS:])
