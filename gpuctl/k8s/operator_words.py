"""What NVIDIA's operator says of its own objects where these are not well, or bring nothing.

Source: https://github.com/NVIDIA/gpu-operator, internal/conditions/consts.go, controllers/clusterpolicy_controller.go,
controllers/nvidiadriver_controller.go
"""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.command import command
from gpuctl.frozen import dataclass
from gpuctl.k8s.cluster import Cluster
from gpuctl.k8s.gpu_nodes import PCI
from gpuctl.k8s.objects import ClusterPolicy, NvidiaDriver, OperatorState
from gpuctl.model import Remedy

TWICE = "ConflictingNodeSelector"
"""Why an NVIDIADriver is not ready that wants a node which another has: the operator gives that node neither."""
_WAITS = ("OperandNotReady", "DriverNotReady")
"""Reasons with which it waits for its pods: what these say tells more."""
_NOTHING_TO_DO = ("NFDLabelsMissing", "NoGPUNodes")


@dataclass(frozen=True)
class OperatorWord:
    """What it says of one object; `waits`: only that pods which it has made are not ready yet."""

    subject: str
    text: str
    waits: bool
    remedy: Remedy


def words_of(cluster: Cluster) -> Iterator[OperatorWord]:
    """Yields what the operator says of each of its objects that is not well, or of which nothing comes."""
    for policy in cluster.policies:
        yield from _of_policy(policy)
    for driver in cluster.drivers:
        yield from _of_driver(driver)


def _of_policy(policy: ClusterPolicy) -> Iterator[OperatorWord]:
    subject, said = f"ClusterPolicy {policy.name}", policy.said
    if said.state == "notReady":
        describe = command("kubectl", "describe", "clusterpolicies.nvidia.com", policy.name)
        remedy = Remedy("See its conditions, and the log of the operator's own pod.", (describe,))
        yield OperatorWord(subject, f"{subject} is not ready{_why(said)}", said.reason in _WAITS, remedy)
    elif said.state == "ignored":
        remedy = Remedy("Keep one ClusterPolicy: the operator goes by the oldest.")
        yield OperatorWord(subject, f"{subject} is ignored, as there is another", False, remedy)
    elif said.reason in _NOTHING_TO_DO:
        labelled = command("kubectl", "get", "nodes", "-l", f"{PCI}=true")
        text = f"Have Node Feature Discovery run on the nodes with GPUs: the operator goes by its label {PCI}."
        found = f"the operator finds no node with GPUs{_why(said)}"
        yield OperatorWord(subject, found, False, Remedy(text, (labelled,)))


def _of_driver(driver: NvidiaDriver) -> Iterator[OperatorWord]:
    subject, said = f"NVIDIADriver {driver.name}", driver.said
    describe = command("kubectl", "describe", "nvidiadrivers.nvidia.com", driver.name)
    if said.state == "disabled":
        remedy = Remedy("Set driver.useNvidiaDriverCRD to true in the ClusterPolicy, or delete that object.")
        yield OperatorWord(subject, f"{subject} brings no driver{_why(said)}", False, remedy)
    elif said.state == "notReady" and said.reason != TWICE:
        remedy = Remedy("See its conditions, and the log of the operator's own pod.", (describe,))
        yield OperatorWord(subject, f"{subject} is not ready{_why(said)}", said.reason in _WAITS, remedy)


def _why(said: OperatorState) -> str:
    why = said.message or said.reason
    return f": {why.rstrip('.')}" if why else ""
