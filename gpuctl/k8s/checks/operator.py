"""Whether NVIDIA's operator has done its work on each node."""

from __future__ import annotations

from gpuctl.command import command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.k8s.checks.node import UPGRADE
from gpuctl.k8s.checks.plugin import LogSays, asked, log_of
from gpuctl.k8s.gpu_nodes import offers, offers_expected
from gpuctl.k8s.objects import Pod
from gpuctl.k8s.operands import first_unready, is_operand, unready
from gpuctl.k8s.operator_words import TWICE, OperatorWord, words_of
from gpuctl.k8s.plugin import excluded
from gpuctl.model import Disturbs, Remedy, Status

PAUSED = "paused-for-driver-upgrade"
_DEPLOY = "nvidia.com/gpu.deploy."


@check(
    "k8s.operator.state",
    needs=("Pod",),
    explains=("k8s.plugin.present", "k8s.plugin.running", "k8s.gpu.advertised", "k8s.gpu.gone"),
)
def state(view: View) -> ClusterJudgement | None:
    """Each operand waits in Init for the one before it: the first that is not ready is the cause.

    Where no pod shows one, the operator's own objects may: a ClusterPolicy or an NVIDIADriver that is not ready, is
    ignored or finds no node with GPUs. A ClusterPolicy may leave the driver or the toolkit to the host.
    """
    names = {node.name for node in view.nodes}
    operands = [pod for pod in view.scene.cluster.pods if is_operand(pod) and pod.node in names]
    ill = first_unready(operands)
    words = list(words_of(view.scene.cluster))
    if ill:
        return _stopped(view, ill, [one for one in words if not one.waits])
    if words:
        return _said(view, words)
    return ClusterJudgement(Status.PASS, "Every operand of the operator that is there runs") if operands else None


def _stopped(view: View, ill: tuple[Pod, ...], words: list[OperatorWord]) -> ClusterJudgement:
    seen = [(pod.node, f"{pod.labels['app']}: {unready(pod)}") for pod in ill]
    told, left_out = log_of(view, ill), _left_out(view, ill)
    also = f" {words[0].text[0].upper()}{words[0].text[1:]}." if words else ""
    text = f"the operator's work has stopped at {seen[0][1]}.{told.words}{left_out.words}{also}"
    return worst_of(Status.FAIL, seen, text, "", left_out.remedy or told.remedy or asked(ill[0]))


def _left_out(view: View, ill: tuple[Pod, ...]) -> LogSays:
    """That the policy leaves out what a pod waits for: it is the host that has to have it then."""
    waits = {pod.initializing for pod in ill}
    for policy in view.scene.cluster.policies:
        if "driver-validation" in waits and not policy.driver:
            remedy = Remedy("Install a driver on that node, or set driver.enabled to true.", _DOCTOR, Disturbs.HOST)
            return LogSays(f" ClusterPolicy {policy.name} brings no driver: the host has to have one.", remedy)
        if "toolkit-validation" in waits and not policy.toolkit:
            remedy = Remedy("Install the toolkit on that node, or set toolkit.enabled to true.", _DOCTOR, Disturbs.HOST)
            return LogSays(f" ClusterPolicy {policy.name} brings no toolkit: the host has to have it.", remedy)
    return LogSays()


_DOCTOR = (command("gpuctl", "doctor"),)


def _said(view: View, words: list[OperatorWord]) -> ClusterJudgement | None:
    """What the operator says where its pods are well: it fails nodes that have no GPU to give."""
    without = [node.name for node in view.gpu_nodes if offers_expected(node) and not offers(node, view.scene)]
    if not without and not view.whole:
        return None
    text = f"{words[0].text}."
    if not without:
        seen = tuple((one.subject, one.text) for one in words)
        return ClusterJudgement(Status.WARN, f"{text[0].upper()}{text[1:]}", seen, words[0].remedy)
    return worst_of(Status.FAIL, [(name, words[0].text) for name in without], text, "", words[0].remedy)


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
    held = "See what holds the driver's pod there: processes that use the GPU, or a drain that was not allowed."
    if any(not policy.drains for policy in view.scene.cluster.policies):
        held += " The ClusterPolicy has no node drained (driver.upgradePolicy.drain.enable): end such pods by hand."
    remedy = Remedy(held)
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

    Of two NVIDIADriver objects that want a node the operator gives it neither.

    The operator leaves a node alone whose driver it finds installed (label gpu.deploy.driver=pre-installed). That a
    host has its own, its report tells (`--hosts`). Source: NVIDIA/gpu-operator issue 898, NVIDIA/aicr issue 475
    """
    drivers = [one for one in view.scene.cluster.daemon_sets if one.name.startswith(_DRIVERS)]
    clash = [one for one in view.scene.cluster.drivers if one.said.reason == TWICE]
    if not (drivers or clash):
        return None
    ill = [(f"NVIDIADriver {one.name}", one.said.message) for one in clash] if view.whole else []
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
