"""Why no node offers what a pod asks for: whose name it is, who keeps the plugin off, to whom the GPUs are given."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.k8s.cluster import Cluster
from gpuctl.k8s.gpu_nodes import given_to_machines
from gpuctl.k8s.objects import NAMED, Pod
from gpuctl.k8s.operator_words import words_of
from gpuctl.k8s.plugin import excluded, is_plugin, left_out
from gpuctl.k8s.requests import gpus_in, is_gpu

_HAMI = ("nvidia.com/gpumem", "nvidia.com/gpumem-percentage", "nvidia.com/gpucores")
"""Names that HAMi's scheduler counts by itself: no kubelet has them.

Source: https://project-hami.io/docs/userguide/nvidia-device/specify-device-memory-usage
"""
_BY_OWN_PLUGIN = {"volcano.sh/": "Volcano", "aliyun.com/gpu": "Alibaba Cloud", "tencent.com/vcuda": "Tencent"}
"""By how a name begins, whose plugin offers it.

Sources: https://volcano.sh/en/docs/gpu_virtualization/, https://github.com/AliyunContainerService/gpushare-device-plugin,
https://github.com/tkestack/gpu-manager
"""
_MACHINE = "devices.kubevirt.io/kvm"
"""What the pod of a virtual machine asks for. Source: https://kubevirt.io/user-guide/virtual_machines/host-devices/"""
_PLUGIN_LABELS = ("nvidia.com/", "feature.node.kubernetes.io/")
_FINDS_FEATURES = "node-feature-discovery"


def why_not_offered(resource: str, pod: Pod, cluster: Cluster) -> Iterator[str]:
    """Yields sentences on why no node of a cluster offers a resource that a pod asks for."""
    if resource in _HAMI:
        yield (
            f"{resource} is HAMi's name: its scheduler alone counts it, and no node has it. This pod is for"
            f" {pod.scheduler}: HAMi's webhook has not given it to HAMi's, or HAMi is not installed."
        )
    other = next((whose for begin, whose in _BY_OWN_PLUGIN.items() if resource.startswith(begin)), None)
    if other:
        yield f"{resource} is offered by the device plugin of {other}, and by no other: it does not run here."
    if resource.startswith("nvidia.com/") and _MACHINE in pod.requests:
        yield (
            f"{resource} is for KubeVirt's virtual machines: a device plugin of theirs offers it, where the GPU is"
            " bound to vfio-pci and KubeVirt's permittedHostDevices name it so."
        )
    if is_gpu(resource) and not any(any(gpus_in(node.capacity).values()) for node in cluster.nodes):
        given = [f"{node.name} ({label})" for node in cluster.nodes if (label := given_to_machines(node))]
        if given:
            yield f"GPUs are given to virtual machines, and none to containers, on {', '.join(given[:NAMED])}."
        else:
            yield from _of_plugin(cluster)
            yield from (f"NVIDIA's operator says: {one.text}." for one in words_of(cluster) if not one.waits)


def _of_plugin(cluster: Cluster) -> Iterator[str]:
    if cluster.lacks("DaemonSet"):
        return
    plugins = [one for one in cluster.daemon_sets if is_plugin(one)]
    out = {node.name: left_out(plugins, node) for node in cluster.nodes}
    if not plugins:
        yield "No DaemonSet of a device plugin is there: it is what has a node offer GPUs."
    elif out and all(out.values()):
        name, reason = next(iter(out.items()))
        yield f"The device plugin is meant for no node of this cluster: of {name} {reason}."
        yield from _of_finder(cluster, reason)


def _of_finder(cluster: Cluster, reason: str) -> Iterator[str]:
    """Labels that the plugin wants are made by others, which may be kept off a node themselves."""
    finders = [one for one in cluster.daemon_sets if any(_FINDS_FEATURES in image for image in one.images)]
    if not any(word in reason for word in _PLUGIN_LABELS):
        return
    if not finders:
        yield "Such labels are made by Node Feature Discovery and GPU Feature Discovery, or by hand: neither is there."
    kept_off = [f"of {node.name} {why}" for node in cluster.nodes for one in finders if (why := excluded(one, node))]
    if kept_off:
        yield f"Such labels are made by Node Feature Discovery: {'; '.join(kept_off[:NAMED])}."
