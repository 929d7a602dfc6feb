"""Whether the GPUs of each node are counted: from what GFD found to what the scheduler may give away."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuctl.command import command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, worst_of
from gpuctl.k8s.checks.plugin import plugin_pods
from gpuctl.k8s.gpu_nodes import count_label, in_nvml, offers_expected, replicas_label
from gpuctl.k8s.objects import ClusterNode
from gpuctl.k8s.plugin import excluded, is_plugin
from gpuctl.k8s.quantity import amount
from gpuctl.k8s.requests import gpus_in, is_foreign, is_gpu
from gpuctl.model import Disturbs, Remedy, Status

WHOLE, SHARED = "nvidia.com/gpu", "nvidia.com/gpu.shared"
MIG = "nvidia.com/mig-"
CONFIG = "nvidia.com/device-plugin.config"


def plugin_pod(view: View, names: list[str]) -> Remedy:
    """What makes the plugin register again: its pod on that node restarted, where the pod is known."""
    pods = [pod for pod in plugin_pods(view) if names and pod.node == names[0]]
    commands = tuple(command("kubectl", "delete", "pod", "-n", pod.namespace, pod.name) for pod in pods[:1])
    text = "See on the node whether the GPUs are well (`gpuctl doctor`); then restart the plugin's pod there."
    return Remedy(text, commands, Disturbs.NEW_CONTAINERS)


@check("k8s.gpu.advertised", needs=("Node",))
def advertised(view: View) -> ClusterJudgement | None:
    """A node known to have GPUs has no resource of that kind: the plugin never registered with its kubelet.

    Absent is not 0: a kubelet keeps the name of a resource that was once registered, with the number 0.
    """
    ill = [
        (node.name, "labelled as a node with GPUs; no nvidia.com/gpu in its capacity")
        for node in view.gpu_nodes
        if offers_expected(node) and not gpus_in(node.capacity) and not view.scene.devices.get(node.name)
        if not any(map(is_foreign, node.capacity))
    ]
    text = "labelled as a node with GPUs, and none is offered to pods."
    remedy = plugin_pod(view, [name for name, _ in ill])
    return worst_of(Status.FAIL, ill, text, "Every node that is labelled as one with GPUs offers some", remedy)


@check("k8s.gpu.gone", needs=("Node",), explains=("k8s.gpu.overcommitted", "k8s.pods.lost-gpu"))
def gone(view: View) -> ClusterJudgement | None:
    """No GPU of a node can be given away that could be once.

    Allocatable 0 with capacity: the plugin's connection ended less than five minutes ago, or every GPU is unhealthy.
    Both 0: the plugin did not register again, as after a restart of the kubelet. A node whose GPUs have another name
    now is not meant.
    """
    ill = []
    for node in view.gpu_nodes:
        capacity, allocatable = gpus_in(node.capacity), gpus_in(node.allocatable)
        if capacity and not any(allocatable.values()):
            held = amount("", sum(capacity.values()))
            why = "all unhealthy, or the plugin is gone" if held != "0" else "the plugin did not register again"
            ill.append((node.name, f"0 of {held} allocatable: {why}"))
    text = f"no GPU can be given away ({ill[0][1]})." if ill else ""
    remedy = plugin_pod(view, [name for name, _ in ill])
    return worst_of(Status.FAIL, ill, text, "Every node that offered GPUs offers some still", remedy)


@check("k8s.gpu.healthy", needs=("Node",), explains=("k8s.pods.lost-gpu", "k8s.gpu.overcommitted"))
def healthy(view: View) -> ClusterJudgement | None:
    """Allocatable counts healthy GPUs, not free ones: where it is below capacity, the plugin calls some unhealthy.

    It never takes that back by itself, even where the GPU is well again: its pod has to be restarted. Xids 13, 31, 43,
    45, 68 and 109 it ignores. Source: NVIDIA/k8s-device-plugin, internal/rm/health.go
    """
    ill = []
    for node in view.gpu_nodes:
        for name, there in gpus_in(node.capacity).items():
            well = node.allocatable.get(name, 0)
            if 0 < well < there:
                ids = [one for pod in view.scene.on_node.get(node.name, ()) for one in pod.unhealthy_devices]
                which = f" ({', '.join(ids)})" if ids else ""
                ill.append((node.name, f"{amount(name, well)} of {amount(name, there)} {name} are healthy{which}"))
    text = f"not all GPUs are healthy ({ill[0][1]})." if ill else ""
    remedy = plugin_pod(view, [name for name, _ in ill])
    return worst_of(Status.FAIL, ill, text, "Every GPU that is registered is healthy", remedy)


@check("k8s.gpu.count", needs=("Node",))
def count(view: View) -> ClusterJudgement | None:
    """The plugin finds GPUs by NVML and registers them: fewer registered than found, and some are withheld.

    What NVML has, the node's own report tells (`--hosts`), or else GFD's label.
    """
    ill = []
    for node in view.gpu_nodes:
        found, capacity = in_nvml(node, view.reports.fresh(node.name)), gpus_in(node.capacity)
        registered = capacity.get(WHOLE, 0) // 1000
        plain = set(capacity) == {WHOLE} and replicas_label(node) == 1
        if found is not None and plain and 0 < registered < found:
            ill.append((node.name, f"{found} in NVML, {registered} registered"))
    text = f"the number drops between NVML and the kubelet ({ill[0][1]})." if ill else ""
    remedy = plugin_pod(view, [name for name, _ in ill])
    return worst_of(Status.FAIL, ill, text, "As many GPUs are registered as NVML has", remedy)


@check("k8s.gpu.stale-name", needs=("Node",))
def stale_name(view: View) -> ClusterJudgement | None:
    """The kubelet keeps a resource's name after MIG or sharing has renamed it, until it is restarted: with 0, or worse.

    Source: NVIDIA/k8s-device-plugin issues 240, 992
    """
    ill = [(node.name, text) for node in view.gpu_nodes if (text := _stale(node))]
    text = f"a name of GPUs is left from before ({ill[0][1]})." if ill else ""
    remedy = Remedy(
        "It counts for nothing; restart the kubelet of that node to be rid of it.", (), Disturbs.NEW_CONTAINERS
    )
    return worst_of(Status.WARN, ill, text, "No node has a name of GPUs left over", remedy)


def _stale(node: ClusterNode) -> str:
    capacity = gpus_in(node.capacity)
    used = [name for name, value in capacity.items() if value]
    left = [name for name, value in capacity.items() if not value]
    if used and left:
        return f"{', '.join(left)} is 0 beside {', '.join(used)}"
    found = count_label(node)
    parts = sum(name.startswith(MIG) for name in used)
    whole = capacity.get(WHOLE, 0) // 1000
    return f"all {found} GPUs are offered whole, and in parts as well" if parts and found and whole == found else ""


@check("k8s.gpu.twice", needs=("Node", "ResourceSlice"))
def twice(view: View) -> ClusterJudgement | None:
    """The plugin and a DRA driver that offer the same GPUs give each of them away twice; and so do two plugins.

    Two plugins of one resource take turns: the kubelet goes by the one that registered last.
    Source: NVIDIA/aicr issues 332, 1755; NVIDIA/k8s-device-plugin issue 255
    """
    ill = [
        (node.name, f"{amount(WHOLE, sum(counted.values()))} by the plugin, {len(offered)} devices by a DRA driver")
        for node in view.gpu_nodes
        if sum((counted := gpus_in(node.allocatable)).values())
        and (offered := [one for one in view.scene.devices.get(node.name, ()) if one[0] == "gpu.nvidia.com"])
    ]
    ill += [
        (node.name, f"meant for it are {' and '.join(both)}")
        for node in view.gpu_nodes
        if (both := _plugins(view, node))
    ]
    text = f"its GPUs are offered in two ways ({ill[0][1]}): each may be given away twice." if ill else ""
    remedy = Remedy("Leave one of both to the node: by the selector of either DaemonSet.")
    return worst_of(Status.FAIL, ill, text, "No node offers its GPUs in two ways", remedy)


def _plugins(view: View, node: ClusterNode) -> list[str]:
    """The DaemonSets of the plugin that are meant for a node, where these are several."""
    meant = [one for one in view.scene.cluster.daemon_sets if is_plugin(one) and not excluded(one, node)]
    return [f"{one.namespace}/{one.name}" for one in meant] if len(meant) > 1 else []


@check("k8s.gpu.overcommitted", needs=("Node", "Pod"))
def overcommitted(view: View) -> ClusterJudgement | None:
    """Pods hold more GPUs than can be given away: some run on a GPU that is unhealthy or no longer registered."""
    ill = []
    for node in view.gpu_nodes:
        for name, asked in view.scene.requested.get(node.name, {}).items():
            there = node.allocatable.get(name, 0)
            if is_gpu(name) and asked > there:
                ill.append((node.name, f"{amount(name, asked)} {name} are held, and {amount(name, there)} are there"))
    text = f"more GPUs are held than can be given away ({ill[0][1]})." if ill else ""
    remedy = Remedy("See which of its pods still compute; a new one gets no GPU there until they end.")
    return worst_of(Status.FAIL, ill, text, "No node's pods hold more GPUs than it has", remedy)


_NAME_A_KEY = f"Name a key of the plugin's ConfigMap in the node's label {CONFIG}, or add that key."
_READ_THE_LABEL = (
    "Install the plugin by its chart with config.name, or by the operator with devicePlugin.config.name: it reads that"
    " ConfigMap, and the label, then."
)
_NO_CONFIGURATION = re.compile(
    r"specified config \S{0,253} ?does not exist|no configuration files available|no config was set, no default"
)


@check("k8s.gpu.sharing", needs=("Node",), explains=("k8s.operator.state", "k8s.plugin.running"))
def sharing(view: View) -> ClusterJudgement | None:
    """GPUs that are shared are as many as there are, times the replicas: another number, and sharing is not in force.

    Which configuration a node's plugin takes, its label nvidia.com/device-plugin.config names: a key of the ConfigMap.
    The plugin's log tells where there is none of that name. The label has no effect where the plugin's DaemonSet is
    given no ConfigMap, which its chart and the operator do by the variable CONFIG_FILE.
    Source: NVIDIA/k8s-device-plugin, cmd/config-manager/main.go; issues 615, 732, 990, 1548
    """
    refused = list(_refused_labels(view))
    if refused:
        text = f"its plugin has no configuration of that name ({refused[0][1]})."
        return worst_of(Status.FAIL, refused, text, "", Remedy(_NAME_A_KEY))
    unread = list(_unread_labels(view))
    if unread:
        text = f"its label for the plugin's configuration has no effect ({unread[0][1]})."
        return worst_of(Status.WARN, unread, text, "", Remedy(_READ_THE_LABEL))
    shared = [
        node
        for node in view.gpu_nodes
        if replicas_label(node) > 1 and count_label(node)
        if not any(name.startswith(MIG) for name in node.capacity)  # parts have replicas of their own
    ]
    if not shared:
        return None
    ill = []
    for node in shared:
        wanted = (count_label(node) or 0) * replicas_label(node)
        has = sum(gpus_in(node.capacity).values()) // 1000
        if has != wanted:
            ill.append((node.name, f"{count_label(node)} GPUs x {replicas_label(node)} replicas, {has} registered"))
    text = f"sharing is not as its labels say ({ill[0][1]})." if ill else ""
    remedy = Remedy(f"See which configuration the plugin of that node reads: its label {CONFIG}.")
    return worst_of(Status.WARN, ill, text, "GPUs are shared as the labels say", remedy)


def _refused_labels(view: View) -> Iterator[tuple[str, str]]:
    """What the plugin's config-manager says of nodes whose label names nothing that it has."""
    nodes = {node.name: node for node in view.gpu_nodes}
    on = {(pod.namespace, pod.name): pod.node for pod in plugin_pods(view)}
    for log in view.scene.cluster.logs:
        node = nodes.get(on.get((log.namespace, log.name), ""))
        said = next((found[0] for line in reversed(log.lines) if (found := _NO_CONFIGURATION.search(line))), "")
        if node and said:
            yield node.name, f"{CONFIG}={node.labels.get(CONFIG, '')}: {said}"


