"""What NVIDIA's operator says of its own objects, as it writes them (internal/conditions/ of NVIDIA/gpu-operator)."""

from __future__ import annotations

from typing import Any

import pytest
from k8s_objects import Object, cluster, named, node, pod
from test_k8s_checks import HEALTHY, LABELLED, crashing, findings

from gpuctl.k8s.why import why
from gpuctl.model import Status

STATE, TWICE, PRESENT = "k8s.operator.state", "k8s.operator.driver-twice", "k8s.plugin.present"
WAITS = "ClusterPolicy is not ready; states not ready: [state-driver state-operator-validation]"
REFUSED = "Failed to reconcile state-driver: failed to handle OpenShift Driver Toolkit Daemonset for version 414.92"
CLASH = "multiple NVIDIADrivers match the same node gpu-1: [demo-gold demo-silver]"
NO_CRD = "useNvidiaDriverCRD is not enabled in ClusterPolicy"


def said(kind: str, state: str, reason: str, message: str, **spec: Any) -> Object:
    """An object of the operator's: each of its two conditions is set by the other."""
    well = state == "ready"
    conditions = [
        {"type": "Ready", "status": str(well), "reason": reason if well else "Error", "message": message * well},
        {
            "type": "Error",
            "status": str(not well),
            "reason": "Ready" if well else reason,
            "message": message * (not well),
        },
    ]
    whole = {"driver": {"enabled": True}, "toolkit": {"enabled": True}, "devicePlugin": {"enabled": True}, **spec}
    version = {"ClusterPolicy": "nvidia.com/v1", "NVIDIADriver": "nvidia.com/v1alpha1"}[kind]
    status = {"state": state, "namespace": "gpu-operator", "conditions": conditions}
    return {**named(kind, "it", namespace="", spec=whole, status=status), "apiVersion": version}


def policy(state: str, reason: str = "", message: str = "", **spec: Any) -> Object:
    return said("ClusterPolicy", state, reason, message, **spec)


def driver(state: str, reason: str, message: str) -> Object:
    return said("NVIDIADriver", state, reason, message, driverType="gpu")


BARE = node("ill", gpus=None, labels=LABELLED)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (policy("notReady", "ReconcileFailed", REFUSED), f"ClusterPolicy it is not ready: {REFUSED}."),
        (policy("notReady", "OperandNotReady", WAITS), f"ClusterPolicy it is not ready: {WAITS}."),
        (policy("ready", "NFDLabelsMissing", "No NFD labels found"), "finds no node with GPUs: No NFD labels found."),
        (policy("ignored"), "ClusterPolicy it is ignored, as there is another."),
        (driver("disabled", "Reconciled", NO_CRD), f"NVIDIADriver it brings no driver: {NO_CRD}."),
        (driver("notReady", "ReconcileFailed", "no image"), "NVIDIADriver it is not ready: no image."),
    ],
)
def test_what_the_operator_says_fails_nodes_without_a_gpu_and_else_warns(one: Object, words: str) -> None:
    told = findings(*HEALTHY, one)[STATE]
    assert (told.status, told.remedy is not None) == (Status.WARN, True) and words in told.message
    without = findings(*HEALTHY, BARE, one)
    assert without[STATE].status is Status.FAIL and words in without[STATE].message
    assert without["k8s.gpu.advertised"].rests_on == STATE


def test_a_policy_that_is_ready_or_says_nothing_is_nothing_to_tell_of() -> None:
    for one in (policy("ready", "Reconciled", "ClusterPolicy is ready"), named("ClusterPolicy", "of-another-project")):
        assert findings(*HEALTHY, one)[STATE].status is Status.PASS


def test_pods_that_tell_more_than_the_policy_are_told_and_what_they_do_not_tell_besides() -> None:
    ill = (node("ill"), crashing("driver-ill", "ill", "nvidia-driver-daemonset"))
    assert (
        "states not ready" not in findings(*HEALTHY, *ill, policy("notReady", "OperandNotReady", WAITS))[STATE].message
    )
    told = findings(*HEALTHY, *ill, policy("notReady", "ReconcileFailed", REFUSED))[STATE].message
    assert "stopped at nvidia-driver-daemonset: CrashLoopBackOff. ClusterPolicy it is not ready: Failed to" in told


@pytest.mark.parametrize(("operand", "word"), [("driver", "a driver"), ("toolkit", "the toolkit")])
def test_what_the_policy_leaves_out_is_wanted_of_the_host(operand: str, word: str) -> None:
    waits = {"waiting": {"reason": "PodInitializing"}}
    status = {
        "initContainerStatuses": [{"name": f"{operand}-validation", "state": {"running": {}}}],
        "containerStatuses": [{"name": "c", "state": waits}],
    }
    labels = {"app": "nvidia-operator-validator"}
    one = pod("validator", on="a", phase="Pending", labels=labels, namespace="gpu", status=status)
    told = findings(*HEALTHY, one, policy("notReady", "OperandNotReady", WAITS, **{operand: {"enabled": False}}))[STATE]
    assert f"ClusterPolicy it brings no {operand}: the host has to have" in told.message
    assert told.remedy is not None and f"Install {word} on that node" in told.remedy.text
    assert "brings no" not in findings(*HEALTHY, one, policy("notReady", "OperandNotReady", WAITS))[STATE].message


def test_a_plugin_that_the_policy_leaves_out_is_told_as_the_reason() -> None:
    world = [one for one in (*HEALTHY, BARE) if one["kind"] != "DaemonSet"]
    told = findings(*world, policy("ready", "Reconciled", "ready", devicePlugin={"enabled": False}))[PRESENT]
    assert "ClusterPolicy it leaves it out: devicePlugin.enabled is false" in told.message
    answer = why(cluster(BARE, pod("p", 1), policy("notReady", "ReconcileFailed", REFUSED)), "p", None)
    assert f"NVIDIA's operator says: ClusterPolicy it is not ready: {REFUSED}." in answer.notes


def test_drivers_that_want_one_node_are_two_drivers() -> None:
    told = findings(*HEALTHY, driver("notReady", "ConflictingNodeSelector", CLASH))
    assert told[TWICE].status is Status.FAIL and CLASH in told[TWICE].message
    assert told[STATE].status is Status.PASS


def test_an_upgrade_that_drains_no_node_is_told_where_it_is_stuck() -> None:
    stuck = node("ill", labels={"nvidia.com/gpu-driver-upgrade-state": "upgrade-failed"})

    def remedy(enable: bool) -> str:
        drains = {"upgradePolicy": {"autoUpgrade": True, "drain": {"enable": enable}}}
        found = findings(*HEALTHY, stuck, policy("ready", "Reconciled", "ready", driver=drains))["k8s.operator.upgrade"]
        return found.remedy.text if found.remedy else ""

    assert "driver.upgradePolicy.drain.enable" in remedy(False) and "drain.enable" not in remedy(True)
