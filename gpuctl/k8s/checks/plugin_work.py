"""Whether NVIDIA's device plugin does its work: registers, serves where the kubelet looks, sees what is well."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuctl.command import command
from gpuctl.k8s.checks.frame import ClusterJudgement, View, check, named, worst_of
from gpuctl.k8s.checks.gpu import WHOLE, plugin_pod
from gpuctl.k8s.checks.host import HOST_LAYERS
from gpuctl.k8s.checks.plugin import explained, log_of, plugin_pods
from gpuctl.k8s.gpu_nodes import offers_expected
from gpuctl.k8s.host_reports import HostReport
from gpuctl.k8s.objects import ClusterNode, DaemonSet
from gpuctl.k8s.plugin import excluded, is_plugin, stuck
from gpuctl.k8s.quantity import amount
from gpuctl.k8s.requests import gpus_in
from gpuctl.model import Disturbs, Remedy, Status

FOLDER = "/var/lib/kubelet/device-plugins"
_FOLDERS = (FOLDER, "/var/snap/microk8s/common/var/lib/kubelet/device-plugins")
"""MicroK8s has its own kubelet's folder, to which /var/lib/kubelet leads."""
_SOCKET = ("kubelet.plugin-socket", "kubelet.plugin-folder", "kubelet.registration")
_OFF = ("all", "xids")
_CHECKS_FAILED = "Failed to start health check"
_SAID = 300
"""Letters of a log's line that a sentence takes."""
_CDI_STRATEGIES = frozenset(("cdi-annotations", "cdi-cri"))
_ENGINE = re.compile(r"([a-z-]{1,20})://v?(\d{1,4})\.(\d{1,4})")
_FIRST_WITH_CDI = {"containerd": (1, 7), "cri-o": (1, 23)}
"""https://github.com/cncf-tags/container-device-interface#how-to-configure-cdi: containerd 1.7, CRI-O 1.23."""
_KUBELET = re.compile(r"v?1\.(\d{1,3})")
CDI_KUBELET = 28
"""The minor version from which a kubelet hands on CDI names of device plugins (KEP-4009; by itself from 1.29 on)."""
_TAG = re.compile(r":v?(\d[\w.]{0,60})[^/]{0,60}$")
_OF_PLUGIN = ("k8s-device-plugin", "gpu-feature-discovery")
_OF_OLD_GFD = re.compile(r":v?0\.\d\.")
"""GFD was at 0.8 when it became a part of the plugin's 0.15."""


@check("k8s.plugin.registered", needs=("Node", "Pod"), explains=("k8s.gpu.advertised", "k8s.gpu.gone"))
def registered(view: View) -> ClusterJudgement | None:
    """A plugin's pod that runs on a node without a GPU to give: it waits for ever without NVML, or missed its kubelet.

    Without the NVIDIA runtime it finds no devices, and with FAIL_ON_INIT_ERROR=false goes on. A kubelet that was
    restarted knows only plugins that register again. Source: NVIDIA/k8s-device-plugin issues 1220, 1228, 1574
    """
    pods = {pod.node: pod for pod in plugin_pods(view) if pod.phase == "Running" and not stuck(pod)}
    with_pod = [node for node in view.gpu_nodes if node.name in pods and not view.scene.devices.get(node.name)]
    if not with_pod:
        return None
    ill = []
    for node in with_pod:
        report = view.reports.fresh(node.name)
        said = report.said(*_SOCKET, "kubelet.gpus") if report else None
        if not any(gpus_in(node.capacity).values()) and offers_expected(node):
            ill.append((node.name, said.message if said else f"{pods[node.name].shown} runs, and no GPU is registered"))
    told = log_of(view, [pods[name] for name, _ in ill])
    text = f"the device plugin runs and is not registered ({ill[0][1]}).{told.words}" if ill else ""
    commands = (explained(pods[ill[0][0]]), *plugin_pod(view, [ill[0][0]]).commands) if ill else ()
    remedy = told.remedy or Remedy(
        "Ask its log for the cause; then restart the pod.", commands, Disturbs.NEW_CONTAINERS
    )
    return worst_of(Status.FAIL, ill, text, "Every plugin that runs has registered GPUs", remedy)


@check(
    "k8s.plugin.socket",
    needs=("Node", "DaemonSet"),
    explains=("k8s.plugin.registered", "k8s.gpu.advertised", "k8s.gpu.gone"),
)
def socket(view: View) -> ClusterJudgement | None:
    """The plugin's socket has to lie in /var/lib/kubelet/device-plugins: --root-dir does not move that folder.

    A hostPath elsewhere is where no kubelet looks, but where the kubelet runs in a container that has it there. Whether
    a socket is dead, the node's own report tells (`--hosts`).
    Source: https://kubernetes.io/docs/reference/node/kubelet-files/, kubernetes/kubernetes issue 120626
    """
    ill = []
    for node in view.gpu_nodes:
        report = view.reports.fresh(node.name)
        said = report.said(*_SOCKET) if report else None
        if said and said.status == "fail":
            ill.append((node.name, f"{said.message} ({said.id})"))
        elif not any(gpus_in(node.capacity).values()):
            ill += [(node.name, text) for one in _plugins(view, node) if (text := _elsewhere(one))][:1]
    text = f"the plugin's socket is not where the kubelet looks, or dead ({ill[0][1]})." if ill else ""
    remedy = Remedy(f"Mount {FOLDER} into the plugin's pod, as its chart does; then restart that pod.")
    return worst_of(Status.FAIL, ill, text, "No plugin is known to serve where no kubelet looks", remedy)


