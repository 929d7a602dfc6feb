"""Whether nodes with GPUs take pods."""

from __future__ import annotations

from gpuctl.command import command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, named, worst_of
from gpuctl.k8s.gpu_nodes import PCI, PCI_WITH_CLASS
from gpuctl.k8s.objects import ClusterNode
from gpuctl.k8s.requests import gpus_in
from gpuctl.k8s.selectors import UNSCHEDULABLE, tolerates
from gpuctl.model import Remedy, Status

UPGRADE = "nvidia.com/gpu-driver-upgrade-state"
_AUTOSCALERS = ("ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler", "karpenter.sh/disrupted")
_OF_GPUS = (
    "k8s.gpu.advertised",
    "k8s.gpu.gone",
    "k8s.gpu.healthy",
    "k8s.gpu.count",
    "k8s.node.taints",
    "k8s.operator.state",
    "k8s.plugin.running",
    "k8s.plugin.registered",
    "k8s.plugin.unhealthy-forever",
)


@check("k8s.node.ready", needs=("Node",), explains=_OF_GPUS)
def ready(view: View) -> ClusterJudgement | None:
    """A node that is not ready shows its last report: its numbers are as old as its last heartbeat."""
    ill = [(node.name, _heartbeat(node)) for node in view.gpu_nodes if node.ready != "True"]
    text = "not ready. Its numbers are those of its last heartbeat, and no pod runs there."
    remedy = (
        Remedy("See what its kubelet and its conditions say.", (command("kubectl", "describe", "node", ill[0][0]),))
        if ill
        else None
    )
    return worst_of(Status.FAIL, ill, text, "Every node with GPUs is ready", remedy)


def _heartbeat(node: ClusterNode) -> str:
    from datetime import datetime, timezone

    if node.heartbeat is None:
        return f"Ready is {node.ready}; no heartbeat"
    day = datetime.fromtimestamp(node.heartbeat, timezone.utc).isoformat(timespec="seconds")
    return f"Ready is {node.ready} ({node.ready_reason or 'no reason'}); last heartbeat {day}"


@check("k8s.node.cordoned", needs=("Node",))
def cordoned(view: View) -> ClusterJudgement | None:
    """A cordoned node takes no new pods: a driver upgrade, an autoscaler or a person has cordoned it."""
    ill = [(node.name, _by_whom(node)) for node in view.gpu_nodes if node.cordoned]
    by = sorted({why for _, why in ill})
    left = [node.name for node in view.gpu_nodes if node.cordoned and _by_whom(node) == _PERSON]
    commands = (command("kubectl", "uncordon", left[0]),) if left else ()
    remedy = Remedy("Uncordon it once that is done.", commands)
    return worst_of(Status.WARN, ill, f"cordoned by {', '.join(by)}.", "No node with GPUs is cordoned", remedy)


_PERSON = "a person, or a tool that left no mark"


def _by_whom(node: ClusterNode) -> str:
    if node.labels.get(UPGRADE, "upgrade-done") not in ("upgrade-done", ""):
        return "an upgrade of the driver"
    if any(taint.key in _AUTOSCALERS for taint in node.taints):
        return "an autoscaler"
    return _PERSON


_SHORT = ("node.kubernetes.io/disk-pressure", "node.kubernetes.io/pid-pressure")
"""That of memory stands not here: pods that ask for some tolerate it, and those with GPUs do."""


@check("k8s.node.taints", needs=("Node", "Pod"))
def taints(view: View) -> ClusterJudgement | None:
    """GPUs lie idle behind a taint that no pod which asks for GPUs tolerates, or that a node's own state has set.

    Short of disk or of process ids a node takes no new pods, though it is ready.
    Source: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-nodes-by-condition
    """
    short = [(node.name, taint.key) for node in view.gpu_nodes for taint in node.taints if taint.key in _SHORT]
    if short:
        show = command("kubectl", "describe", "node", short[0][0])
        text = f"it takes no new pods ({short[0][1]})."
        return worst_of(Status.WARN, short, text, "", Remedy("Free what that node is short of.", (show,)))
    pods = [pod for pod in view.scene.cluster.pods if gpus_in(pod.requests)]
    if not pods:
        return None
    ill = [
        (node.name, str(taint))
        for node in view.gpu_nodes
        for taint in node.taints
        if taint.effect in ("NoSchedule", "NoExecute") and taint.key != UNSCHEDULABLE.key
        if not taint.key.startswith("node.kubernetes.io/")
        if not any(tolerates(pod.placement.tolerations, taint) for pod in pods)
    ]
    if ill and view.scene.cluster.only_node:
        return ClusterJudgement(Status.SKIP, "takes the pods of all nodes, and those of this one were asked for")
    text = f"no pod that asks for GPUs tolerates {named(dict.fromkeys(taint for _, taint in ill))}."
    good = "Each taint of a node with GPUs is tolerated by a pod that asks for them"
    return worst_of(Status.WARN, ill, text, good, Remedy("Give the pods that belong there a toleration."))


@check("k8s.node.labels", needs=("Node",))
def labels(view: View) -> ClusterJudgement | None:
    """The plugin's chart selects nodes by the label pci-10de, which NFD may be set up to spell otherwise.

    With its own defaults NFD says pci-0302_10de, by which that chart does not select.
    Source: NVIDIA/gpu-operator issues 78, 149, 607
    """
    ill = [
        (node.name, next(name for name in PCI_WITH_CLASS if name in node.labels))
        for node in view.gpu_nodes
        if any(name in node.labels for name in PCI_WITH_CLASS)
        and PCI not in node.labels
        and node.labels.get("nvidia.com/gpu.present") != "true"
    ]
    text = f"labelled {ill[0][1]} and not {PCI}, by which the plugin's chart selects." if ill else ""
    remedy = Remedy("Have NFD label by vendor alone: sources.pci.deviceLabelFields: [vendor].")
    return worst_of(Status.WARN, ill, text, "No node with GPUs has its PCI label spelled otherwise", remedy)
