"""A cluster as the scheduler counts in it: what lies on which node, what is free, what devices are left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpuctl.frozen import dataclass
from gpuctl.k8s.cluster import Cluster
from gpuctl.k8s.objects import ClusterNode, Pod, Resources, Slice

IMPLICIT = "deviceclass.resource.kubernetes.io/"
"""What a device class is called as an extended resource where it names none (KEP-5004)."""
_Device = tuple[str, str, str]


@dataclass(frozen=True)
class Scene:
    """`on_node` are the pods that are bound to a node and have not ended, whether or not they run yet.

    `requested` is what these ask for. `by_class`: the extended resources that a device class serves. `devices`: by node
    the devices that DRA drivers offer there, `allocated` those that claims hold; `all_devices`: there are no others, as
    there are of drivers whose devices belong to several nodes, or where nobody lists any.
    """

    cluster: Cluster
    on_node: Mapping[str, tuple[Pod, ...]]
    requested: Mapping[str, Resources]
    by_class: frozenset[str]
    devices: Mapping[str, tuple[_Device, ...]]
    allocated: frozenset[_Device]
    all_devices: bool

    def free(self, node: ClusterNode, resource: str) -> int:
        """Returns how much of a resource is left on a node, less than none where more is asked for than there is."""
        return node.allocatable.get(resource, 0) - self.requested.get(node.name, {}).get(resource, 0)

    def by_claim(self, node: ClusterNode, resource: str) -> bool:
        """Returns whether a node would serve a resource by a claim: it counts none itself, and a class has its name."""
        return resource in self.by_class and not node.allocatable.get(resource, 0)

    def free_devices(self, node: ClusterNode) -> int:
        """Returns how many devices of DRA drivers no claim holds."""
        return sum(one not in self.allocated for one in self.devices.get(node.name, ()))

    def holders(self, node: ClusterNode, resource: str) -> tuple[Pod, ...]:
        """Returns the pods that hold a resource on a node, that with the most first."""
        pods = [one for one in self.on_node.get(node.name, ()) if counted(one, resource) > 0]
        return tuple(sorted(pods, key=lambda one: -counted(one, resource)))


def counted(pod: Pod, resource: str) -> int:
    """Returns how much of a node's own count a pod takes: what a claim serves is not of it."""
    return 0 if resource in pod.served_by_claim else pod.requests.get(resource, 0)


def scene_of(cluster: Cluster) -> Scene:
    """Returns how the scheduler sees a cluster."""
    on_node: dict[str, list[Pod]] = {}
    requested = {name: dict(sums) for name, sums in cluster.folded.items()}
    for pod in cluster.pods:
        if pod.node and not pod.ended:
            on_node.setdefault(pod.node, []).append(pod)
            sums = requested.setdefault(pod.node, {})
            for name in pod.requests:
                sums[name] = sums.get(name, 0) + counted(pod, name)
    devices: dict[str, list[_Device]] = {}
    for one in cluster.slices:
        if one.node:
            devices.setdefault(one.node, []).extend(_devices(one))
    classes = {name for one in cluster.device_classes for name in (one.resource, IMPLICIT + one.name) if name}
    return Scene(
        cluster,
        {name: tuple(pods) for name, pods in on_node.items()},
        requested,
        frozenset(classes),
        {name: tuple(dict.fromkeys(found)) for name, found in devices.items()},
        frozenset(device for claim in cluster.claims for device in claim.allocated),
        not cluster.lacks("ResourceSlice") and all(one.node for one in cluster.slices),
    )


def _devices(one: Slice) -> Iterator[_Device]:
    return ((one.driver, one.pool, name) for name in one.devices if name not in one.tainted)
