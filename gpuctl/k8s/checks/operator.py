"""Whether NVIDIA's operator has done its work on each node."""

from __future__ import annotations

from gpuctl.command import command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.k8s.checks.node import UPGRADE
from gpuctl.k8s.checks.plugin import asked, log_of
from gpuctl.k8s.operands import first_unready, is_operand, unready
from gpuctl.k8s.plugin import excluded
from gpuctl.model import Remedy, Status

PAUSED = "paused-for-driver-upgrade"
_DEPLOY = "nvidia.com/gpu.deploy."


@check("k8s.operator.state", needs=("Pod",), explains=("k8s.plugin.running", "k8s.gpu.advertised", "k8s.gpu.gone"))
def state(view: View) -> ClusterJudgement | None:
    """Each operand waits in Init for the one before it: the first that is not ready is the cause."""
    names = {node.name for node in view.nodes}
    operands = [pod for pod in view.scene.cluster.pods if is_operand(pod) and pod.node in names]
    if not operands:
        return None
    ill = first_unready(operands)
    seen = [(pod.node, f"{pod.labels['app']}: {unready(pod)}") for pod in ill]
    good = "Every operand of the operator that is there runs"
    if not ill:
        return worst_of(Status.FAIL, (), "", good)
    told = log_of(view, ill)
    text = f"the operator's work has stopped at {seen[0][1]}.{told.words}"
    return worst_of(Status.FAIL, seen, text, good, told.remedy or asked(ill[0]))


@check("k8s.operator.upgrade", needs=("Node",), explains=("k8s.plugin.present",))
def upgrade(view: View) -> ClusterJudgement | None:
    """An upgrade of the driver that has failed, or left its marks: the operator keeps its operands off such a node.

    Source: NVIDIA/gpu-operator issues 316, 416, 2166, 2509
    """
    failed, going, left = [], [], []
    for node in view.nodes:
        step = node.labels.get(UPGRADE, "")
        paused = [name for name, value in node.labels.items() if name.startswith(_DEPLOY) and value == PAUSED]
        if step == "upgrade-failed":
            failed.append((node.name, f"{UPGRADE} is {step}"))
        elif paused and step in ("", "upgrade-done"):
            failed.append((node.name, f"{paused[0]} is still {PAUSED}, and no upgrade is under way"))
            left.append((node.name, paused))
        elif step not in ("", "upgrade-done"):
            going.append((node.name, f"{UPGRADE} is {step}"))
    remedy = Remedy(
        "See what holds the driver's pod there: processes that use the GPU, or a drain that was not allowed."
    )
    if left and len(left) == len(failed):
        name, labels = left[0]
        back = command("kubectl", "label", "node", name, "--overwrite", *(f"{one}=true" for one in labels))
        remedy = Remedy("Give such nodes these labels back, by which the operator's DaemonSets select.", (back,))
    if failed:
        return worst_of(Status.FAIL, failed, f"the driver's upgrade is stuck ({failed[0][1]}).", "", remedy)
    text = f"the driver is being upgraded ({going[0][1]})." if going else ""
    return worst_of(Status.WARN, going, text, "No upgrade of the driver is under way", remedy)


@check("k8s.operator.driver-twice", needs=("Node", "DaemonSet"), explains=("k8s.operator.state",))
def driver_twice(view: View) -> ClusterJudgement | None:
    """A node takes its driver from the host or from one driver container: a second one does not load, or does not fit.

    The operator leaves a node alone whose driver it finds installed (label gpu.deploy.driver=pre-installed). That a
    host has its own, its report tells (`--hosts`). Source: NVIDIA/gpu-operator issue 898, NVIDIA/aicr issue 475
    """
    drivers = [one for one in view.scene.cluster.daemon_sets if one.name.startswith(_DRIVERS)]
    if not drivers:
        return None
    ill = []
    for node in view.gpu_nodes:
        meant = [f"{one.namespace}/{one.name}" for one in drivers if not excluded(one, node)]
        report = view.reports.fresh(node.name)
        keeper = report.driver_kept_by if report else ""
        own = keeper if keeper not in ("", *_CONTAINERS) else ""
        if node.labels.get(f"{_DEPLOY}driver") == "pre-installed":
            own = own or "the host, by the operator's label"
        if len(meant) > 1:
            ill.append((node.name, " and ".join(meant)))
        elif meant and own:
            ill.append((node.name, f"{meant[0]}, and {own}"))
    text = f"two drivers are meant for it ({ill[0][1]})." if ill else ""
    remedy = Remedy("Keep one: uninstall the host's driver, or keep the driver container off that node.")
    return worst_of(Status.FAIL, ill, text, "No node is known to be given two drivers", remedy)


_DRIVERS = ("nvidia-driver", "nvidia-gpu-driver", "cos-nvidia-installer")
"""What the operator, its NVIDIADriver objects and GKE call the DaemonSets that bring a driver."""
_CONTAINERS = ("gpu-operator", "gke", "cos")
"""Keepers of drivers that come by such a container."""
