"""The checks of a cluster: each fails in a world with one thing changed, and passes in a healthy one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from k8s_objects import LISTS, Object, claiming, cluster, event, named, node, pod

from gpuctl.k8s.checks import CHECKS
from gpuctl.k8s.doctor import examine
from gpuctl.k8s.objects import PodLog
from gpuctl.k8s.why import why
from gpuctl.model import Finding, Status

LABEL = {"app": "nvidia-device-plugin-daemonset"}
PLUGIN = named(
    "DaemonSet",
    "nvidia-device-plugin",
    namespace="gpu",
    spec={"template": {"spec": {"containers": [{"image": "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"}]}}},
)
NVIDIA = named("RuntimeClass", "nvidia", handler="nvidia")
CLASS = named("DeviceClass", "gpu.nvidia.com", spec={})


def dra(devices: list[Object], on: str = "dra") -> Object:
    spec = {"driver": "gpu.nvidia.com", "nodeName": on, "pool": {"name": on}, "devices": devices}
    return named("ResourceSlice", f"{on}-slice", spec=spec)


def shared(count: int, **changed: Any) -> Object:
    labels = {"nvidia.com/gpu.count": "2", "nvidia.com/gpu.replicas": "4"}
    return node("shared", gpus=None, labels=labels, capacity={"nvidia.com/gpu.shared": str(count)}, **changed)


def claim(of: str, name: str = "c", **changed: Any) -> Object:
    exactly = {"deviceClassName": of, "count": changed.get("count", 1)}
    status = {"allocation": {"devices": {"results": changed.get("allocated", [])}}} if "allocated" in changed else {}
    return named("ResourceClaim", name, spec={"devices": {"requests": [{"exactly": exactly}]}}, status=status)


TAINT = {"key": "team", "value": "x", "effect": "NoSchedule"}
HEALTHY = (
    node("a", labels={"nvidia.com/gpu.count": "8"}, taints=[TAINT]),
    node("dra", gpus=None, labels={"nvidia.com/gpu.present": "true"}),
    shared(8),
    PLUGIN,
    NVIDIA,
    CLASS,
    dra([{"name": "gpu-0"}]),
    claim("gpu.nvidia.com"),
    pod(
        "plugin",
        on="a",
        labels=LABEL,
        spec={"runtimeClassName": "nvidia"},
        namespace="gpu",
        owner="DaemonSet/nvidia-device-plugin",
    ),
    pod("work", 4, "a", spec={"tolerations": [{"key": "team", "operator": "Exists"}]}),
)


def crashing(name: str, on: str, app: str, reason: str = "CrashLoopBackOff") -> Object:
    status = {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": reason}}}]}
    return pod(name, on=on, labels={"app": app}, status=status)


def holding_ill(name: str, on: str) -> Object:
    ill = {"name": "nvidia.com/gpu", "resources": [{"resourceID": "GPU-1", "health": "Unhealthy"}]}
    return pod(name, 1, on, status={"containerStatuses": [{"name": "c", "allocatedResourcesStatus": [ill]}]})


def plugin_set(name: str = "nvidia-device-plugin", **changed: Any) -> Object:
    """The plugin's DaemonSet: `env`, `folder`, `image`, `labels` (of its nodes) and `status` are changed."""
    image = changed.get("image", "nvcr.io/nvidia/k8s-device-plugin:v0.20.0")
    variables = [{"name": name, "value": value} for name, value in changed.get("env", {}).items()]
    spec = {
        "nodeSelector": changed.get("labels", {}),
        "containers": [{"image": image, "env": variables}],
        "volumes": [{"name": "d", "hostPath": {"path": changed.get("folder", "/var/lib/kubelet/device-plugins")}}],
    }
    return named(
        "DaemonSet", name, namespace="gpu", spec={"template": {"spec": spec}}, status=changed.get("status", {})
    )


def driver_set(name: str) -> Object:
    spec = {"containers": [{"image": "nvcr.io/nvidia/driver:580.95.05-ubuntu22.04"}]}
    return named("DaemonSet", name, namespace="gpu", spec={"template": {"spec": spec}})


