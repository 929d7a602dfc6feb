"""NVIDIA's device plugin among a cluster's objects."""

from __future__ import annotations

from gpuctl.k8s.objects import DaemonSet, Pod

NAMES = ("k8s-device-plugin", "nvidia-device-plugin", "nvidia-gpu-device-plugin")
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
"""Why a container waits that will not come by itself."""


def is_plugin(one: DaemonSet) -> bool:
    """Returns whether a DaemonSet is the plugin, by its images: the operator calls it otherwise."""
    return any(word in image for image in one.images for word in NAMES)


def is_plugin_pod(pod: Pod) -> bool:
    """Returns whether a pod is one of the plugin's, by the labels that charts and manifests give them."""
    return any(pod.labels.get(name, "").startswith(NAMES) for name in _BY_LABEL)


def stuck(pod: Pod) -> str:
    """Returns why a pod that has its node does not run, "" where it does or only begins to."""
    reason = next((reason for _, reason in pod.waiting if reason in ILL), "")
    return reason or (pod.reason or "it has failed" if pod.phase == "Failed" else "")
