"""A pod before the nodes of its cluster."""

from __future__ import annotations

from gpuctl.frozen import dataclass
from gpuctl.k8s.fit import Fit, NodeFit
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

    def count(self, fit: Fit) -> int:
        """Returns how many nodes fall into a class."""
        return sum(one.fit is fit for one in self.nodes)
