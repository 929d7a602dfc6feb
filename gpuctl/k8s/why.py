"""Why a pod waits, or was refused: what holds it before any node is looked at, then how the nodes stand to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gpuctl.command import Command, command
from gpuctl.k8s.answer import WayIn, Why
from gpuctl.k8s.by_nodes import by_nodes
from gpuctl.k8s.cluster import Cluster
from gpuctl.k8s.fit import absent_claim
from gpuctl.k8s.notes import autoscaler_note
from gpuctl.k8s.objects import DEFAULT_SCHEDULER, NAMED, ClusterEvent, Pod, Quota
from gpuctl.k8s.quantity import amount
from gpuctl.k8s.refusals import to_ask_for
from gpuctl.k8s.requests import is_gpu
from gpuctl.k8s.said import counts_as_kubernetes, events_of, last_word
from gpuctl.k8s.scene import Scene, scene_of

_OWNERS = {"job": "Job", "jobs": "Job", "rs": "ReplicaSet", "replicaset": "ReplicaSet", "replicasets": "ReplicaSet"}
_SHORT = {"Job": "job", "ReplicaSet": "rs"}
_QUOTA = re.compile(r"exceeded quota: ([^,]{1,253})")
_REJECTED = ("UnexpectedAdmissionError", "OutOf", "NodeAffinity", "NodeShutdown", "TopologyAffinityError")
_ENDED = ("Evicted", "Preempting", "Terminated", "Shutdown")
"""Reasons of pods that a kubelet took and ended: for want of something, for one that goes before, before it goes down.

