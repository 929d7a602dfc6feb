"""What the nodes' own reports say of the first two links: the bus, and NVML."""

from __future__ import annotations

from gpuctl.command import Shell, command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.k8s.host_reports import HostFinding
from gpuctl.model import Disturbs, Remedy, Status

HOST_LAYERS = ("hardware", "kernel", "driver")


@check("k8s.node.report", of_cluster=True)
def report(view: View) -> ClusterJudgement | None:
    """A node's own report is joined by boot id, machine id or name; one of an earlier boot counts for nothing.

    It is what `gpuctl doctor --json` has printed there, or a snapshot that `gpuctl collect` has taken.
    """
    given = view.reports
    if not given.by_node and not given.of_no_node:
        return None
    old = [(name, f"joined by {one.by}; the node has booted since") for name, one in given.by_node.items() if one.stale]
    ill = [*old, *((name, "no node of this cluster") for name in given.of_no_node)]
    what = "its report is of an earlier boot" if old else "its report is of no node of this cluster"
    fresh = command("gpuctl", "doctor", "--json", Shell.INTO, f"{ill[0][0] if ill else 'node'}.json")
    remedy = Remedy("Take a report on that node anew.", (fresh,))
    good = f"{len(given.by_node)} nodes have a report of the boot that runs"
    return worst_of(Status.WARN, ill, f"{what}, and is not counted.", good, remedy)


@check(
    "k8s.node.host",
    needs=("Node",),
    explains=(
        "k8s.gpu.advertised",
        "k8s.gpu.gone",
        "k8s.gpu.healthy",
        "k8s.gpu.count",
        "k8s.plugin.health-checks",
        "k8s.plugin.registered",
        "k8s.plugin.running",
        "k8s.operator.state",
    ),
)
def host(view: View) -> ClusterJudgement | None:
    """What is wrong on the node itself, below Kubernetes: fewer GPUs in NVML than on the bus, or a driver that fails.

    Only the nodes' own reports tell (`--hosts`); without one the first two links are unknown.
    """
    reports = [(node.name, one) for node in view.gpu_nodes if (one := view.reports.fresh(node.name))]
    if not reports:
        return None
    ill = []
    for name, one in reports:
        said = next((f"{found.message} ({found.id})" for found in one.findings if _fails(found)), "")
        drops = one.on_bus is not None and one.in_nvml is not None and one.in_nvml < one.on_bus
        if drops or said:
            counts = f"{one.on_bus} on the bus, {one.in_nvml} in NVML" if drops else ""
            ill.append((name, "; ".join(filter(None, (counts, said)))))
    text = f"the host itself is not well ({ill[0][1]})." if ill else ""
    remedy = Remedy("On that node, mend what its doctor says.", (command("gpuctl", "doctor"),), Disturbs.HOST)
    good = f"The {len(reports)} nodes with a report are well below Kubernetes"
    return worst_of(Status.FAIL, ill, text, good, remedy)


def _fails(found: HostFinding) -> bool:
    return found.status == "fail" and found.id.partition(".")[0] in HOST_LAYERS
