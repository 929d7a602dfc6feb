"""Worlds of public threads: what their people were told by the scheduler, and what gpuctl has to tell them."""

from __future__ import annotations

from k8s_objects import Object, cluster, event, named, node, pod, unschedulable
from test_k8s_checks import findings

from gpuctl.k8s.answer import Why
from gpuctl.k8s.why import why
from gpuctl.model import Status

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def answer(*objects: Object) -> Why:
    """Why the last of these pods waits."""
    return why(cluster(*objects), objects[-1]["metadata"]["name"], None)


def test_a_volume_that_only_other_nodes_reach_is_named_and_is_no_difference() -> None:
    """opendatahub-io/odh-manifests issue 259"""
    words = "0/2 nodes are available: 1 node(s) had volume node affinity conflict, 1 Insufficient nvidia.com/gpu."
    waits = pod("nb", 1, status=unschedulable(words))
    waits["spec"]["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "nb-pvc"}}]
    bound = named("PersistentVolumeClaim", "nb-pvc", status={"phase": "Bound"})
    told = answer(node("g", 1), node("c", None), bound, waits)
    assert told.cause == "volume" and "volumes (nb-pvc) out of their reach" in told.sentence
    assert told.differences == ()


def test_what_keeps_a_pod_off_the_node_with_the_gpu_is_in_the_answer() -> None:
    """loft-sh/devpod-provider-kubernetes issue 63"""
    words = "0/2 nodes are available: 1 node(s) didn't match pod affinity rules, 1 Insufficient nvidia.com/gpu."
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"workspace": "w"}}}
    waits = pod("job", 1, status=unschedulable(words))
    waits["spec"]["affinity"] = {"podAffinity": {REQUIRED: [term]}}
    told = answer(node("g", 1), node("k", None), pod("dev", on="k", labels={"workspace": "w"}), waits)
    assert told.sentence.endswith(
        "on g no pod that this one has to be near is in its kubernetes.io/hostname: those are in k."
    )
    assert told.differences == ()


def test_gpus_of_several_containers_add_up() -> None:
    """NVIDIA/k8s-device-plugin issue 71"""
    waits = pod("digits", 1)
    waits["spec"]["containers"] *= 2
    told = answer(node("w", 1), waits)
    assert told.cause == "too-large"
    assert "Its containers ask for 1 and 1 nvidia.com/gpu, and no two share one." in told.notes


def test_a_device_for_virtual_machines_is_told_as_kubevirts() -> None:
    """kubevirt/kubevirt issue 7547"""
    asks = {"nvidia.com/TU104GL_Tesla_T4": "1", "devices.kubevirt.io/kvm": "1"}
    told = answer(node("a", None, capacity={"devices.kubevirt.io/kvm": "1k"}), pod("virt-launcher", requests=asks))
    assert told.cause == "no-such-resource" and "KubeVirt's virtual machines" in told.notes[0]


def test_a_pod_that_was_evicted_was_not_refused_and_its_node_takes_no_new_ones() -> None:
    """akash-network/support issue 138"""
    taint = {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}
    status = {"reason": "Evicted", "message": "The node was low on resource: ephemeral-storage."}
    world = (node("dgx", taints=[taint]), pod("comfy", 1, "dgx", phase="Failed", status=status))
    told = answer(*world)
    assert told.cause == "failed" and "was ended by the kubelet of dgx: Evicted. The node was low" in told.sentence
    found = findings(*world)["k8s.node.taints"]
    assert found.status is Status.WARN and "dgx: it takes no new pods" in found.message


def test_kubernetes_own_scheduler_under_another_name_counts_as_it_does() -> None:
    """kubernetes/autoscaler issue 3869, Project-HAMi/HAMi issue 620"""
    scaling = event("Pod", "p", "NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached")

    def told(scheduler: str, words: str) -> Why:
        waits = pod("p", 1, status=unschedulable(words))
        waits["spec"]["schedulerName"] = scheduler
        return answer(node("a", None), scaling, waits)

    own = told("jhub-user-scheduler", "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    assert own.cause == "no-such-resource" and "scheduler jhub-user-scheduler" in own.notes[0]
    hami = told("hami-scheduler", "0/1 nodes are available: 1 NodeUnfitPod.")
    hamis_count = told("hami-scheduler", "0/1 nodes are available: 1 Insufficient cpu.")
    assert hami.cause == hamis_count.cause == "other-scheduler"
    assert all(any("max node group size reached" in note for note in one.notes) for one in (own, hami))
