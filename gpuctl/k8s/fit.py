"""Whether a pod fits on a node: what stands in its way there, in the scheduler's order, and what would end that."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from gpuctl.frozen import dataclass
from gpuctl.k8s.cluster import Cluster
from gpuctl.k8s.neighbours import Neighbours, neighbours_of
from gpuctl.k8s.objects import Claim, ClusterNode, Pod
from gpuctl.k8s.quantity import amount
from gpuctl.k8s.requests import gpus_in, is_gpu
from gpuctl.k8s.scene import Scene
from gpuctl.k8s.selectors import UNSCHEDULABLE, on_one_of, tolerates, untolerated, wanted_of


class Ends(str, Enum):
    """What would end an obstacle."""

    OTHERS_END = "others end"
    CHANGE = "a change"
    NOTHING = "nothing"
    UNKNOWN = "unknown"


class Fit(str, Enum):
    """How a pod stands to a node, from best to worst."""

    NOW = "fits now"
    UNKNOWN = "cannot be told"
    WHEN_OTHERS_END = "fits when others end"
    AFTER_CHANGE = "fits after one change"
    NEVER = "never fits"


@dataclass(frozen=True)
class WouldFit:
    """One change that would end an obstacle. `kind` sorts changes: the smallest first; `on` is the node to change."""

    kind: str
    text: str
    on: str = ""


CHANGES = ("toleration", "label", "request", "resource", "uncordon", "repair", "taint")
"""Kinds of changes, the smallest first."""


@dataclass(frozen=True)
class Obstacle:
    """Why a pod does not fit on a node. `rule` is the scheduler's; of a resource its name stands in `resource`."""

    rule: str
    text: str
    ends: Ends
    change: WouldFit | None = None
    resource: str = ""


@dataclass(frozen=True)
class NodeFit:
    """A node, and what stands in the way there."""

    node: ClusterNode
    obstacles: tuple[Obstacle, ...]

    @property
    def fit(self) -> Fit:
        """Which class the node falls into; where two things would have to change, that is one too many."""
        ends = [one.ends for one in self.obstacles]
        if not ends:
            return Fit.NOW
        if Ends.NOTHING in ends or ends.count(Ends.CHANGE) > 1:
            return Fit.NEVER
        if Ends.CHANGE in ends:
            return Fit.AFTER_CHANGE if len(ends) == 1 else Fit.NEVER
        return Fit.UNKNOWN if Ends.UNKNOWN in ends else Fit.WHEN_OTHERS_END


def fits(pod: Pod, scene: Scene) -> tuple[NodeFit, ...]:
    """Returns how a pod stands to each node."""
    near = neighbours_of(pod, scene)
    claims = claims_of(pod, scene.cluster)
    return tuple(NodeFit(node, tuple(_obstacles(pod, node, scene, near, claims))) for node in scene.cluster.nodes)


def claims_of(pod: Pod, cluster: Cluster) -> tuple[Claim, ...]:
    """Returns the claims of a pod that are there."""
    names = {one.claim for one in pod.claims}
    return tuple(one for one in cluster.claims if one.namespace == pod.namespace and one.name in names)


def absent_claim(pod: Pod, cluster: Cluster) -> str:
    """Returns a claim that a pod names and that is not there; "" where there is none, or that cannot be told."""
    there = {one.name for one in cluster.claims if one.namespace == pod.namespace}
    named = (one.claim for one in pod.claims if one.claim and one.claim not in there)
    return "" if cluster.lacks("ResourceClaim") else next(named, "")


def absent_class(pod: Pod, cluster: Cluster) -> str:
    """Returns a device class that a claim of a pod names and that is not there; "" where there is none."""
    there = {one.name for one in cluster.device_classes}
    named = (name for one in claims_of(pod, cluster) if not one.allocated for name in one.classes)
    return "" if cluster.lacks("DeviceClass") else next((name for name in named if name not in there), "")


def devices_asked(pod: Pod, claims: tuple[Claim, ...]) -> int:
    """Returns how many devices these claims of a pod, and those still to be made of templates, ask for at least."""
    fresh = (1 if one.wanted is None else one.wanted for one in claims if not one.allocated)
    return sum(fresh) + sum(one.claim is None for one in pod.claims)


def _obstacles(
    pod: Pod, node: ClusterNode, scene: Scene, near: Neighbours, claims: tuple[Claim, ...]
) -> Iterator[Obstacle]:
    if node.cordoned and not tolerates(pod.placement.tolerations, UNSCHEDULABLE):
        change = WouldFit("uncordon", f"Uncordon {node.name}, once whoever cordoned it is done.", node.name)
        yield Obstacle("cordoned", "it is cordoned", Ends.CHANGE, change)
    for taint in untolerated(pod.placement.tolerations, node):
        yield _of_taint(str(taint), taint.key, taint.effect, node)
    unmet = wanted_of(pod.placement, node)
    if unmet:
        yield _of_labels(", ".join(map(str, unmet)), unmet[0].key, node)
    yield from _of_ports(pod, node, scene)
    for name, wanted in pod.requests.items():
        if wanted > 0 and not scene.by_claim(node, name):
            yield from _of_resource(name, wanted, node, scene)
    for rule, text in near.refusals(node):
        yield Obstacle(rule, text, Ends.OTHERS_END if rule != "affinity" else Ends.NOTHING)
    yield from _of_claims(pod, node, scene, claims)


_OF_CONDITIONS = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")


