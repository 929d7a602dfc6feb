"""Whether the runtime classes that are named are there."""

from __future__ import annotations

from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.model import Remedy, Status


@check("k8s.runtime.class", needs=("RuntimeClass", "DaemonSet"), of_cluster=True)
def runtime_class(view: View) -> ClusterJudgement | None:
    """The API refuses pods that name a RuntimeClass which is not there: of a DaemonSet or a template none is made."""
    cluster = view.scene.cluster
    there = {one.name for one in cluster.runtime_classes}
    named = [(f"DaemonSet {one.namespace}/{one.name}", one.runtime_class) for one in cluster.daemon_sets]
    named += [(f"Pod {pod.shown}", pod.runtime_class) for pod in cluster.pods if not pod.ended]
    ill = [(who, f"names RuntimeClass {name}") for who, name in named if name and name not in there]
    text = f"{ill[0][1]}, which is not there." if ill else ""
    remedy = Remedy("Make that RuntimeClass, with the handler that the nodes' engine has; or take the name away.")
    return worst_of(Status.FAIL, ill, text, "Every RuntimeClass that is named is there", remedy)
