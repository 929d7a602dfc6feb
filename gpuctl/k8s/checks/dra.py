"""Whether GPUs that are given by claims (dynamic resource allocation) are there to be given."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.command import command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.k8s.plugin import excluded
from gpuctl.model import Remedy, Status

DRIVER = "gpu.nvidia.com"
_IMAGES = ("k8s-dra-driver-gpu", "dra-driver-nvidia-gpu")


@check("k8s.dra.slices", needs=("ResourceSlice",))
def slices(view: View) -> ClusterJudgement | None:
    """A driver that started before the GPUs' own driver offers nothing until its pod is restarted: no or empty slices.

    Source: kubernetes-sigs/dra-driver-nvidia-gpu issue 1008
    """
    names = {node.name for node in view.nodes}
    mine = [one for one in view.scene.cluster.slices if one.driver == DRIVER and (one.node in names or not one.node)]
    without = list(_without_slices(view))
    if not mine and not without:
        return None
    ill = [*without, *((one.node or one.name, f"{one.name} has no device") for one in mine if not one.devices)]
    remedy = Remedy("Restart the pod of the DRA driver's kubelet plugin there, once the GPUs' driver is up.")
    text = f"NVIDIA's DRA driver offers no device there ({ill[0][1]})." if ill else ""
    return worst_of(Status.FAIL, ill, text, "Every slice of NVIDIA's DRA driver holds devices", remedy)


def _without_slices(view: View) -> Iterator[tuple[str, str]]:
    """Nodes with GPUs for which NVIDIA's DRA driver is meant and has no slice, of GPUs or of compute domains."""
    cluster = view.scene.cluster
    sets = () if cluster.lacks("DaemonSet") else cluster.daemon_sets
    drivers = [one for one in sets if any(name in image for name in _IMAGES for image in one.images)]
    has = {one.node for one in cluster.slices if one.driver.endswith(".nvidia.com")}
    if any(not one.node for one in cluster.slices):
        return
    for node in view.gpu_nodes:
        meant = next((one for one in drivers if not excluded(one, node)), None)
        if meant and node.name not in has:
            yield node.name, f"{meant.namespace}/{meant.name} is meant for it, and there is no slice"


@check("k8s.dra.claims", needs=("ResourceClaim", "DeviceClass"), of_cluster=True)
def claims(view: View) -> ClusterJudgement | None:
    """A claim whose device class is not there waits for ever."""
    there = {one.name for one in view.scene.cluster.device_classes}
    ill = [
        (f"{one.namespace}/{one.name}", name)
        for one in view.scene.cluster.claims
        for name in one.classes
        if not one.allocated and name not in there
    ]
    if not view.scene.cluster.claims:
        return None
    text = f"it wants the DeviceClass {ill[0][1]}, which is not there." if ill else ""
    remedy = Remedy(
        "Install the driver that brings that class, or name one of these.",
        (command("kubectl", "get", "deviceclasses"),),
    )
    return worst_of(Status.FAIL, ill, text, "Every claim's DeviceClass is there", remedy)


@check("k8s.dra.taints", needs=("ResourceSlice",))
def taints(view: View) -> ClusterJudgement | None:
    """A DRA driver taints devices that are not to be given away: after an Xid, or when a GPU is lost."""
    names = {node.name for node in view.nodes}
    mine = [one for one in view.scene.cluster.slices if one.node in names]
    if not mine:
        return None
    ill = [(one.node, f"{', '.join(one.tainted)} in {one.name}") for one in mine if one.tainted]
    text = f"devices are tainted ({ill[0][1]}): no claim is given them." if ill else ""
    remedy = Remedy("See on the node what is wrong with the GPU: `gpuctl doctor`.")
    return worst_of(Status.WARN, ill, text, "No device of a DRA driver is tainted", remedy)