def _plugins(view: View, node: ClusterNode) -> Iterator[DaemonSet]:
    """The DaemonSets of the plugin that are meant for a node."""
    return (one for one in view.scene.cluster.daemon_sets if is_plugin(one) and not excluded(one, node))


def _elsewhere(one: DaemonSet) -> str:
    folders = [path.rstrip("/") for path in one.folders if path.rstrip("/").endswith("/device-plugins")]
    wrong = folders and not set(folders) & set(_FOLDERS)
    return f"{one.namespace}/{one.name} mounts {folders[0]}, and kubelets look in {FOLDER}" if wrong else ""


@check("k8s.plugin.health-checks", needs=("Node", "DaemonSet"))
def health_checks(view: View) -> ClusterJudgement | None:
    """Without health checks, switched off or failed at their start, a plugin goes on offering GPUs that are lost.

    Each pod that gets one is refused, and its owner makes another. They are off where DP_DISABLE_HEALTHCHECKS is `all`
    or holds `xids`. That they failed shows where a node's own report has fewer GPUs in NVML than are offered, and in
    the plugin's log, where that is read: with --node, and of nodes with fewer GPUs to give than they have registered.
    Source: NVIDIA/k8s-device-plugin, internal/rm/health.go, internal/plugin/server.go, pull 1641
    """
    lost = []
    for node in view.gpu_nodes:
        report = view.reports.fresh(node.name)
        offered = gpus_in(node.allocatable)
        if report and report.in_nvml is not None and set(offered) == {WHOLE}:
            there = offered[WHOLE] // 1000
            if report.in_nvml < there and "nvidia.com/gpu.replicas" not in node.labels:
                lost.append((node.name, f"{report.in_nvml} in NVML, {there} offered"))
    remedy = Remedy("Restart the plugin's pod: its health checks start with it.", (), Disturbs.NEW_CONTAINERS)
    if lost:
        text = f"GPUs are offered that NVML does not have ({lost[0][1]}): the plugin's health checks do not work."
        return worst_of(Status.FAIL, lost, text, "", remedy)
    failed = list(_failed_at_start(view))
    if failed:
        text = f"the plugin's health checks failed at their start, and it goes on offering GPUs ({failed[0][1]})."
        return worst_of(Status.FAIL, failed, text, "", remedy)
    off = [
        (f"DaemonSet {one.namespace}/{one.name}", f"DP_DISABLE_HEALTHCHECKS={value}")
        for one in view.scene.cluster.daemon_sets
        if is_plugin(one) and any(word in (value := one.settings.get("DP_DISABLE_HEALTHCHECKS", "")) for word in _OFF)
    ]
    text = "its health checks are off: a GPU that is lost is offered still."
    on = Remedy("Take DP_DISABLE_HEALTHCHECKS away, or name in it the Xids that are to be ignored.")
    return worst_of(Status.WARN, off, text, "No plugin's health checks are known to be off", on)


def _failed_at_start(view: View) -> Iterator[tuple[str, str]]:
    """The nodes on which the plugin has said so, since it last did start."""
    nodes = {pod.name: pod.node for pod in plugin_pods(view)}
    offering = {node.name for node in view.gpu_nodes if any(gpus_in(node.allocatable).values())}
    for log in view.scene.cluster.logs:
        said = next((line for line in log.lines if _CHECKS_FAILED in line), "")
        if said and nodes.get(log.name) in offering:
            yield nodes[log.name], said[said.index(_CHECKS_FAILED) :][:_SAID].rstrip(".")


@check("k8s.plugin.unhealthy-forever", needs=("Node",), explains=("k8s.gpu.healthy",))
def unhealthy_forever(view: View) -> ClusterJudgement | None:
    """A GPU that the plugin has called unhealthy stays so until its pod is restarted, even where it is well again.

    Whether it is well, the node's own report tells (`--hosts`). Source: NVIDIA/k8s-device-plugin issues 111, 234, 403
    """
    ill, untold = [], []
    for node in view.gpu_nodes:
        capacity, well = gpus_in(node.capacity), gpus_in(node.allocatable)
        if not 0 < sum(well.values()) < sum(capacity.values()):
            continue
        report = view.reports.fresh(node.name)
        counts = f"{amount(WHOLE, sum(well.values()))} of {amount(WHOLE, sum(capacity.values()))} allocatable"
        if report is None or report.in_nvml is None:
            untold.append((node.name, counts))
        elif _is_well(report):
            ill.append((node.name, f"{counts}, and the host finds all {report.in_nvml} well"))
    if untold and not ill:
        which = named(name for name, _ in untold)
        why = f"whether the GPUs of {which} are well that the plugin calls unhealthy: a report of the node's own tells"
        return ClusterJudgement(Status.UNKNOWN, f"could not be determined: {why} (--hosts)", tuple(untold))
    text = f"the plugin has not taken a GPU back that is well ({ill[0][1]})." if ill else ""
    remedy = plugin_pod(view, [name for name, _ in ill])
    return worst_of(Status.FAIL, ill, text, "No plugin is known to withhold a GPU that is well", remedy)


