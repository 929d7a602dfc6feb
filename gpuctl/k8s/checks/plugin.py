"""Whether NVIDIA's device plugin is where GPUs are."""

from __future__ import annotations

from gpuctl.command import Command, Shell, command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.k8s.gpu_nodes import labelled
from gpuctl.k8s.objects import ClusterNode, DaemonSet, Pod
from gpuctl.k8s.requests import gpus_in
from gpuctl.k8s.selectors import untolerated, wanted_of
from gpuctl.model import Remedy, Status

_PLUGINS = ("k8s-device-plugin", "nvidia-device-plugin", "nvidia-gpu-device-plugin")
_BY_LABEL = ("app", "name", "app.kubernetes.io/name", "k8s-app")
ILL = (
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerError",
    "CreateContainerConfigError",
    "RunContainerError",
    "StartError",
)


def plugin_pods(view: View) -> list[Pod]:
    """Returns the pods of the plugin, by the labels that charts and manifests give them."""
    return [
        pod
        for pod in view.scene.cluster.pods
        if any(pod.labels.get(name, "").startswith(_PLUGINS) for name in _BY_LABEL)
    ]


def is_plugin(one: DaemonSet) -> bool:
    """Returns whether a DaemonSet is NVIDIA's device plugin, by its images: the operator calls it otherwise."""
    return any(word in image for image in one.images for word in _PLUGINS)


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
    text = f"the device plugin does not run there ({seen[0][1]})." if seen else ""
    remedy = Remedy("Ask its log for the cause.", (explained(ill[0][0]),)) if ill else None
    return worst_of(Status.FAIL, seen, text, "Every pod of the device plugin runs", remedy)


def stuck(pod: Pod) -> str:
    """Returns why a pod that has its node does not run, "" where it does or only begins to."""
    reason = next((reason for _, reason in pod.waiting if reason in ILL), "")
    return reason or (pod.reason or "it has failed" if pod.phase == "Failed" else "")


def explained(pod: Pod) -> Command:
    """Returns what asks a pod's log for the cause."""
    return command(
        "kubectl", "logs", "-n", pod.namespace, pod.name, "--all-containers", Shell.PIPE, "gpuctl", "explain", "-"
    )
