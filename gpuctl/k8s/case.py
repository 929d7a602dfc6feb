"""A pod before the nodes of its cluster."""

from __future__ import annotations

from gpuctl.frozen import dataclass
from gpuctl.k8s.fit import Fit, NodeFit, claims_of
from gpuctl.k8s.objects import Pod
from gpuctl.k8s.requests import is_extended
from gpuctl.k8s.said import SchedulerWord
from gpuctl.k8s.scene import Scene


def extended(pod: Pod) -> list[str]:
    """Returns the devices and the like that a pod asks for, by name."""
    return [name for name in pod.requests if is_extended(name) and pod.requests[name] > 0]


@dataclass(frozen=True)
class Case:
    """A pod before the nodes, and the scheduler's last word on it."""

    pod: Pod
    scene: Scene
    nodes: tuple[NodeFit, ...]
    word: SchedulerWord | None

    @property
    def missing(self) -> str:
        """A resource that no node has, by its count or by claims; "" where there is none."""
        for name in extended(self.pod):
            if name not in self.scene.by_class and not any(one.node.capacity.get(name, 0) for one in self.nodes):
                return name
        return ""

    @property
    def absent_class(self) -> str:
        """A device class that a claim of the pod names and that is not there; "" where there is none."""
        cluster = self.scene.cluster
        there = {one.name for one in cluster.device_classes}
        named = (name for one in claims_of(self.pod, cluster) if not one.allocated for name in one.classes)
        return "" if cluster.lacks("DeviceClass") else next((name for name in named if name not in there), "")

    def count(self, fit: Fit) -> int:
        """Returns how many nodes fall into a class."""
        return sum(one.fit is fit for one in self.nodes)
