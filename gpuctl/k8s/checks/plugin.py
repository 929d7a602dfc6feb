"""Whether NVIDIA's device plugin is where GPUs are."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

from gpuctl.command import Command, Shell, command
from gpuctl.frozen import dataclass
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.k8s.gpu_nodes import labelled
from gpuctl.k8s.objects import ClusterNode, DaemonSet, Pod
from gpuctl.k8s.plugin import is_plugin, is_plugin_pod, stuck
from gpuctl.k8s.requests import gpus_in
from gpuctl.k8s.selectors import untolerated, wanted_of
from gpuctl.model import Remedy, Status


def plugin_pods(view: View) -> list[Pod]:
    """Returns the pods of the plugin."""
    return [pod for pod in view.scene.cluster.pods if is_plugin_pod(pod)]


@check("k8s.plugin.present", needs=("Node", "DaemonSet"), explains=("k8s.gpu.advertised", "k8s.gpu.gone"))
def present(view: View) -> ClusterJudgement | None:
    """No DaemonSet of the plugin wants a node with GPUs: its selector, its affinity or a taint excludes that node."""
    plugins = [one for one in view.scene.cluster.daemon_sets if is_plugin(one)]
    ill = []
    for node in view.gpu_nodes:
        served = bool(view.scene.devices.get(node.name)) or any(gpus_in(node.allocatable).values())
        if labelled(node) and not served:
            reasons = [excluded(one, node) for one in plugins] or ["no DaemonSet of the plugin is there"]
            if all(reasons):
                ill.append((node.name, reasons[0]))
    text = f"no device plugin is meant for it ({ill[0][1]})." if ill else ""
    remedy = Remedy("Give the node the label, or the DaemonSet the toleration, that is missing; or install the plugin.")
    good = "Every node whose GPUs are not offered is one that a device plugin is meant for"
    return worst_of(Status.FAIL, ill, text, good, remedy)


def excluded(one: DaemonSet, node: ClusterNode) -> str:
    """Returns why a DaemonSet is not meant for a node, "" where it is."""
    unmet, taints = wanted_of(one.placement, node), untolerated(one.placement.tolerations, node)
    if unmet:
        return f"{one.namespace}/{one.name} wants {', '.join(map(str, unmet))}"
    return f"{one.namespace}/{one.name} does not tolerate {taints[0]}" if taints else ""


@check("k8s.plugin.running", needs=("Node", "Pod"), explains=("k8s.gpu.advertised", "k8s.gpu.gone"))
def running(view: View) -> ClusterJudgement | None:
    """A plugin that does not run registers nothing; `gpuctl explain` names the cause by its log.

    One that found no NVML at its start may wait for ever, and counts as running.
    """
    names = {node.name for node in view.nodes}
    pods = [pod for pod in plugin_pods(view) if pod.node in names and not pod.ended]
    if not pods:
        return None
    ill = [(pod, reason) for pod in pods if (reason := stuck(pod))]
    seen = [(pod.node, f"{pod.shown}: {reason}") for pod, reason in ill]
    told = log_of(view, [pod for pod, _ in ill])
    text = f"the device plugin does not run there ({seen[0][1]}).{told.words}" if seen else ""
    remedy = told.remedy or Remedy("Ask its log for the cause.", (explained(ill[0][0]),)) if ill else None
    return worst_of(Status.FAIL, seen, text, "Every pod of the device plugin runs", remedy)


def explained(pod: Pod) -> Command:
    """Returns what asks a pod's log for the cause."""
    return command(
        "kubectl", "logs", "-n", pod.namespace, pod.name, "--all-containers", Shell.PIPE, "gpuctl", "explain", "-"
    )


@dataclass(frozen=True)
class LogSays:
    """What a log of the plugin's adds to a sentence, "" for nothing, and what to do by it."""

    words: str = ""
    remedy: Remedy | None = None


def log_of(view: View, pods: Iterable[Pod]) -> LogSays:
    """Returns the cause by the first log of these pods that is understood, else why none could be read."""
    names = {(pod.namespace, pod.name) for pod in pods}
    logs = [one for one in view.scene.cluster.logs if (one.namespace, one.name) in names]
    for one in logs:
        if one.lines:
            from gpuctl.diagnose.answer import matches  # it takes long to load, and logs are read of ill plugins alone
            from gpuctl.diagnose.scan import scan

            found = matches(scan(BytesIO("\n".join(one.lines).encode("utf-8", "replace"))))
            if found:
                return LogSays(f" Its log: {found[0].sentence}", next(iter(found[0].remedies), None))
    lacking = next((one.lacking for one in logs if one.lacking), "")
    return LogSays(f" Its log may not be read: it takes the rule `{lacking}`." if lacking else "")
