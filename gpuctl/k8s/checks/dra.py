"""Whether GPUs that are given by claims (dynamic resource allocation) are there to be given."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.command import command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.k8s.fit import absent_claim, absent_class, claims_of, devices_asked
from gpuctl.k8s.objects import Pod
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


@check("k8s.dra.claims", needs=("Pod", "ResourceClaim", "DeviceClass"), of_cluster=True)
def claims(view: View) -> ClusterJudgement | None:
    """Pods wait for claims that are not there, whose device class is not there, or for which there is no device left.

    A claim that no pod names waits for nothing. Which devices a class selects, the scheduler alone can tell: here all
    of a node's are taken to be what is asked for, so that what is said to be too many is too many in any case.
    """
    cluster = view.scene.cluster
    waiting = [pod for pod in cluster.pods if pod.phase == "Pending" and not pod.node and pod.claims]
    classless = [(pod.shown, name) for pod in waiting if (name := absent_class(pod, cluster))]
    if classless:
        text = f"it wants the DeviceClass {classless[0][1]}, which is not there."
        show = command("kubectl", "get", "deviceclasses")
        remedy = Remedy("Install the driver that brings that class, or name one of these.", (show,))
        return worst_of(Status.FAIL, classless, text, "", remedy)
    absent = [(pod.shown, name) for pod in waiting if (name := absent_claim(pod, cluster))]
    if absent:
        text = f"it wants the ResourceClaim {absent[0][1]}, which is not there."
        return worst_of(
            Status.WARN, absent, text, "", Remedy("Make that claim, or have the pod name one that is there.")
        )
    if not waiting:
        return ClusterJudgement(Status.PASS, "No pod waits for a claim") if cluster.claims else None
    return _room(view, [(pod, devices_asked(pod, claims_of(pod, cluster))) for pod in waiting])


def _room(view: View, asked: list[tuple[Pod, int]]) -> ClusterJudgement:
    """Whether there are so many devices, and whether they are free, on any node."""
    scene, good = view.scene, "For every claim that a pod waits for there may be a device"
    most = max(map(len, scene.devices.values()), default=0)
    free = max((sum(one not in scene.allocated for one in found) for found in scene.devices.values()), default=0)
    lacking = scene.cluster.lacks("ResourceSlice")
    if lacking:
        return ClusterJudgement(Status.UNKNOWN, f"could not be determined: {lacking}")
    if not scene.all_devices:
        return ClusterJudgement(Status.PASS, good)
    never = [(pod.shown, f"{wanted} asked for, {most} there") for pod, wanted in asked if wanted > most]
    if never:
        remedy = Remedy("Claim fewer, or see why drivers offer so few.", (command("kubectl", "get", "resourceslices"),))
        return worst_of(Status.WARN, never, f"no node offers as many devices ({never[0][1]}).", "", remedy)
    held = [(pod, f"{wanted} asked for, {free} free") for pod, wanted in asked if wanted > free]
    ask = tuple(command("gpuctl", "k8s", "why", "-n", pod.namespace, pod.name) for pod, _ in held[:1])
    text = f"no node has as many devices free ({held[0][1]})." if held else ""
    return worst_of(
        Status.WARN, ((pod.shown, text) for pod, text in held), text, good, Remedy("Ask why, for each.", ask)
    )


@check("k8s.dra.taints", needs=("ResourceSlice",))
def taints(view: View) -> ClusterJudgement | None:
    """A DRA driver taints devices that are not to be given away: after an Xid, or when a GPU is lost."""
    names = {node.name for node in view.nodes}
    mine = [one for one in view.scene.cluster.slices if one.node in names]
    if not mine:
        return None
    ill = [
        (one.node, ", ".join(f"{device} by {key}" if key else device for device, key in one.tainted.items()))
        for one in mine
        if one.tainted
    ]
    text = f"devices are tainted ({ill[0][1]}): no claim is given them." if ill else ""
    remedy = Remedy("See on the node what is wrong with the GPU: `gpuctl doctor`.")
    return worst_of(Status.WARN, ill, text, "No device of a DRA driver is tainted", remedy)