def _of_taint(shown: str, key: str, effect: str, node: ClusterNode) -> Obstacle:
    if key.startswith(_OF_CONDITIONS):
        state = key.rpartition("/")[2]
        change = WouldFit(
            "repair", f"Have {node.name} lose its condition {state}: the kubelet's log tells why.", node.name
        )
        return Obstacle("taint", f"it is {state}", Ends.CHANGE, change)
    change = WouldFit("toleration", f"Give the pod a toleration for {shown}, if its work belongs there.")
    return Obstacle("taint", f"its taint {shown} is not tolerated", Ends.CHANGE, change)


def _of_labels(wanted: str, key: str, node: ClusterNode) -> Obstacle:
    has = node.labels.get(key)
    text = f"the pod wants {wanted}, and it has {f'{key}={has}' if has is not None else f'no label {key}'}"
    to = f"{key}={has}" if has is not None else f"another label than {key}"
    return Obstacle("selector", text, Ends.CHANGE, WouldFit("label", f"Have the pod select {to} instead of {wanted}."))


def _of_ports(pod: Pod, node: ClusterNode, scene: Scene) -> Iterator[Obstacle]:
    if not pod.placement.ports:
        return
    taken = [port for other in scene.on_node.get(node.name, ()) for port in other.placement.ports]
    for protocol, address, number in pod.placement.ports:
        if any(_clash((protocol, address, number), other) for other in taken):
            yield Obstacle("ports", f"its port {number} is taken", Ends.OTHERS_END)


def _clash(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    anywhere = "0.0.0.0"  # noqa: S104
    return (one[0], one[2]) == (other[0], other[2]) and (one[1] == other[1] or anywhere in (one[1], other[1]))


def _of_resource(name: str, wanted: int, node: ClusterNode, scene: Scene) -> Iterator[Obstacle]:
    free, there = scene.free(node, name), node.allocatable.get(name, 0)
    if wanted <= free:
        return
    if wanted <= there:
        held = f"{amount(name, max(free, 0))} of {amount(name, there)} {name} are free"
        yield Obstacle("resource", held, Ends.OTHERS_END, resource=name)
    elif is_gpu(name):
        yield _of_gpus(name, wanted, node, scene)
    elif name in ("cpu", "memory", "ephemeral-storage") and there > 0:
        change = WouldFit("request", f"Ask for less {name} than {amount(name, wanted)}: {amount(name, there)} at most.")
        # Held by others besides, it would still have to wait: lowering the request alone is then no way.
        ends = Ends.CHANGE if free > 0 else Ends.NOTHING
        yield Obstacle("resource", f"it has {amount(name, there)} {name} in all", ends, change, name)
    else:
        has = f"{amount(name, there)} {name} in all" if name in node.allocatable else f"no {name}"
        yield Obstacle("resource", f"it has {has}", Ends.NOTHING, resource=name)


def _of_gpus(name: str, wanted: int, node: ClusterNode, scene: Scene) -> Obstacle:
    """A node that never has so many: because some are ill, because they have another name, or because it has fewer."""
    there, capacity = node.allocatable.get(name, 0), node.capacity.get(name, 0)
    if there < capacity:
        text = f"{amount(name, there)} of its {amount(name, capacity)} {name} are healthy"
        enough = wanted <= capacity - (there - scene.free(node, name))
        back = f"Bring the GPUs of {node.name} back: `gpuctl k8s doctor --node {node.name}`."
        ends = Ends.CHANGE if enough else Ends.NOTHING
        return Obstacle("resource", text, ends, WouldFit("repair", back, node.name), name)
    others = {one: value for one, value in gpus_in(node.allocatable).items() if one != name and value > 0}
    if not there and others:
        text = f"it has no {name}, but {', '.join(f'{amount(one, value)} {one}' for one, value in others.items())}"
        room = next((one for one in others if scene.free(node, one) >= wanted), None)
        if room is None:
            return Obstacle("resource", text, Ends.NOTHING, resource=name)
        other = WouldFit("resource", f"Ask for {room} instead of {name}, if that kind of GPU will do.")
        return Obstacle("resource", text, Ends.CHANGE, other, name)
    has = f"{amount(name, there)} {name} in all" if there else f"no {name}"
    return Obstacle("resource", f"it has {has}", Ends.NOTHING, resource=name)


def _of_claims(pod: Pod, node: ClusterNode, scene: Scene, claims: tuple[Claim, ...]) -> Iterator[Obstacle]:
    by_class = {name: one // 1000 for name, one in pod.requests.items() if one > 0 and scene.by_claim(node, name)}
    asked = devices_asked(pod, claims)
    elsewhere = next((one for one in claims if one.nodes is not None and not on_one_of(one.nodes, node)), None)
    if elsewhere:
        yield Obstacle("claims", f"claim {elsewhere.name} has its devices on another node", Ends.NOTHING)
        return
    if not (by_class or asked):
        return
    wanted = sum(by_class.values()) + asked
    devices, free = len(scene.devices.get(node.name, ())), scene.free_devices(node)
    named = next(iter(by_class), "")
    if wanted > devices and not scene.all_devices:
        yield Obstacle("claims", "which devices can be claimed there is not known", Ends.UNKNOWN)
    elif wanted > devices:
        text = f"it offers {devices} devices to claims, and {wanted} are asked for"
        yield Obstacle("claims", f"it has no {named}" if named and not devices else text, Ends.NOTHING, resource=named)
    elif wanted > free:
        yield Obstacle("claims", f"{free} of the {devices} devices that it offers to claims are free", Ends.OTHERS_END)
    else:
        text = f"{free} devices are free there; whether they are what the claim selects, the scheduler tells"
        yield Obstacle("claims", text, Ends.UNKNOWN)
