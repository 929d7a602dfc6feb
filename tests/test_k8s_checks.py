"""The checks of a cluster: each fails in a world with one thing changed, and passes in a healthy one."""

from __future__ import annotations

from typing import Any

import pytest
from k8s_objects import LISTS, Object, cluster, event, named, node, pod

from gpuctl.k8s.checks import CHECKS
from gpuctl.k8s.doctor import examine
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


def claim(of: str) -> Object:
    return named("ResourceClaim", "c", spec={"devices": {"requests": [{"exactly": {"deviceClassName": of}}]}})


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
    pod("plugin", on="a", labels=LABEL, spec={"runtimeClassName": "nvidia"}, namespace="gpu"),
    pod("work", 4, "a", spec={"tolerations": [{"key": "team", "operator": "Exists"}]}),
)


def crashing(name: str, on: str, app: str, reason: str = "CrashLoopBackOff") -> Object:
    status = {"containerStatuses": [{"name": "c", "state": {"waiting": {"reason": reason}}}]}
    return pod(name, on=on, labels={"app": app}, status=status)


def holding_ill(name: str, on: str) -> Object:
    ill = {"name": "nvidia.com/gpu", "resources": [{"resourceID": "GPU-1", "health": "Unhealthy"}]}
    return pod(name, 1, on, status={"containerStatuses": [{"name": "c", "allocatedResourcesStatus": [ill]}]})


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
    "k8s.dra.claims": (claim("gpu.other.com"),),
    "k8s.dra.taints": (dra([{"name": "gpu-0", "taints": [{"key": "gpu.nvidia.com/xid", "effect": "NoExecute"}]}]),),
}
"""By check, what is added to the healthy world, or stands there in the place of what has its kind and name."""
REPLACED = {"k8s.plugin.present": "DaemonSet"}


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


@pytest.mark.parametrize("id", ["k8s.node.ready", "k8s.gpu.healthy", "k8s.gpu.twice", "k8s.operator.state"])
def test_one_fault_is_one_failure(id: str) -> None:
    assert [one.id for one in findings(*with_changes(id)).values() if one.status is Status.FAIL] == [id]


def test_every_check_has_its_world_and_says_what_it_is_about() -> None:
    assert set(CHECKS) - set(ILL) == {"k8s.api.permissions", "k8s.api.reachable"}  # tests/test_k8s_api.py has both
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
