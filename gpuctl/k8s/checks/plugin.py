"""Whether NVIDIA's device plugin is where GPUs are."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

from gpuctl.command import Command, Shell, command
from gpuctl.frozen import dataclass
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.k8s.gpu_nodes import has_gpus, offers, offers_expected
from gpuctl.k8s.objects import ClusterNode, DaemonSet, Pod
from gpuctl.k8s.plugin import is_plugin, is_plugin_pod, lacks_image, left_out, stuck
from gpuctl.k8s.requests import gpus_in
from gpuctl.model import Remedy, Status


def plugin_pods(view: View) -> list[Pod]:
    """Returns the pods of the plugin."""
    return [pod for pod in view.scene.cluster.pods if is_plugin_pod(pod)]


@check("k8s.plugin.present", needs=("Node", "DaemonSet"), explains=("k8s.gpu.advertised", "k8s.gpu.gone"))
def present(view: View) -> ClusterJudgement | None:
    """No DaemonSet of the plugin wants a node with GPUs: its selector, its affinity or a taint excludes that node.

    Where no node is known to have GPUs, the plugin may be what keeps that from being known: it is then meant for none.
    """
    plugins = [one for one in view.scene.cluster.daemon_sets if is_plugin(one)]
    if plugins and view.whole and not view.gpu_nodes:
        return _meant_for_none(view, plugins)
    ill = []
    for node in view.gpu_nodes:
        if offers_expected(node) and not offers(node, view.scene):
            reason = left_out(plugins, node) if plugins else f"no DaemonSet of the plugin is there{_unwanted(view)}"
            if reason:
                ill.append((node.name, reason))
    text = f"no device plugin is meant for it ({ill[0][1]})." if ill else ""
    remedy = Remedy("Give the node the label, or the DaemonSet the toleration, that is missing; or install the plugin.")
    good = "Every node whose GPUs are not offered is one that a device plugin is meant for"
    return worst_of(Status.FAIL, ill, text, good, remedy)


def _unwanted(view: View) -> str:
    policy = next((one for one in view.scene.cluster.policies if not one.plugin), None)
    return f", and ClusterPolicy {policy.name} leaves it out: devicePlugin.enabled is false" if policy else ""


def _meant_for_none(view: View, plugins: list[DaemonSet]) -> ClusterJudgement | None:
    out = [(node.name, reason) for node in view.nodes if (reason := left_out(plugins, node))]
    if len(out) < len(view.nodes) or not out:
        return None
    text = f"the device plugin is meant for no node of this cluster ({out[0][1]}), and none is known to have GPUs."
    remedy = Remedy("Where a node has GPUs, give it the label, or the DaemonSet the toleration, that is missing.")
    return worst_of(Status.WARN, out, text, "", remedy)


@check("k8s.plugin.running", needs=("Node", "Pod"), explains=("k8s.gpu.advertised", "k8s.gpu.gone"))
def running(view: View) -> ClusterJudgement | None:
    """A plugin that does not run registers nothing; `gpuctl explain` names the cause by its log.

    One that found no NVML at its start may wait for ever, and counts as running. One whose init containers have not
    ended waits for what they wait for: a driver, or the operator's toolkit.
    """
    nodes = {node.name: node for node in view.nodes}
    pods = [pod for pod in plugin_pods(view) if pod.node in nodes and not pod.ended]
    if not pods:
        return None
    ill = [(pod, reason) for pod in pods if (reason := stuck(pod) or _initializing(pod, nodes[pod.node]))]
    seen = [(pod.node, f"{pod.shown}: {reason}") for pod, reason in ill]
    elsewhere = [(pod, reason) for pod, reason in ill if not has_gpus(nodes[pod.node], view.scene)]
    if len(elsewhere) == len(ill) and ill and view.whole and view.gpu_nodes:
        return _on_others(seen)
    told = log_of(view, [pod for pod, _ in ill])
    text = f"the device plugin does not run there ({seen[0][1]}).{told.words}" if seen else ""
    remedy = told.remedy or asked(ill[0][0]) if ill else None
    return worst_of(Status.FAIL, seen, text, "Every pod of the device plugin runs", remedy)


def _on_others(seen: list[tuple[str, str]]) -> ClusterJudgement:
    """Nodes of a cluster that has GPUs elsewhere: where these have none, the plugin cannot but fail."""
    text = f"the device plugin does not run there ({seen[0][1]}), and nothing shows that the node has GPUs."
    remedy = Remedy(
        "Where it has none, leave such nodes out by the nodeSelector or affinity of the plugin's DaemonSet; where it"
        " has some, its log tells the cause."
    )
    return worst_of(Status.WARN, seen, text, "", remedy)


def _initializing(pod: Pod, node: ClusterNode) -> str:
    gives = any(gpus_in(node.allocatable).values())
    return f"its init container {pod.initializing} has not ended" if pod.initializing and not gives else ""


def explained(pod: Pod) -> Command:
    """Returns what asks a pod's log for the cause."""
    return command(
        "kubectl", "logs", "-n", pod.namespace, pod.name, "--all-containers", Shell.PIPE, "gpuctl", "explain", "-"
    )


def asked(pod: Pod) -> Remedy:
    """Returns where to look for why a pod does not run: its log, or where it has none yet, the image and its node."""
    if lacks_image(pod):
        describe = command("kubectl", "describe", "pod", "-n", pod.namespace, pod.name)
        text = "Name an image that the registry has for that node's system and kernel, or let the node pull it."
        return Remedy(text, (describe,))
    return Remedy("Ask its log for the cause.", (explained(pod),))


@dataclass(frozen=True)
class LogSays:
    """What a log adds to a sentence, "" for nothing, and what to do by it."""

    words: str = ""
    remedy: Remedy | None = None


def log_of(view: View, pods: Iterable[Pod]) -> LogSays:
    """Returns the cause by the first log of these pods that is understood, else by what the kubelet says of their
    containers, which have no log where they do not start; else why no log could be read.
    """
    by_name = {(pod.namespace, pod.name): pod for pod in pods}
    logs = [one for one in view.scene.cluster.logs if (one.namespace, one.name) in by_name]
    texts = [("log", one.lines) for one in logs] + [("kubelet", pod.complaints) for pod in by_name.values()]
    for whose, lines in texts:
        if lines:
            from gpuctl.diagnose.answer import matches  # it takes long to load, and logs are read of ill pods alone
            from gpuctl.diagnose.scan import scan

            found = matches(scan(BytesIO("\n".join(lines).encode("utf-8", "replace"))))
            if found:
                return LogSays(f" Its {whose}: {found[0].sentence}", next(iter(found[0].remedies), None))
    lacking = next((one.lacking for one in logs if one.lacking), "")
    return LogSays(f" Its log may not be read: it takes the rule `{lacking}`." if lacking else "")
