"""What is to be known of a pod that waits, besides why: what a class adds, why nobody offers, what others say of it."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.k8s.case import Case, extended
from gpuctl.k8s.cluster import Cluster
from gpuctl.k8s.not_offered import why_not_offered
from gpuctl.k8s.objects import DEFAULT_SCHEDULER, ClusterNode, Pod
from gpuctl.k8s.quantity import amount
from gpuctl.k8s.requests import gpus_in
from gpuctl.k8s.said import autoscaler_word


def notes_of(case: Case) -> tuple[str, ...]:
    """Returns sentences on what is to be known besides why a pod waits."""
    selector = next((one for one in case.scene.cluster.runtime_classes if one.name == case.pod.runtime_class), None)
    notes = []
    if case.pod.scheduler != DEFAULT_SCHEDULER:
        notes.append(f"It is for the scheduler {case.pod.scheduler}, which speaks, and so counts, as Kubernetes' own.")
    if selector and selector.node_selector:
        labels = ", ".join(f"{key}={value}" for key, value in selector.node_selector.items())
        notes.append(f"RuntimeClass {selector.name} adds the nodeSelector {labels} to every pod that names it.")
    for name in extended(case.pod):
        each = [amount(name, asked[name]) for _, asked in case.pod.containers if name in asked]
        if len(each) > 1:
            notes.append(f"Its containers ask for {' and '.join(each)} {name}, and no two share one.")
    notes += _other_forms(case)
    served = next((name for name in extended(case.pod) if name in case.scene.by_class), None)
    if served and case.word and any(rule == "claims" for rule, _ in case.word.reasons):
        notes.append(
            f"A DeviceClass serves {served} by claims on nodes that count none: of these the scheduler says that it "
            "cannot allocate all claims, though the pod names none."
        )
    if case.pod.nominated:
        notes.append(f"The scheduler has made pods on {case.pod.nominated} end for it, and waits until they are gone.")
    if not case.pod.preempts and case.pod.priority > 0:
        notes.append(f"Its priority is {case.pod.priority}, with preemptionPolicy Never: it ends no others, and waits.")
    if case.missing:
        notes += why_not_offered(case.missing, case.pod, case.scene.cluster)
    notes += autoscaler_note(case.pod, case.scene.cluster)
    if case.word is None:
        notes.append("The scheduler has said nothing of it that is still there: events live an hour.")
    return tuple(notes)


def autoscaler_note(pod: Pod, cluster: Cluster) -> Iterator[str]:
    """Yields what an autoscaler says of a pod."""
    said = autoscaler_word(pod, cluster)
    if said:
        yield f"The autoscaler says: {said}"


def _other_forms(case: Case) -> list[str]:
    """A product that is there with its GPUs shared or divided: its label then has -SHARED or -MIG-… behind the name."""
    key = "nvidia.com/gpu.product"
    wanted = case.pod.placement.node_selector.get(key)
    labels: dict[str, ClusterNode] = {}
    for node in case.scene.cluster.nodes:
        label = node.labels.get(key, "")
        if wanted and label.startswith((f"{wanted}-SHARED", f"{wanted}-MIG-")):
            labels.setdefault(label, node)
    offers = {
        label: " and ".join(name for name, value in gpus_in(node.allocatable).items() if value)
        for label, node in labels.items()
    }
    return [
        f"{label} is that product with its GPUs shared or divided: offered as {what}." for label, what in offers.items()
    ]