def plugin_pod(on: str) -> Object:
    return pod(f"plugin-{on}", on=on, labels=LABEL, namespace="gpu")


def refused(reason: str, message: str) -> Object:
    status = {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": reason, "message": message}}}]}
    return pod("ill", 1, "a", phase="Pending", status=status)


UNRESOLVED = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: could not apply required"
    " modification to OCI specification: error modifying OCI spec: failed to inject CDI devices: unresolvable CDI"
    " devices management.nvidia.com/gpu=GPU-5a1c3e6b: unknown"
)
NO_HANDLER = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime:"
    ' no runtime for "nvidia" is configured'
)
SEES_ALL = {"containers": [{"name": "c", "env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}]}
WRONG_SELECTOR = named(
    "DaemonSet",
    "nvidia-device-plugin",
    spec={
        "template": {
            "spec": {"nodeSelector": {"pool": "gpu"}, "containers": [{"image": "nvidia/k8s-device-plugin:v0.17.0"}]}
        }
    },
)
LABELLED = {"nvidia.com/gpu.present": "true"}
QUOTA = 'pods "t" is forbidden: exceeded quota: q, requested: requests.nvidia.com/gpu=8'
ILL: dict[str, tuple[Object, ...]] = {
    "k8s.api.skew": (node("ill", kubelet="v1.32.9"),),
    "k8s.node.ready": (node("ill", ready="Unknown"),),
    "k8s.node.cordoned": (node("ill", cordoned=True),),
    "k8s.node.taints": (node("ill", taints=[{"key": "other", "value": "", "effect": "NoSchedule"}]),),
    "k8s.node.labels": (
        node(
            "ill",
            labels={"feature.node.kubernetes.io/pci-0302_10de.present": "true", "nvidia.com/gpu.present": "false"},
        ),
    ),
    "k8s.gpu.advertised": (node("ill", gpus=None, labels=LABELLED),),
    "k8s.gpu.gone": (node("ill", allocatable={"nvidia.com/gpu": "0"}),),
    "k8s.gpu.healthy": (node("ill", allocatable={"nvidia.com/gpu": "7"}),),
    "k8s.gpu.count": (node("ill", 7, labels={"nvidia.com/gpu.count": "8"}),),
    "k8s.gpu.stale-name": (node("ill", 0, capacity={"nvidia.com/mig-1g.10gb": "56"}),),
    "k8s.gpu.twice": (node("ill"), dra([{"name": "gpu-0"}], "ill")),
    "k8s.gpu.overcommitted": (node("ill", 2), pod("greedy", 4, "ill")),
    "k8s.gpu.sharing": (shared(2),),
    "k8s.gpu.mig": (node("ill", labels={"nvidia.com/mig.config.state": "failed"}),),
    "k8s.plugin.present": (node("ill", gpus=None, labels=LABELLED), WRONG_SELECTOR),
    "k8s.plugin.running": (node("ill"), crashing("plugin-ill", "ill", "nvidia-device-plugin-ds")),
    "k8s.plugin.registered": (node("ill", 0, labels=LABELLED), plugin_pod("ill")),
    "k8s.plugin.socket": (node("ill", None, labels=LABELLED), plugin_set(folder="/data/kubelet/device-plugins")),
    "k8s.plugin.health-checks": (plugin_set(env={"DP_DISABLE_HEALTHCHECKS": "all"}),),
    "k8s.plugin.strategy": (
        node("ill", info={"containerRuntimeVersion": "containerd://1.6.33"}),
        plugin_set(env={"DEVICE_LIST_STRATEGY": "cdi-annotations"}),
    ),
    "k8s.plugin.version": (
        plugin_set("gfd", image="nvcr.io/nvidia/gpu-feature-discovery:v0.15.0", labels={"no": "one"}),
    ),
    "k8s.operator.driver-twice": (driver_set("nvidia-driver-daemonset"), driver_set("nvidia-driver-installer")),
    "k8s.runtime.handler": (
        node("ill", handlers=("", "runc")),
        pod("ill", 1, "ill", phase="Pending", spec={"runtimeClassName": "nvidia"}),
    ),
    "k8s.runtime.cdi": (refused("RunContainerError", UNRESOLVED),),
    "k8s.pods.uninvited": (pod("ill", on="a", spec=SEES_ALL),),
    "k8s.operator.state": (
        node("ill"),
        crashing("driver-ill", "ill", "nvidia-driver-daemonset"),
        crashing("toolkit-ill", "ill", "nvidia-container-toolkit-daemonset", "PodInitializing"),
    ),
    "k8s.operator.upgrade": (node("ill", labels={"nvidia.com/gpu-driver-upgrade-state": "upgrade-failed"}),),
    "k8s.runtime.class": (pod("ill", 1, "a", spec={"runtimeClassName": "nvidia-legacy"}),),
    "k8s.pods.pending": (pod("ill", 16),),
    "k8s.pods.rejected": (
        pod("ill", 1, "a", phase="Failed", owner="Job/t", status={"reason": "UnexpectedAdmissionError"}),
    ),
    "k8s.pods.lost-gpu": (holding_ill("ill", "a"),),
    "k8s.pods.quota": (event("Job", "t", "FailedCreate", QUOTA),),
    "k8s.dra.slices": (dra([], "a"),),
    "k8s.dra.claims": (claim("gpu.other.com"), claiming("ill", "c")),
    "k8s.dra.taints": (dra([{"name": "gpu-0", "taints": [{"key": "gpu.nvidia.com/xid", "effect": "NoExecute"}]}]),),
}
"""By check, what is added to the healthy world, or stands there in the place of what has its kind and name."""
REPLACED = {"k8s.plugin.present": "DaemonSet"}
BY_REPORTS = ("k8s.node.host", "k8s.node.report", "k8s.plugin.unhealthy-forever")
"""What only the nodes' own reports tell."""


def with_changes(id: str) -> list[Object]:
    added = ILL[id]
    kinds = {REPLACED.get(id, "")}
    names = {(one["kind"], one["metadata"]["name"]) for one in added}
    kept = [one for one in HEALTHY if one["kind"] not in kinds and (one["kind"], one["metadata"]["name"]) not in names]
    return [*kept, *added]


def findings(*objects: Object, without: tuple[str, ...] = ()) -> dict[str, Finding]:
    return {one.id: one for one in examine(cluster(*objects, without=without)).report.findings}


def test_a_healthy_world_has_nothing_to_complain_of() -> None:
    loud = {one.id: one.message for one in findings(*HEALTHY).values() if one.status in ("fail", "warn", "unknown")}
    assert loud == {}


@pytest.mark.parametrize("id", [id for id in CHECKS if id in ILL])
def test_a_check_complains_of_its_fault_and_passes_without_it(id: str) -> None:
    said = findings(*with_changes(id))[id]
    assert said.status in (Status.FAIL, Status.WARN), said
    assert said.remedy is not None and said.evidence
    assert findings(*HEALTHY)[id].status in (Status.PASS, Status.SKIP)


ALONE = ["k8s.node.ready", "k8s.gpu.healthy", "k8s.gpu.twice", "k8s.operator.state"]


@pytest.mark.parametrize(
    "id",
    [
        *ALONE,
        *("k8s.plugin.registered", "k8s.plugin.socket", "k8s.plugin.strategy", "k8s.operator.driver-twice"),
        *("k8s.runtime.handler", "k8s.runtime.cdi"),
    ],
)
def test_one_fault_is_one_failure(id: str) -> None:
    assert [one.id for one in findings(*with_changes(id)).values() if one.status is Status.FAIL] == [id]


def test_every_check_has_its_world_and_says_what_it_is_about() -> None:
    elsewhere = {"k8s.api.permissions", "k8s.api.reachable", *BY_REPORTS}  # tests/test_k8s_api.py, test_k8s_hosts.py
    assert set(CHECKS) - set(ILL) == elsewhere
    assert all(one.judge.__doc__ for one in CHECKS.values())
    assert {symptom for one in CHECKS.values() for symptom in one.explains} <= set(CHECKS)


def test_a_symptom_folds_under_its_cause_and_only_on_the_same_nodes() -> None:
    gone = node("ill", ready="False", allocatable={"nvidia.com/gpu": "0"})
    folded = findings(*HEALTHY, gone)["k8s.gpu.gone"]
    assert (folded.status, folded.rests_on) == (Status.SKIP, "k8s.node.ready")
    another = node("other", allocatable={"nvidia.com/gpu": "0"})
    assert findings(*HEALTHY, gone, another)["k8s.gpu.gone"].status is Status.FAIL


def test_zero_is_not_absent() -> None:
    zero = findings(*HEALTHY, node("ill", 0, labels=LABELLED))
    assert (zero["k8s.gpu.gone"].status, zero["k8s.gpu.advertised"].status) == (Status.FAIL, Status.PASS)
    absent = findings(*HEALTHY, node("ill", None, labels=LABELLED))
    assert (absent["k8s.gpu.gone"].status, absent["k8s.gpu.advertised"].status) == (Status.PASS, Status.FAIL)


def test_two_plugins_for_one_node_are_told() -> None:
    second = {**PLUGIN, "metadata": {"name": "another", "namespace": "kube-system"}}
    said = findings(*HEALTHY, second)["k8s.gpu.twice"]
    assert said.status is Status.FAIL and "gpu/nvidia-device-plugin and kube-system/another" in said.message


def test_names_of_others_are_listed_and_not_judged() -> None:
    virt = node("virt", None, labels=LABELLED, capacity={"nvidia.com/GH100_H100_PCIE": "8"})
    examined = examine(cluster(*HEALTHY, virt))
    assert [one.foreign for one in examined.classes if "virt" in one.nodes] == [("nvidia.com/GH100_H100_PCIE",)]
    assert {one.id: one.status for one in examined.report.findings}["k8s.gpu.advertised"] is Status.PASS


def test_a_cloud_tells_which_nodes_have_gpus_before_any_plugin_does() -> None:
    bare = node("gke", None, labels={"cloud.google.com/gke-accelerator": "nvidia-l4"})
    assert "gke: labelled" in findings(*HEALTHY, bare)["k8s.gpu.advertised"].message


def test_free_gpus_are_not_taken_for_ill_ones() -> None:
    assert findings(*HEALTHY, node("b"), pod("w", 8, "b"))["k8s.gpu.healthy"].status is Status.PASS


@pytest.mark.parametrize("kind", [one.removesuffix("List") for one in LISTS])
def test_what_rests_on_a_list_that_is_missing_is_unknown_and_names_the_rule(kind: str) -> None:
    said = findings(*HEALTHY, without=(kind,))
    resting = [one.id for one in CHECKS.values() if kind in one.needs]
    assert all(said[id].status is Status.UNKNOWN and "get, list " in said[id].message for id in resting)


def test_a_thousand_nodes_alike_are_one_line() -> None:
    examined = examine(cluster(*(node(f"n{number}") for number in range(1000))))
    assert [len(one.nodes) for one in examined.classes] == [1000]


# What the API alone tells of the plugin, the operator and the engines


def test_an_engine_that_says_no_such_handler_is_believed() -> None:
    waits = pod("ill", 1, "a", phase="Pending", spec={"runtimeClassName": "nvidia"})
    said = findings(*HEALTHY, waits, event("Pod", "ill", "FailedCreatePodSandBox", NO_HANDLER))["k8s.runtime.handler"]
    assert said.status is Status.FAIL and 'no runtime for "nvidia" is configured' in said.message


def test_a_handler_that_nothing_shows_is_unknown_and_one_that_runs_is_there() -> None:
    waits = pod("waits", 1, "b", phase="Pending", spec={"runtimeClassName": "nvidia"})
    unknown = findings(*HEALTHY, node("b"), waits)["k8s.runtime.handler"]
    assert unknown.status is Status.UNKNOWN and "the engine of b" in unknown.message
    runs = pod("runs", 1, "b", spec={"runtimeClassName": "nvidia"})
    assert findings(*HEALTHY, node("b"), waits, runs)["k8s.runtime.handler"].status is Status.PASS
    told = node("b", handlers=("", "runc", "nvidia"))
    assert findings(*HEALTHY, told, waits)["k8s.runtime.handler"].status is Status.PASS


def test_health_checks_that_only_leave_out_some_xids_are_on() -> None:
    one = plugin_set(env={"DP_DISABLE_HEALTHCHECKS": "109,110"})
    assert findings(*HEALTHY, one)["k8s.plugin.health-checks"].status is Status.PASS


@pytest.mark.parametrize(
    ("asked", "engine", "kubelet", "status"),
    [
        ("envvar", "containerd://1.6.33", "v1.27.1", Status.PASS),
        ("envvar,cdi-annotations", "containerd://1.6.33", "v1.27.1", Status.PASS),
        ("cdi-annotations", "containerd://1.7.2", "v1.27.1", Status.PASS),
        ("cdi-cri", "containerd://2.0.1", "v1.27.1", Status.FAIL),
        ("cdi-cri", "cri-o://1.29.1", "v1.29.1", Status.PASS),
        ("cdi-cri", "cri-o://1.22.0", "v1.28.0", Status.FAIL),
        ("cdi-cri", "something else", "v1.36.0", Status.PASS),
    ],
)
def test_a_list_strategy_fits_engine_and_kubelet_or_not(asked: str, engine: str, kubelet: str, status: Status) -> None:
    one = node("b", kubelet=kubelet, info={"containerRuntimeVersion": engine})
    said = findings(one, plugin_set(env={"DEVICE_LIST_STRATEGY": asked}))
    assert said["k8s.plugin.strategy"].status is status


def test_a_folder_elsewhere_is_no_fault_where_gpus_are_offered() -> None:
    moved = plugin_set(folder="/opt/rke/var/lib/kubelet/device-plugins")
    assert findings(node("b"), moved)["k8s.plugin.socket"].status is Status.PASS
    assert findings(node("b", None, labels=LABELLED), moved)["k8s.plugin.socket"].status is Status.FAIL


def test_an_old_gfd_had_versions_of_its_own() -> None:
    old = plugin_set("gfd", image="nvcr.io/nvidia/gpu-feature-discovery:v0.8.2", labels={"no": "one"})
    assert findings(plugin_set(), old)["k8s.plugin.version"].status is Status.PASS


def test_pods_of_an_older_template_are_told() -> None:
    said = findings(plugin_set(status={"desiredNumberScheduled": 8, "updatedNumberScheduled": 3}))["k8s.plugin.version"]
    assert said.status is Status.WARN and "3 of 8 pods" in said.message


def test_the_operators_own_label_tells_of_a_second_driver() -> None:
    host = node("b", labels={"nvidia.com/gpu.deploy.driver": "pre-installed"})
    said = findings(host, driver_set("nvidia-driver-daemonset"))["k8s.operator.driver-twice"]
    assert said.status is Status.FAIL and "by the operator's label" in said.message
    assert findings(node("b"), driver_set("nvidia-driver-daemonset"))["k8s.operator.driver-twice"].status is Status.PASS


def test_who_watches_gpus_for_a_daemon_set_is_invited() -> None:
    exporter = pod("dcgm", on="a", spec=SEES_ALL, owner="DaemonSet/dcgm-exporter")
    void = pod("void", on="a", spec={"containers": [{"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}]}]})
    assert findings(*HEALTHY, exporter, void)["k8s.pods.uninvited"].status is Status.PASS
    under = pod("under", on="a", spec={"runtimeClassName": "nvidia"})
    assert "may see every GPU" in findings(*HEALTHY, under)["k8s.pods.uninvited"].message


# What threads have told: each a kind of fault with the cause that was found in the end


def initializing(on: str, container: str, app: str = "nvidia-device-plugin-ds", reason: str = "") -> Object:
    state = {"waiting": {"reason": reason}} if reason else {"running": {"startedAt": "2026-11-29T15:00:00Z"}}
    waits = {"waiting": {"reason": "PodInitializing"}}
    status = {
        "initContainerStatuses": [{"name": container, "state": state}, {"name": "later", "state": waits}],
        "containerStatuses": [{"name": "c", "state": waits}],
    }
    return pod(f"init-{on}", on=on, phase="Pending", labels={"app": app}, status=status)


def test_a_plugin_that_waits_in_an_init_container_for_a_driver_is_told_with_that_container() -> None:
    waits = initializing("ill", "nvidia-driver-installer")
    said = findings(node("ill", None, labels=LABELLED), waits)["k8s.plugin.running"]
    assert said.status is Status.FAIL and "its init container nvidia-driver-installer has not ended" in said.message
    assert findings(node("ill"), waits)["k8s.plugin.running"].status is Status.PASS  # a new one, and the old one's GPUs


def test_the_image_that_cannot_be_had_is_named() -> None:
    message = 'Back-off pulling image "nvcr.io/nvidia/driver:580.95.05-debian13"'
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
    status = {"containerStatuses": [{"name": "nvidia-driver-ctr", "state": waiting}]}
    driver = pod("d", on="a", phase="Pending", labels={"app": "nvidia-driver-daemonset"}, status=status)
    said = findings(node("a", None, labels=LABELLED), driver)["k8s.operator.state"]
    assert "driver:580.95.05-debian13" in said.message
    assert said.remedy is not None and "kubectl describe pod -n default d" in map(str, said.remedy.commands)


def test_where_a_container_does_not_start_the_kubelets_words_tell_the_cause() -> None:
    message = "failed to create shim task: OCI runtime create failed: exec: nvidia-container-runtime-hook: not found"
    unloaded = "nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown"
    waiting = {"waiting": {"reason": "RunContainerError", "message": f"{message} {unloaded}"}}
    status = {"initContainerStatuses": [{"name": "toolkit-validation", "state": waiting}]}
    validator = pod("v", on="a", phase="Pending", labels={"app": "nvidia-operator-validator"}, status=status)
    assert " Its kubelet: " in findings(node("a"), validator)["k8s.operator.state"].message


def test_gpus_that_are_given_to_virtual_machines_are_missed_by_nobody() -> None:
    given = {**LABELLED, "nvidia.com/gpu.workload.config": "vm-passthrough"}
    said = findings(node("virt", None, labels=given), plugin_set(labels={"pool": "other"}))
    assert [one.id for one in said.values() if one.status is Status.FAIL] == []
    mixed = {**LABELLED, "nvidia.com/gpu.workload.config": "container"}
    assert findings(node("b", None, labels=mixed))["k8s.plugin.present"].status is Status.FAIL


CONFIG = {"nvidia.com/device-plugin.config": "t4-x8"}


def test_a_label_that_names_no_configuration_is_told_from_one_that_nobody_reads() -> None:
    one = node("a", 1, labels=CONFIG)
    unread = findings(one, plugin_set())["k8s.gpu.sharing"]
    assert unread.status is Status.WARN and "gpu/nvidia-device-plugin is not set up to read it" in unread.message
    reads = plugin_set(env={"CONFIG_FILE": "/config/config.yaml"})
    assert findings(one, reads)["k8s.gpu.sharing"].status is Status.SKIP
    waits = initializing("a", "config-manager-init", LABEL["app"], "CrashLoopBackOff")
    log = PodLog("default", "init-a", ("E1129 main.go:169] specified config t4-x8 does not exist",), "")
    world = replace(cluster(one, reads, waits), logs=(log,))
    told = {finding.id: finding for finding in examine(world).report.findings}
    assert told["k8s.gpu.sharing"].status is Status.FAIL
    assert told["k8s.operator.state"].rests_on == "k8s.gpu.sharing"


def rejected(reason: str, at: str = "10:00") -> Object:
    status = {"reason": reason, "startTime": f"2026-11-29T{at}:00Z"}
    return pod("ill", 1, "a", phase="Failed", owner="Job/t", status=status)


def test_pods_that_a_node_refused_before_it_was_well_again_are_only_to_be_removed() -> None:
    since = pod("well", 1, "a", status={"startTime": "2026-11-29T11:00:00Z"})
    over = findings(node("a"), rejected("UnexpectedAdmissionError"), since)["k8s.pods.rejected"]
    assert over.status is Status.WARN and "has taken others with GPUs since" in over.message
    assert over.remedy is not None and [*map(str, over.remedy.commands)] == ["kubectl delete pod -n default ill"]
    again = findings(node("a"), rejected("UnexpectedAdmissionError", "12:00"), since)["k8s.pods.rejected"]
    assert again.status is Status.FAIL and "kubectl cordon a" in map(str, again.remedy.commands if again.remedy else ())


@pytest.mark.parametrize(
    ("reason", "message", "words"),
    [
        ("TopologyAffinityError", "Resources cannot be allocated with Topology locality", "topologyManagerPolicy"),
        (
            "UnexpectedAdmissionError",
            "Allocate failed due to rpc error: code = Unknown desc = request for 'nvidia.com/gpu: 2' too large: maximum"
            " request size for shared resources is 1, which is unexpected",
            "failRequestsGreaterThanOne",
        ),
    ],
)
def test_a_node_is_not_cordoned_for_what_a_pod_asks_wrongly(reason: str, message: str, words: str) -> None:
    one = rejected(reason)
    one["status"]["message"] = message
    since = pod("well", 1, "a", status={"startTime": "2026-11-29T11:00:00Z"})
    said = findings(node("a"), one, since)["k8s.pods.rejected"]
    assert said.status is Status.FAIL and reason in said.message
    assert said.remedy is not None and words in said.remedy.text and not said.remedy.commands
    assert words in why(cluster(node("a"), one), "ill", None).ways[0].text


def test_a_plugin_that_is_meant_for_no_node_is_told_where_no_gpus_are_known() -> None:
    tainted = node("a", None, taints=[{"key": "gpu", "value": "", "effect": "NoSchedule"}])
    said = findings(tainted, PLUGIN)["k8s.plugin.present"]
    assert said.status is Status.WARN and "gpu/nvidia-device-plugin does not tolerate gpu:NoSchedule" in said.message
    assert findings(node("a", None), PLUGIN)["k8s.plugin.present"].status is Status.SKIP


def test_a_node_that_is_not_ready_is_still_one_that_a_daemon_set_is_meant_for() -> None:
    states = [{"key": f"node.kubernetes.io/{name}", "value": "", "effect": "NoExecute"} for name in ("not-ready",)]
    one = node("a", None, labels=LABELLED, taints=states, ready="False")
    assert findings(one, PLUGIN)["k8s.plugin.present"].status is Status.PASS


def test_a_plugin_that_fails_where_nothing_shows_gpus_is_no_fault_of_the_nodes_with_gpus() -> None:
    crashes = crashing("plugin-cpu", "cpu", "nvidia-device-plugin-ds")
    said = findings(node("a"), node("cpu", None), crashes)["k8s.plugin.running"]
    assert said.status is Status.WARN and said.remedy is not None and "nodeSelector or affinity" in said.remedy.text
    assert findings(node("cpu", None), crashes)["k8s.plugin.running"].status is Status.FAIL  # it may have the only GPU


def test_labels_that_an_upgrade_has_left_are_given_back_by_one_command() -> None:
    paused = {f"nvidia.com/gpu.deploy.{name}": "paused-for-driver-upgrade" for name in ("dcgm", "device-plugin")}
    only = plugin_set(labels={"nvidia.com/gpu.deploy.device-plugin": "true"})
    said = findings(node("a", None, labels={**LABELLED, **paused}), only)
    upgrade = said["k8s.operator.upgrade"]
    assert upgrade.remedy is not None and "nvidia.com/gpu.deploy.dcgm=true" in str(upgrade.remedy.commands[0])
    assert said["k8s.plugin.present"].rests_on == "k8s.operator.upgrade"


def test_a_layout_of_mig_that_a_restart_has_taken_is_told() -> None:
    wished = {"nvidia.com/mig.config": "all-1g.10gb", "nvidia.com/mig.config.state": "success"}
    labels = {**wished, "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/mig.strategy": "mixed"}
    lost = findings(node("a", labels=labels, capacity={"nvidia.com/mig-1g.10gb": "0"}))["k8s.gpu.mig"]
    assert lost.status is Status.FAIL and "all-1g.10gb has been applied" in lost.message
    divided = node("a", None, labels=labels, capacity={"nvidia.com/mig-1g.10gb": "56"})
    single = node("a", 56, labels={**labels, "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb"})
    whole = node("a", labels={**labels, "nvidia.com/mig.config": "all-disabled"})
    assert {findings(one)["k8s.gpu.mig"].status for one in (divided, single, whole)} == {Status.PASS}


def test_a_dra_driver_that_is_there_and_offers_no_slice_is_told() -> None:
    image = "registry.k8s.io/dra-driver-nvidia/dra-driver-nvidia-gpu:v25.12.0"
    driver = named("DaemonSet", "kubelet-plugin", spec={"template": {"spec": {"containers": [{"image": image}]}}})
    none = findings(node("a", None, labels=LABELLED), driver)["k8s.dra.slices"]
    assert none.status is Status.FAIL
    assert "default/kubelet-plugin is meant for it, and there is no slice" in none.message
    offers = findings(node("dra", None, labels=LABELLED), driver, dra([{"name": "gpu-0"}]))
    assert offers["k8s.dra.slices"].status is Status.PASS


def test_claims_that_pods_wait_for_are_told_by_what_they_lack() -> None:
    taken = {"driver": "gpu.nvidia.com", "pool": "dra", "device": "gpu-0"}
    other = claim("gpu.nvidia.com", "other", allocated=[taken])
    waits = claiming("waits", "c")

    def told(*objects: Object) -> tuple[Status, str]:
        found = findings(*HEALTHY, *objects)["k8s.dra.claims"]
        return found.status, found.message

    assert told(waits)[0] is Status.PASS  # a device is free, and whether the class selects it the scheduler tells
    assert told(claiming("waits", "d")) == (
        Status.WARN,
        "default/waits: it wants the ResourceClaim d, which is not there.",
    )
    assert told(claim("gpu.nvidia.com", "d", count=2), claiming("waits", "d")) == (
        Status.WARN,
        "default/waits: no node offers as many devices (2 asked for, 1 there).",
    )
    assert told(other, waits) == (
        Status.WARN,
        "default/waits: no node has as many devices free (1 asked for, 0 free).",
    )
    assert told(claim("gpu.other.com", "unused"))[0] is Status.PASS
    unseen = findings(*HEALTHY, other, waits, without=("ResourceSlice",))["k8s.dra.claims"]
    assert unseen.status is Status.UNKNOWN and "get, list resourceslices" in unseen.message


def test_a_device_is_tainted_by_its_key_and_not_by_one_that_only_tells() -> None:
    def told(*taints: Object) -> Finding:
        return findings(*HEALTHY, dra([{"name": "gpu-0", "taints": list(taints)}], "a"))["k8s.dra.taints"]

    lost = told({"key": "gpu.nvidia.com/gpu-lost", "effect": "NoExecute"})
    assert "gpu-0 by gpu.nvidia.com/gpu-lost" in lost.message and lost.status is Status.WARN
    assert told({"key": "gpu.nvidia.com/unmonitored", "effect": "None"}).status is Status.PASS
