"""What a kubelet's refusal of a pod tells: whether the node cannot give what it offers, or the pod asks wrongly."""

from __future__ import annotations

from collections.abc import Mapping

from gpuctl.k8s.objects import Pod

REFUSED = ("UnexpectedAdmissionError", "OutOfnvidia.com/", "TopologyAffinityError")
"""Reasons of pods that failed before they began, for what they ask of devices."""
_OF_REQUESTS: Mapping[str, str] = {
    "TopologyAffinityError": (
        "Ask for as many cpus and GPUs as one NUMA node has free, or loosen topologyManagerPolicy in that kubelet's"
        " configuration to best-effort."
    ),
    "maximum request size for shared resources is 1": (
        "Ask for one: two shares are no second GPU, and that plugin gives one at a time (failRequestsGreaterThanOne)."
    ),
}
"""By words of the refusal.

Sources: https://kubernetes.io/docs/tasks/administer-cluster/topology-manager/,
https://github.com/NVIDIA/k8s-device-plugin#with-cuda-time-slicing
"""


def to_ask_for(pod: Pod) -> str:
    """Returns what a refused pod has to ask for instead, "" where nothing shows that its request is wrong."""
    said = f"{pod.reason}: {pod.message}"
    return next((text for words, text in _OF_REQUESTS.items() if words in said), "")