def _is_well(report: HostReport) -> bool:
    return report.on_bus == report.in_nvml and report.said(*HOST_LAYERS) is None


@check("k8s.plugin.strategy", needs=("Node", "DaemonSet"))
def strategy(view: View) -> ClusterJudgement | None:
    """The plugin tells devices by a variable, by mounts, or by names of CDI: engine and kubelet have to take that.

    CDI takes containerd 1.7 or CRI-O 1.23; `cdi-cri` takes a kubelet of 1.28. With a static CPU manager a variable
    alone loses the GPUs of running containers. Source: https://github.com/NVIDIA/k8s-device-plugin#configuration-option-details
    """
    unfit, loses = [], []
    for node in view.gpu_nodes:
        for one in _plugins(view, node):
            asked = frozenset(filter(None, one.settings.get("DEVICE_LIST_STRATEGY", "").split(",")))
            why = _unfit(asked, node) if asked and asked <= _CDI_STRATEGIES else ""
            unfit += [(node.name, f"{','.join(sorted(asked))}, and {why}")] if why else []
        report = view.reports.fresh(node.name)
        said = report.said("kubelet.cpu-manager") if report else None
        loses += [(node.name, said.message)] if said else []
    if unfit:
        text = f"the plugin names devices in a way that the node does not take ({unfit[0][1]})."
        remedy = Remedy("Set DEVICE_LIST_STRATEGY to envvar there, or upgrade what is too old.")
        return worst_of(Status.FAIL, unfit, text, "", remedy)
    text = f"the plugin's way does not go with a static CPU manager ({loses[0][1]})." if loses else ""
    remedy = Remedy("Set PASS_DEVICE_SPECS to true (the pod has to be privileged then), or give GPUs by CDI.")
    return worst_of(Status.WARN, loses, text, "No plugin's list strategy is known not to fit its node", remedy)


def _unfit(asked: frozenset[str], node: ClusterNode) -> str:
    engine = _ENGINE.match(node.engine)
    first = _FIRST_WITH_CDI.get(engine[1]) if engine else None
    if engine and first and (int(engine[2]), int(engine[3])) < first:
        return f"{node.engine} knows no CDI"
    kubelet = _KUBELET.match(node.kubelet)
    if asked == {"cdi-cri"} and kubelet and int(kubelet[1]) < CDI_KUBELET:
        return f"the kubelet {node.kubelet} hands on no names of CDI"
    return ""


@check("k8s.plugin.version", needs=("DaemonSet",), of_cluster=True)
def version(view: View) -> ClusterJudgement | None:
    """The plugin and GPU Feature Discovery are released together; pods may be of an older template than their set.

    Source: https://github.com/NVIDIA/k8s-device-plugin#versioning
    """
    sets = [one for one in view.scene.cluster.daemon_sets if _images(one)]
    if not sets:
        return None
    versions: dict[str, str] = {}
    for one in sets:
        for found in _images(one):
            versions.setdefault(found, f"{one.namespace}/{one.name}")
    old = [
        (f"DaemonSet {one.namespace}/{one.name}", f"{one.updated} of {one.desired} pods are of its template")
        for one in sets
        if one.updated < one.desired
    ]
    if len(versions) > 1:
        ill = [(f"DaemonSet {name}", found) for found, name in versions.items()]
        text = "device plugin and GPU Feature Discovery are of several versions."
        return worst_of(Status.WARN, ill, text, "", Remedy("Bring all of them to one version, by one chart."))
    text = f"pods of an older template still run ({old[0][1]})." if old else ""
    first = sets[0]
    rollout = command("kubectl", "rollout", "restart", "-n", first.namespace, f"daemonset/{first.name}")
    remedy = Remedy("Have its pods made anew.", (rollout,), Disturbs.NEW_CONTAINERS)
    return worst_of(Status.WARN, old, text, "The plugin and GPU Feature Discovery are of one version", remedy)


def _images(one: DaemonSet) -> list[str]:
    """The versions of its images of the plugin and of GFD, which had its own before it joined the plugin."""
    found = (_TAG.search(image.partition("@")[0]) for image in one.images if any(name in image for name in _OF_PLUGIN))
    versions = (match[1] for match in found if match and not _OF_OLD_GFD.match(match[0]))
    return list(dict.fromkeys(versions))