Source: kubernetes/kubernetes, pkg/kubelet/eviction, preemption and nodeshutdown (Shutdown up to 1.21)
"""
_OF_KUBELET = ("FailedCreatePodSandBox", "FailedPrepareDynamicResources")


class NoSuchPod(ValueError):
    """What was named is not there, or more than once; the message is a sentence. `known`: what else it may be."""

    def __init__(self, message: str, known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.known = tuple(dict.fromkeys(known))


def why(cluster: Cluster, named: str, namespace: str | None) -> Why:
    """Returns why what is named waits: POD, pod/NAME, job/NAME or rs/NAME. Raises NoSuchPod."""
    kind, _, name = named.rpartition("/")
    scene = scene_of(cluster)
    if kind.lower() in ("", "pod", "pods", "po"):
        return _of_pod(_only(cluster, name, namespace), scene)
    owner = _OWNERS.get(kind.lower().partition(".")[0])
    if owner is None:
        raise NoSuchPod(f"{kind} is no kind that is answered for: name a pod, a job or a ReplicaSet (rs)")
    return _of_owner(owner, name, namespace, scene)


def _only(cluster: Cluster, name: str, namespace: str | None) -> Pod:
    if cluster.lacks("Pod"):
        raise NoSuchPod(f"the pods cannot be told: {cluster.lacks('Pod')}")
    found = [one for one in cluster.pods if one.name == name and namespace in (None, one.namespace)]
    if not found:
        where = f" in the namespace {namespace}" if namespace else ""
        elsewhere = next((one.namespace for one in cluster.pods if one.name == name), None)
        if elsewhere is not None:
            raise NoSuchPod(f"there is no pod {name}{where}, and one in the namespace {elsewhere}")
        raise NoSuchPod(f"there is no pod {name}{where}.", _names(cluster, namespace))
    if len(found) > 1:
        places = ", ".join(sorted(one.namespace for one in found))
        raise NoSuchPod(f"there are pods {name} in the namespaces {places}: name one with -n")
    return found[0]


def _names(cluster: Cluster, namespace: str | None) -> Iterator[str]:
    """What can be asked about: jobs and ReplicaSets, whose names are shorter, and pods."""
    pods = [one for one in cluster.pods if namespace in (None, one.namespace)]
    yield from (f"job/{one.name}" for one in cluster.jobs if namespace in (None, one.namespace))
    for pod in pods:
        kind, _, name = pod.owner.partition("/")
        if kind in _SHORT:
            yield f"{_SHORT[kind]}/{name}"
    yield from (one.name for one in pods)


# A job or a ReplicaSet


def _of_owner(kind: str, name: str, namespace: str | None, scene: Scene) -> Why:
    cluster = scene.cluster

    def inside(space: str) -> bool:
        return namespace in (None, space)

    pods = [one for one in cluster.pods if one.owner == f"{kind}/{name}" and inside(one.namespace)]
    waiting = [one for one in pods if _waits(one)]
    if pods:
        answer = _of_pod((waiting or pods)[0], scene)
        states = f"{len(waiting)} of its {len(pods)} pods wait or were refused; this is the first of them."
        return replace(answer, notes=(f"{kind} {name}: {states}", *answer.notes))
    job = next((one for one in cluster.jobs if kind == "Job" and one.name == name and inside(one.namespace)), None)
    if job and job.suspended:
        return Why(f"job/{name}", "suspended", f"Job {name} is suspended, by a person or a queue such as Kueue.")
    events = [
        one
        for one in cluster.events
        if (one.subject, one.name, one.reason) == (kind, name, "FailedCreate") and inside(one.namespace)
    ]
    last = max(events, key=lambda one: one.last or 0.0, default=None)
    if last:
        return _of_refusal(f"{kind} {name}", last, cluster)
    if kind == "Job" and job is None and not cluster.lacks("Job"):
        where = f" in the namespace {namespace}" if namespace else ""
        raise NoSuchPod(f"there is no job {name}{where}.", _names(cluster, namespace))
    lacking = tuple(filter(None, map(cluster.lacks, ("Pod", "Event"))))
    text = f"{kind} {name} has no pod here, and no event says why: events live an hour."
    return Why(f"{kind} {name}", "unknown", text, unknown=lacking)


def _waits(pod: Pod) -> bool:
    return pod.phase in ("Pending", "Failed")


def _of_refusal(subject: str, event: ClusterEvent, cluster: Cluster) -> Why:
    """Why the API let nobody make the pods."""
    quota = _QUOTA.search(event.message)
    notes = (f"The API said: {event.message}",)
    if not quota:
        return Why(subject, "refused", f"{subject} may not create its pods, the API says.", notes=notes)
    row = next((one for one in cluster.quotas if (one.namespace, one.name) == (event.namespace, quota[1])), None)
    taken = _taken(row)
    used = f": {taken} are taken" if taken else ""
    sentence = f"{subject} may not create its pods: they exceed the quota {quota[1]} of {event.namespace}{used}."
    show = command("kubectl", "describe", "resourcequota", "-n", event.namespace, quota[1])
    return Why(subject, "quota", sentence, ways=(WayIn("Ask for less, or for more quota.", (), (show,)),), notes=notes)


def _taken(row: Quota | None) -> str:
    """How much of its GPUs a quota has given away."""
    hard = {name: value for name, value in (row.hard if row else {}).items() if is_gpu(name.removeprefix("requests."))}
    used = row.used if row else {}
    return ", ".join(f"{amount(name, used.get(name, 0))} of {amount(name, most)} {name}" for name, most in hard.items())


# A pod


def _of_pod(pod: Pod, scene: Scene) -> Why:
    for judge in (_state, _before_scheduling, _of_volumes):
        told = judge(pod, scene)
        if told:
            return told
    return by_nodes(pod, scene)


def _state(pod: Pod, scene: Scene) -> Why | None:
    """What there is to say of a pod that the scheduler no longer has to place."""
    subject = f"pod {pod.shown}"
    if pod.phase in ("Running", "Succeeded"):
        where = f" on {pod.node}" if pod.node else ""
        text = "has ended well" if pod.phase == "Succeeded" else "runs"
        lost = (
            f" {len(pod.unhealthy_devices)} of its devices are unhealthy, its kubelet says."
            if pod.unhealthy_devices
            else ""
        )
        return Why(subject, pod.phase.lower(), f"Pod {pod.name} {text}{where}.{lost}")
    if pod.phase == "Failed":
        reason = pod.reason or "it gave no reason"
        refused, ended = reason.startswith(_REJECTED), reason in _ENDED
        text = (
            f"was {'refused' if refused else 'ended'} by the kubelet of {pod.node}"
            if refused or ended
            else "has failed"
        )
        said = f" {pod.message}" if pod.message else ""
        look = command("gpuctl", "k8s", "doctor", "--node", pod.node)
        of_node = WayIn("See whether that node's GPUs are counted and healthy.", (pod.node,), (look,))
        instead = to_ask_for(pod)
        short = WayIn(
            "See what that node was short of.", (pod.node,), (command("kubectl", "describe", "node", pod.node),)
        )
        ways = (WayIn(instead) if instead else of_node,) if refused else (short,) if reason == "Evicted" else ()
        cause = "rejected" if refused else "failed"
        return Why(subject, cause, f"Pod {pod.name} {text}: {reason}.{said}", ways=ways)
    if not pod.node:
        return None
    if pod.node not in {one.name for one in scene.cluster.nodes} and not scene.cluster.lacks("Node"):
        return Why(subject, "no-such-node", f"Pod {pod.name} is bound to {pod.node}, and there is no such node.")
    return Why(subject, "placed", f"Pod {pod.name} has its place on {pod.node}: {_on_its_node(pod, scene)}")


def _on_its_node(pod: Pod, scene: Scene) -> str:
    refusals = [one for one in events_of(pod, scene.cluster) if one.reason in _OF_KUBELET]
    last = max(refusals, key=lambda one: one.last or 0.0, default=None)
    if last:
        return f"its kubelet does not start it there. {last.message}"
    if pod.initializing:
        return f"its init container {pod.initializing} has not ended."
    if pod.waiting:
        return "; ".join(f"container {name} waits: {reason}" for name, reason in pod.waiting[:NAMED]) + "."
    node = next((one for one in scene.cluster.nodes if one.name == pod.node), None)
    if node and node.ready != "True":
        return "that node is not ready."
    return "its kubelet has not said anything of it yet."


def _before_scheduling(pod: Pod, scene: Scene) -> Why | None:
    """What keeps a pod from being looked at by the scheduler at all: of these there is no event."""
    subject, cluster = f"pod {pod.shown}", scene.cluster
    if pod.oddities:
        return Why(subject, "odd-request", " ".join(pod.oddities[:NAMED]))
    if pod.gates:
        text = f"Pod {pod.name} is held by its scheduling gate{'s' * (len(pod.gates) > 1)} {', '.join(pod.gates)}"
        ways = (WayIn("Whoever set the gate takes it away: see what it waits for.", (), _of_gates(pod)),)
        return Why(subject, "gated", f"{text}: the scheduler does not look at it until that is gone.", ways=ways)
    word = last_word(pod, cluster)
    if pod.scheduler != DEFAULT_SCHEDULER and not counts_as_kubernetes(pod, word):
        text = f"Pod {pod.name} is for the scheduler {pod.scheduler}, which alone can place it"
        ways = (WayIn("See whether that scheduler runs, and what it says.", (), _of_scheduler(pod)),)
        sentence = f"{text}: Kubernetes' own does not look at it."
        notes = tuple(autoscaler_note(pod, cluster))
        return Why(subject, "other-scheduler", sentence, ways=ways, said=word, notes=notes)
    missing = _missing_claim(pod, cluster)
    if missing:
        return Why(subject, "claim-missing", missing)
    classes = {one.name for one in cluster.runtime_classes}
    if pod.runtime_class and pod.runtime_class not in classes and not cluster.lacks("RuntimeClass"):
        return Why(
            subject, "runtime-class", f"Pod {pod.name} wants RuntimeClass {pod.runtime_class}, which is not there."
        )
    return None


def _of_gates(pod: Pod) -> tuple[Command, ...]:
    kueue = any(gate.startswith("kueue.x-k8s.io/") for gate in pod.gates)
    return (command("kubectl", "get", "workloads.kueue.x-k8s.io", "-n", pod.namespace),) if kueue else ()


def _of_scheduler(pod: Pod) -> tuple[Command, ...]:
    name = pod.scheduler
    return (command("kubectl", "get", "pods", "-A", "-l", f"app={name}"),) if name.isprintable() else ()


def _missing_claim(pod: Pod, cluster: Cluster) -> str:
    names = {one.name for one in pod.claims}
    unknown = next((one for one in pod.claims_of_containers if one not in names), None)
    if unknown is not None:
        return f"A container of pod {pod.name} uses the claim {unknown}, which the pod does not name in resourceClaims."
    absent = absent_claim(pod, cluster)
    return f"Pod {pod.name} waits for the ResourceClaim {absent}, which is not there." if absent else ""


def _of_volumes(pod: Pod, scene: Scene) -> Why | None:
    """The scheduler's word on volumes, or where their claims are known, what these say."""
    subject, cluster = f"pod {pod.shown}", scene.cluster
    word = last_word(pod, cluster)
    if word and word.volume not in ("", "unbound"):
        claim = f"PersistentVolumeClaim {word.volume} of {pod.namespace}"
        text = f"Pod {pod.name} waits for its volume: {claim} is not there for it, the scheduler says."
        return Why(subject, "volume", text, said=word)
    phases = {one.name: one.phase for one in cluster.volume_claims if one.namespace == pod.namespace}
    known = not cluster.lacks("PersistentVolumeClaim")
    lacking = next((one for one in pod.volumes if known and one not in phases), None)
    if lacking:
        return Why(subject, "volume", f"Pod {pod.name} waits for PersistentVolumeClaim {lacking}, which is not there.")
    if word and word.volume == "unbound":
        unbound = [one for one in pod.volumes if phases.get(one) != "Bound"]
        text = f"Pod {pod.name} waits until its volume claims are bound: {', '.join(unbound)}."
        return Why(subject, "volume", text, said=word)
    return None
