"""The ends of logs of the device plugin and the operator's operands, where their work is in question: of a few pods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from urllib.parse import quote

from gpuctl.host.api import answer as api
from gpuctl.host.api.answer import ApiAnswer, Ask
from gpuctl.host.record.redact import without_secrets
from gpuctl.k8s.cluster import Cluster
from gpuctl.k8s.fields import LONGEST, MEMBERS
from gpuctl.k8s.objects import ClusterNode, Pod, PodLog
from gpuctl.k8s.operands import first_unready, is_operand
from gpuctl.k8s.plugin import ILL, is_plugin_pod, stuck
from gpuctl.k8s.requests import gpus_in

MOST = 3
"""Pods whose logs are read: those of one DaemonSet fail alike."""
_BYTES = 1 << 18
"""Of one log, whatever the API sends."""


def with_logs(ask: Ask, cluster: Cluster) -> Cluster:
    """Returns a cluster with the logs of pods that are in question. Of one node its plugin's is, in any case."""
    every = bool(cluster.only_node)
    return replace(cluster, logs=tuple(logs_of(ask, cluster.pods, cluster.nodes, every)))


def is_told(pod: Pod) -> bool:
    """Returns whether a pod is one of those whose logs may be read."""
    return is_plugin_pod(pod) or is_operand(pod)


def logs_of(ask: Ask, pods: Iterable[Pod], nodes: Iterable[ClusterNode], every: bool = False) -> Iterator[PodLog]:
    """Yields the logs of pods that are in question, MOST of them at most.

    In question is the operand at which the operator's work has stopped, one of each kind; a plugin's pod that does not
    run; and one whose node has no GPU to give, or fewer than it has registered, or `every` one.
    """
    by_name = {node.name: node for node in nodes}
    there = [pod for pod in pods if is_told(pod) and pod.node in by_name and not pod.ended]
    operands = {pod.labels["app"]: pod for pod in first_unready(there)}.values()
    plugins = sorted(filter(is_plugin_pod, there), key=lambda pod: not stuck(pod))
    wanted = [pod for pod in plugins if every or stuck(pod) or _lacking(by_name[pod.node])]
    in_question = {(pod.namespace, pod.name): pod for pod in (*operands, *wanted)}
    for pod in islice(in_question.values(), MOST):
        log = _read(ask, pod)
        if log:
            yield log


def _lacking(node: ClusterNode) -> bool:
    """Whether GPUs were lost between the plugin and what the node has to give."""
    registered, given = sum(gpus_in(node.capacity).values()), sum(gpus_in(node.allocatable).values())
    return given < registered or not registered


def _read(ask: Ask, pod: Pod) -> PodLog | None:
    """None: there is no log yet, as of a container whose image is not there."""
    namespace, name, of = (quote(text, safe="") for text in (pod.namespace, pod.name, _container(pod)))
    query = f"tailLines={MEMBERS}&limitBytes={_BYTES}{'&container=' + of if of else ''}"
    answer = ask(f"/api/v1/namespaces/{namespace}/pods/{name}/log?{query}")
    if answer.code == api.FORBIDDEN:
        return PodLog(pod.namespace, pod.name, (), f"get pods/log in the namespace {pod.namespace}")
    return PodLog(pod.namespace, pod.name, _lines(answer), "") if answer.code == api.OK else None


def _container(pod: Pod) -> str:
    """The one that has something to say: the init container that is on, one that fails, or the plugin's own."""
    failing = (name for name, reason in pod.waiting if reason in ILL)
    names = [name for name, _ in pod.containers]
    plugins = (name for name in names if "device-plugin" in name)
    return pod.initializing or next(chain(failing, plugins, names), "")


def _lines(answer: ApiAnswer) -> tuple[str, ...]:
    text = without_secrets(answer.body[-_BYTES:].decode("utf-8", "replace"))
    return tuple(line[:LONGEST] for line in text.splitlines()[-MEMBERS:])
