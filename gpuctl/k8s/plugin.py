"""NVIDIA's device plugin among a cluster's objects."""

from __future__ import annotations

from collections.abc import Iterable

from gpuctl.k8s.objects import ClusterNode, DaemonSet, Pod
from gpuctl.k8s.selectors import untolerated, wanted_of

NAMES = ("k8s-device-plugin", "nvidia-device-plugin", "nvidia-gpu-device-plugin")
_BY_LABEL = ("app", "name", "app.kubernetes.io/name", "k8s-app")
OF_STATES = "node.kubernetes.io/"
"""With this begin the taints by which a node tells its state."""
_OF_IMAGES = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName")
ILL = (
    *_OF_IMAGES,
    "CrashLoopBackOff",
    "CreateContainerError",
    "CreateContainerConfigError",
    "RunContainerError",
    "StartError",
)
"""Why a container waits that will not come by itself."""


def is_plugin(one: DaemonSet) -> bool:
    """Returns whether a DaemonSet is the plugin, by its images: the operator calls it otherwise."""
    return any(word in image for image in one.images for word in NAMES)


def excluded(one: DaemonSet, node: ClusterNode) -> str:
    """Returns why a DaemonSet is not meant for a node, "" where it is.

    Taints by which a node tells its state do not count: its pods tolerate most of them, and the others pass.
    Source: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations
    """
    unmet = wanted_of(one.placement, node)
    taints = [taint for taint in untolerated(one.placement.tolerations, node) if not taint.key.startswith(OF_STATES)]
    if unmet:
        return f"{one.namespace}/{one.name} wants {', '.join(map(str, unmet))}"
    return f"{one.namespace}/{one.name} does not tolerate {taints[0]}" if taints else ""


def left_out(plugins: Iterable[DaemonSet], node: ClusterNode) -> str:
    """Returns why none of these is meant for a node, by the first of them; "" where one is."""
    reasons = [excluded(one, node) for one in plugins]
    return reasons[0] if reasons and all(reasons) else ""


def is_plugin_pod(pod: Pod) -> bool:
    """Returns whether a pod is one of the plugin's, by the labels that charts and manifests give them."""
    return any(pod.labels.get(name, "").startswith(NAMES) for name in _BY_LABEL)


_SAID = 300
"""Letters of a kubelet's words that a sentence takes."""


def lacks_image(pod: Pod) -> bool:
    """Returns whether a container of a pod waits for an image that cannot be had."""
    return any(reason in _OF_IMAGES for _, reason in pod.waiting)


def stuck(pod: Pod) -> str:
    """Returns why a pod that has its node does not run, "" where it does or only begins to."""
    reason = next((reason for _, reason in pod.waiting if reason in ILL), "")
    if lacks_image(pod) and pod.complaints:  # which image it is, nothing else tells
        return f"{reason}: {pod.complaints[0][:_SAID].rstrip('. ')}"
    return reason or (pod.reason or "it has failed" if pod.phase == "Failed" else "")
