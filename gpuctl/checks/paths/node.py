"""Whether Kubernetes runs pods on this host, and by which engine."""

from __future__ import annotations

from gpuctl.checks.engine import together
from gpuctl.facts.containerd.containerd import TITLES, Containerd
from gpuctl.facts.crio import Crio
from gpuctl.facts.kubelet.kubelet import Kubelet
from gpuctl.frozen import dataclass

_PODS = "k8s.io/"
"""containerd's namespace of what Kubernetes runs."""


@together
@dataclass(frozen=True)
class PodEngines:
    """The engines by which a kubelet may run pods."""

    containerd: Containerd
    crio: Crio
    kubelet: Kubelet

    @property
    def by_containerd(self) -> bool:
        """Whether pods are run by this containerd, as far as that shows."""
        if self.containerd.process.value is None or self.containerd.flavour.value == "docker":
            return False
        node, running = self.kubelet.process.value, self.containerd.running.value
        if self.containerd.flavour.value in TITLES or (node and node.engine):
            return node is None or not node.engine or "containerd" in node.engine
        return node is not None if running is None else any(name.startswith(_PODS) for name in running)

    @property
    def run_pods(self) -> bool:
        """Whether pods are run by either here, so that nobody need mean Podman beside it."""
        return self.crio.process.value is not None or self.by_containerd
