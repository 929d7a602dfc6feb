"""Nodes recorded from within: a privileged pod a node runs the collector of its image, and prints a snapshot.

What has to be given it besides is a mount: neither the API server nor its store carries gpuctl itself, which is half a
megabyte for each node, and each time that a pod's status changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gpuctl.command import command
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import failure
from gpuctl.host.record.printed import NotPrinted, read_printed
from gpuctl.host.record.redact import without_secrets
from gpuctl.k8s.objects import ClusterNode
from gpuctl.k8s.own_pods import Ended, NotRun, NotStarted, PodEnd, Refused
from gpuctl.model import ExitCode, Remedy

LABEL = "gpuctl.dev/collect"
_ROOT = "/host"
_COLLECTOR = ("python3", "-m", "gpuctl.collector", "--pod", _ROOT)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
"""DNS's, as the API wants it of nodes: it becomes a file's name."""
_NO_COLLECTOR = re.compile(r"No module named '?gpuctl|unrecognized arguments: --pod|exec: .{0,2}python3")
_LETTERS = 500


@dataclass(frozen=True)
class CollectPod:
    """A pod for a node: its name and its manifest."""

    node: str
    name: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class NodeRecord:
    """A node's snapshot, the file it is in and how long that is, or why there is none, and what to do then."""

    node: str
    file: str | None = None
    size: int = 0
    cause: str | None = None
    remedy: Remedy | None = None


def code_of(records: Sequence[NodeRecord]) -> ExitCode:
    """Returns 0 where each node was recorded, else 3."""
    whole = bool(records) and all(one.file is not None for one in records)
    return ExitCode.GOOD if whole else ExitCode.UNDETERMINED


def without_pod(node: ClusterNode) -> str:
    """Returns why no pod can be made for a node, "" where one can."""
    if not _NAME.fullmatch(node.name):
        return "its name is none that a node can have."
    return "" if node.ready == "True" else "it is not ready: no pod starts there."


def collect_pod(node: str, namespace: str, image: str, run: str, number: int, seconds: int) -> CollectPod:
    """Returns the pod for a node. It goes there past the scheduler: cordoned, tainted and full nodes are recorded too.

    With the node's network comes the node's name, which the kernel tells each in its own.
    """
    name = f"gpuctl-collect-{run}-{number}"
    container = {
        "name": "collect",
        "image": image,
        "command": list(_COLLECTOR),
        "securityContext": {"privileged": True, "runAsUser": 0},
        "volumeMounts": [{"name": "host", "mountPath": _ROOT, "readOnly": True}],
    }
    spec = {
        "activeDeadlineSeconds": seconds,
        "automountServiceAccountToken": False,
        "containers": [container],
        "enableServiceLinks": False,
        "hostNetwork": True,
        "hostPID": True,
        "nodeName": node,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
    }
    metadata = {"name": name, "namespace": namespace, "labels": {LABEL: run}}
    return CollectPod(node, name, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


Keep = Callable[[str, bytes], str]
"""Writes the snapshot of a node, and returns the file's path."""


def judging(namespace: str, seconds: float, keep: Keep) -> Callable[[PodEnd[CollectPod]], NodeRecord]:
    """Returns what tells what has come of a pod. `seconds` are what it was given."""

    def judge(end: PodEnd[CollectPod]) -> NodeRecord:
        if isinstance(end, Refused):
            return _lost(end, end.sentence, _privileged(namespace) if end.policy else None)
        if isinstance(end, NotStarted):
            return _lost(end, f"The pod does not start: {end.said}", _IMAGE if _NO_COLLECTOR.search(end.said) else None)
        if isinstance(end, NotRun):
            return _lost(end, f"The node turned the pod away: {end.said}" if end.failed else _late(seconds))
        return _read(end, keep)

    return judge


def _read(end: Ended[CollectPod], keep: Keep) -> NodeRecord:
    if not end.log.ok:
        return _lost(end, f"What the pod printed could not be read: {failure(end.log)}.")
    try:
        raw = read_printed(end.log.text)
        return NodeRecord(end.pod.node, keep(end.pod.node, raw), len(raw))
    except NotPrinted as problem:
        said = [line for line in end.log.text.splitlines() if line.strip()]
        if _NO_COLLECTOR.search(end.log.text):
            return _lost(end, "The image has no gpuctl that can do this.", _IMAGE)
        words = f"The pod ended with status {end.code}: {said[-1]}" if end.code and said else f"Of its log: {problem}."
        return _lost(end, words)


def _lost(end: PodEnd[CollectPod], cause: str, remedy: Remedy | None = None) -> NodeRecord:
    return NodeRecord(end.pod.node, cause=without_secrets(cause)[:_LETTERS], remedy=remedy)


def _late(seconds: float) -> str:
    return f"The pod did not end within {seconds:g} s."


def _privileged(namespace: str) -> Remedy:
    """A privileged pod is what reads a host; a namespace of its own keeps the exception small."""
    label = "pod-security.kubernetes.io/enforce=privileged"
    return Remedy(
        "Name a namespace with -n in which privileged pods are let in, or let them into this one.",
        (command("kubectl", "label", "namespace", namespace, label, "--overwrite"),),
    )


_IMAGE = Remedy("Name an image that has python3 and gpuctl: docs/commands/k8s.md has its Dockerfile.")