def _unread_labels(view: View) -> Iterator[tuple[str, str]]:
    if view.scene.cluster.lacks("DaemonSet"):
        return
    plugins = [one for one in view.scene.cluster.daemon_sets if is_plugin(one)]
    for node in view.gpu_nodes:
        meant = [one for one in plugins if not excluded(one, node)]
        wanted = node.labels.get(CONFIG)
        if wanted and meant and not any("CONFIG_FILE" in one.settings for one in meant):
            yield node.name, f"{CONFIG}={wanted}, and {meant[0].namespace}/{meant[0].name} is not set up to read it"


_DIVIDES = re.compile(r"all-(?:\d{1,2}g\.|balanced)")
"""Of the layouts that come with mig-manager those that divide GPUs; what others are called tells nothing."""


def _undivided(node: ClusterNode) -> bool:
    """Whether neither a resource nor GFD's label shows a part of a GPU, of a node whose plugin would offer parts."""
    product, strategy = (node.labels.get(f"nvidia.com/{name}", "") for name in ("gpu.product", "mig.strategy"))
    parts = any(value for name, value in node.capacity.items() if name.startswith(MIG))
    return bool(product) and "-MIG-" not in product and strategy != "none" and not parts


@check("k8s.gpu.mig", needs=("Node",), explains=("k8s.gpu.gone",))
def mig(view: View) -> ClusterJudgement | None:
    """MIG's layout is not as it is to be: not applied, of unlike profiles under strategy single, or lost.

    GPUs keep no layout over a restart: mig-manager applies it anew, and until it has, or where it is gone, its label
    still says that the layout is there. Source: NVIDIA/k8s-device-plugin issue 225, NVIDIA/gpu-operator issue 603
    """
    ill = []
    for node in view.gpu_nodes:
        state = node.labels.get("nvidia.com/mig.config.state", "")
        wanted = node.labels.get("nvidia.com/mig.config", "a layout")
        if state == "failed":
            ill.append((node.name, f"{wanted} could not be applied"))
        elif "MIG-INVALID" in node.labels.get("nvidia.com/gpu.product", ""):
            ill.append((node.name, "strategy single, and not all its GPUs are divided alike"))
        elif state == "success" and _DIVIDES.match(wanted) and _undivided(node):
            ill.append((node.name, f"{wanted} has been applied, and its GPUs are not divided now"))
    text = f"MIG is not set up ({ill[0][1]})." if ill else ""
    remedy = Remedy(
        "Give the node a layout that all its GPUs take, by its label nvidia.com/mig.config (see mig-manager's log), of"
        " one profile where the strategy is single; or set the strategy to mixed."
    )
    return worst_of(Status.FAIL, ill, text, "No node's MIG layout has failed", remedy)
