"""The operands of NVIDIA's operator among a cluster's pods: which one its work has stopped at on a node."""

from __future__ import annotations

from collections.abc import Iterable

from gpuctl.k8s.objects import Pod
from gpuctl.k8s.plugin import stuck

OPERATOR = "gpu-operator"
"""The value of a label that the operator and what it has made have: of which label, charts and bundles differ in."""
OPERANDS = (
    "nvidia-driver-daemonset",
    "nvidia-container-toolkit-daemonset",
    "nvidia-device-plugin-daemonset",
    "nvidia-operator-validator",
)
"""In the order in which each waits for the one before."""


def is_operand(pod: Pod) -> bool:
    """Returns whether a pod is one of the operator's that others wait for, or that waits for them."""
    return pod.labels.get("app") in OPERANDS


def first_unready(pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """Returns of each node the first operand that is not ready: what comes after it waits for it."""
    first: dict[str, Pod] = {}
    for pod in pods:
        if is_operand(pod) and pod.node and unready(pod):
            before = first.get(pod.node)
            if before is None or _place(pod) < _place(before):
                first[pod.node] = pod
    return tuple(first.values())


def _place(pod: Pod) -> int:
    return OPERANDS.index(pod.labels["app"])


def unready(pod: Pod) -> str:
    """Returns why a pod that has its node is not ready, "" where it is or has ended well."""
    if pod.phase in ("Running", "Succeeded") and not stuck(pod):
        return ""
    waiting = next((f"{name} waits: {reason}" for name, reason in pod.waiting), "")
    initializing = f"its init container {pod.initializing} has not ended" if pod.initializing else ""
    return stuck(pod) or initializing or waiting or pod.phase
