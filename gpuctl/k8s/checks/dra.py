"""Whether GPUs that are given by claims (dynamic resource allocation) are there to be given."""

from __future__ import annotations

from gpuctl.command import command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.model import Remedy, Status

DRIVER = "gpu.nvidia.com"


@check("k8s.dra.slices", needs=("ResourceSlice",))
def slices(view: View) -> ClusterJudgement | None:
    """A driver that started before the GPUs' own driver offers nothing until its pod is restarted.

    Source: kubernetes-sigs/dra-driver-nvidia-gpu issue 1008
    """
    names = {node.name for node in view.nodes}
    mine = [one for one in view.scene.cluster.slices if one.driver == DRIVER and (one.node in names or not one.node)]
    if not mine:
        return None
    ill = [(one.node or one.name, f"{one.name} has no device") for one in mine if not one.devices]
    remedy = Remedy("Restart the pod of the DRA driver's kubelet plugin there, once the GPUs' driver is up.")
    text = "NVIDIA's DRA driver offers no device there."
    return worst_of(Status.FAIL, ill, text, "Every slice of NVIDIA's DRA driver holds devices", remedy)


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
