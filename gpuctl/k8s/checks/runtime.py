"""Whether the runtime classes that are named are there, and lead to something on each node."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, named, worst_of
from gpuctl.k8s.objects import ClusterNode
from gpuctl.k8s.plugin import excluded
from gpuctl.model import Disturbs, Remedy, Status

_NO_HANDLER = re.compile(
    r"no runtime for \W{0,4}[\w.-]{1,100}\W{0,4} is configured|failed to find runtime handler [\w.-]{1,100}"
    r"|unknown runtime handler \W{0,4}[\w.-]{1,100}"
)
"""containerd up to 1.7 and later, and CRI-O."""
_UNRESOLVED = re.compile(r"unresolvable CDI devices? [^\s\\\"]{1,200}")


@check("k8s.runtime.class", needs=("RuntimeClass", "DaemonSet"), of_cluster=True)
def runtime_class(view: View) -> ClusterJudgement | None:
    """The API refuses pods that name a RuntimeClass which is not there: of a DaemonSet or a template none is made."""
    cluster = view.scene.cluster
    there = {one.name for one in cluster.runtime_classes}
    users = [(f"DaemonSet {one.namespace}/{one.name}", one.runtime_class) for one in cluster.daemon_sets]
    users += [(f"Pod {pod.shown}", pod.runtime_class) for pod in cluster.pods if not pod.ended]
    ill = [(who, f"names RuntimeClass {name}") for who, name in users if name and name not in there]
    text = f"{ill[0][1]}, which is not there." if ill else ""
    remedy = Remedy("Make that RuntimeClass, with the handler that the nodes' engine has; or take the name away.")
    return worst_of(Status.FAIL, ill, text, "Every RuntimeClass that is named is there", remedy)


@check(
    "k8s.runtime.handler", needs=("Node", "Pod", "RuntimeClass"), explains=("k8s.operator.state", "k8s.plugin.running")
)
def handler(view: View) -> ClusterJudgement | None:
    """A RuntimeClass names a handler that each node's engine has to have: `no runtime for "nvidia" is configured` else.

    Nodes tell their handlers where their engine does (containerd 2.0, CRI-O 1.31 and later). A pod that runs with the
    class shows it, too. Source: NVIDIA/gpu-operator issue 1679, canonical/microk8s issue 3959
    """
    handlers = {one.name: one.handler for one in view.scene.cluster.runtime_classes if one.handler}
    ill, untold, told = [], [], 0
    for node in view.gpu_nodes:
        asked = _named(view, node) & set(handlers)
        refused = next(_refusals(view, node), "")
        proven = {pod.runtime_class for pod in view.scene.on_node.get(node.name, ()) if pod.phase == "Running"}
        lacking = sorted(name for name in asked if node.handlers and handlers[name] not in node.handlers)
        report = view.reports.fresh(node.name)
        said = report.said("registration.containerd", "registration.crio") if report else None
        if refused or lacking or (said and said.status == "fail"):
            missing = f"RuntimeClass {lacking[0]} wants {handlers[lacking[0]]}" if lacking else ""
            ill.append((node.name, refused or missing or (said.message if said else "")))
        elif asked - proven and not node.handlers and not report:
            untold.append((node.name, f"nothing shows that it has {', '.join(sorted(asked - proven))}"))
        told += bool(asked)
    if untold and not ill:
        why = f"which handlers the engine of {named(name for name, _ in untold)} has: a report of the node's own tells"
        return ClusterJudgement(Status.UNKNOWN, f"could not be determined: {why} (--hosts)", tuple(untold))
    if not told and not ill:
        return None
    text = f"its engine lacks a handler that is named ({ill[0][1]})." if ill else ""
    where = next((_place(node) for node in view.gpu_nodes if ill and node.name == ill[0][0]), "")
    remedy = Remedy(f"Give the engine that handler: {where}.", (), Disturbs.NEW_CONTAINERS)
    return worst_of(Status.FAIL, ill, text, "The engines have the handlers that are named", remedy)


def _named(view: View, node: ClusterNode) -> set[str]:
    """The classes that pods on a node name, and DaemonSets that are meant for it."""
    pods = {pod.runtime_class for pod in view.scene.on_node.get(node.name, ())}
    sets = {one.runtime_class for one in view.scene.cluster.daemon_sets if not excluded(one, node)}
    return {name for name in pods | sets if name}


def _refusals(view: View, node: ClusterNode) -> Iterator[str]:
    """What the engine said of pods of a node that it could not begin, the last first."""
    waiting = {(pod.namespace, pod.name) for pod in view.scene.on_node.get(node.name, ()) if pod.phase == "Pending"}
    for event in reversed(view.scene.cluster.events):
        found = _NO_HANDLER.search(event.message) if (event.namespace, event.name) in waiting else None
        if found:
            yield found[0]


def _place(node: ClusterNode) -> str:
    if "+k3s" in node.kubelet or "+rke2" in node.kubelet:
        return "K3s and RKE2 look for nvidia-container-runtime at their start: restart them once the toolkit is there"
    if node.system.startswith("Talos"):
        return "on Talos by the system extension nvidia-container-toolkit"
    if node.system.startswith("Container-Optimized OS"):
        return "GKE has none, and its own plugin needs none: leave runtimeClassName out"
    return "`gpuctl install-runtime` on that node does; for MicroK8s containerd's file is args/containerd-template.toml"


@check("k8s.runtime.cdi", needs=("Pod",))
def cdi(view: View) -> ClusterJudgement | None:
    """A container that names a CDI device which no specification of its node has does not start: it is unresolvable.

    The toolkit's class `nvidia` and a plugin that names devices by CDI itself go by different names; and a
    specification may be of before the driver, or of other GPUs.
    Source: NVIDIA/nvidia-container-toolkit issues 1239, 1895
    """
    names = {node.name for node in view.nodes}
    pods = [pod for pod in view.scene.cluster.pods if pod.node in names and not pod.ended]
    by_event: dict[tuple[str, str], str] = {}
    for event in view.scene.cluster.events:
        found = _UNRESOLVED.search(event.message)
        if found:
            by_event[event.namespace, event.name] = found[0]
    ill = []
    for pod in pods:
        own = (found[0] for text in pod.complaints if (found := _UNRESOLVED.search(text)))
        said = next(own, by_event.get((pod.namespace, pod.name), "") if pod.phase == "Pending" else "")
        if said:
            ill.append((pod.node, f"{pod.shown}: {said}"))
    text = f"a container names a CDI device that is not there ({ill[0][1]})." if ill else ""
    remedy = Remedy("On that node see the specifications and their names: `gpuctl doctor --only cdi`.")
    return worst_of(Status.FAIL, ill, text, "No container is known to name a CDI device that is not there", remedy)
