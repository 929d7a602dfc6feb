"""Why a pod waits, or was refused: what holds it before any node is looked at, how each node stands to it, what helps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from gpuctl.command import Command, command
from gpuctl.frozen import dataclass
from gpuctl.k8s.cluster import Cluster
from gpuctl.k8s.fit import CHANGES, Change, Fit, NodeFit, fits
from gpuctl.k8s.objects import DEFAULT_SCHEDULER, Event, Pod
from gpuctl.k8s.quantity import amount
from gpuctl.k8s.requests import gpus_in, is_extended, is_gpu
from gpuctl.k8s.said import Difference, Said, differences, last_word
from gpuctl.k8s.scene import Scene, counted, scene_of
from gpuctl.model import ExitCode

_OWNERS = {"job": "Job", "jobs": "Job", "rs": "ReplicaSet", "replicaset": "ReplicaSet", "replicasets": "ReplicaSet"}
_QUOTA = re.compile(r"exceeded quota: ([^,]{1,253})")
_REJECTED = ("UnexpectedAdmissionError", "OutOf", "NodeAffinity", "Preempting", "Evicted", "TopologyAffinityError")
NAMED = 3


class NoSuchPod(ValueError):
    """What was named is not there, or more than once; the message is a sentence."""


@dataclass(frozen=True)
class Held:
    """Who holds a resource on a node: how many, since when, of which priority."""

    node: str
    pod: str
    resource: str
    amount: str
    since: float | None
    priority: int


@dataclass(frozen=True)
class Fragments:
    """How what is free of a resource lies, over the nodes on which nothing else stands in the way."""

    resource: str
    wanted: str
    free: str
    most: str
    node: str


@dataclass(frozen=True)
class Way:
    """A change with the nodes on which it lets the pod in, and a command where there is one."""

    text: str
    nodes: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True)
class Why:
    """The answer. `cause` is a word of CAUSES, `sentence` says it; `ways` are what helps, the smallest first.

    `unknown` are sentences on what could not be looked at.
    """

    subject: str
    cause: str
    sentence: str
    nodes: tuple[NodeFit, ...] = ()
    held: tuple[Held, ...] = ()
    fragments: tuple[Fragments, ...] = ()
    ways: tuple[Way, ...] = ()
    said: Said | None = None
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def code(self) -> ExitCode:
        """0: it runs or has ended well; 1: it waits or was refused; 3: why cannot be told."""
        if self.cause in GOOD:
            return ExitCode.GOOD
        return ExitCode.UNDETERMINED if self.cause == "unknown" else ExitCode.PROBLEM


GOOD = ("running", "succeeded")
CAUSES = (
    *GOOD,
    *("failed", "rejected", "placed", "no-such-node", "gated", "other-scheduler", "claim-missing", "volume"),
    *("runtime-class", "suspended", "quota", "refused", "odd-request", "no-such-resource", "too-large", "selector"),
    *("held", "fragmented", "change", "claims", "none-fits", "not-tried-yet", "unknown"),
)
"""Every cause that is told."""


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
        raise NoSuchPod(f"there is no pod {name}{where}")
    if len(found) > 1:
        places = ", ".join(sorted(one.namespace for one in found))
        raise NoSuchPod(f"there are pods {name} in the namespaces {places}: name one with -n")
    return found[0]


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
        return _told(answer, notes=(f"{kind} {name}: {states}", *answer.notes))
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
    lacking = tuple(filter(None, map(cluster.lacks, ("Pod", "Event"))))
    text = f"{kind} {name} has no pod here, and no event says why: events live an hour."
    return Why(f"{kind} {name}", "unknown", text, unknown=lacking)


def _waits(pod: Pod) -> bool:
    return pod.phase in ("Pending", "Failed")


def _of_refusal(subject: str, event: Event, cluster: Cluster) -> Why:
    """Why the API let nobody make the pods."""
    quota = _QUOTA.search(event.message)
    notes = (f"The API said: {event.message}",)
    if not quota:
        return Why(subject, "refused", f"{subject} may not create its pods, the API says.", notes=notes)
    row = next((one for one in cluster.quotas if (one.namespace, one.name) == (event.namespace, quota[1])), None)
    taken = [f"{amount(name, (row.used.get(name, 0)))} of {amount(name, most)} {name}" for name, most in _gpu_quota(row)]
    used = f": {', '.join(taken)} are taken" if taken else ""
    sentence = f"{subject} may not create its pods: they exceed the quota {quota[1]} of {event.namespace}{used}."
    show = command("kubectl", "describe", "resourcequota", "-n", event.namespace, quota[1])
    return Why(subject, "quota", sentence, ways=(Way("Ask for less, or for more quota.", (), (show,)),), notes=notes)


def _gpu_quota(row: object) -> list[tuple[str, int]]:
    hard = getattr(row, "hard", {})
    return [(name, value) for name, value in hard.items() if is_gpu(name.removeprefix("requests."))]


# A pod


def _of_pod(pod: Pod, scene: Scene) -> Why:
    for judge in (_state, _before_scheduling, _of_volumes):
        told = judge(pod, scene)
        if told:
            return told
    return _by_nodes(pod, scene)


def _state(pod: Pod, scene: Scene) -> Why | None:
    """What there is to say of a pod that the scheduler no longer has to place."""
    subject = f"pod {pod.shown}"
    if pod.phase in ("Running", "Succeeded"):
        where = f" on {pod.node}" if pod.node else ""
        text = "has ended well" if pod.phase == "Succeeded" else "runs"
        lost = f" {len(pod.unhealthy_devices)} of its devices are unhealthy, its kubelet says." if pod.unhealthy_devices else ""
        return Why(subject, pod.phase.lower(), f"Pod {pod.name} {text}{where}.{lost}")
    if pod.phase == "Failed":
        reason = pod.reason or "it gave no reason"
        refused = reason.startswith(_REJECTED)
        text = f"was refused by the kubelet of {pod.node}" if refused else "has failed"
        said = f" {pod.message}" if pod.message else ""
        return Why(subject, "rejected" if refused else "failed", f"Pod {pod.name} {text}: {reason}.{said}")
    if not pod.node:
        return None
    if pod.node not in {one.name for one in scene.cluster.nodes} and not scene.cluster.lacks("Node"):
        return Why(subject, "no-such-node", f"Pod {pod.name} is bound to {pod.node}, and there is no such node.")
    return Why(subject, "placed", f"Pod {pod.name} has its place on {pod.node}: {_on_its_node(pod, scene)}")


def _on_its_node(pod: Pod, scene: Scene) -> str:
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
        return Why(subject, "odd-request", " ".join(pod.oddities))
    if pod.gates:
        text = f"Pod {pod.name} is held by its scheduling gate{'s' * (len(pod.gates) > 1)} {', '.join(pod.gates)}"
        ways = (Way("Whoever set the gate takes it away: see what it waits for.", (), _of_gates(pod)),)
        return Why(subject, "gated", f"{text}: the scheduler does not look at it until that is gone.", ways=ways)
    if pod.scheduler != DEFAULT_SCHEDULER:
        text = f"Pod {pod.name} is for the scheduler {pod.scheduler}, which alone can place it"
        ways = (Way("See whether that scheduler runs, and what it says.", (), _of_scheduler(pod)),)
        return Why(subject, "other-scheduler", f"{text}: Kubernetes' own does not look at it.", ways=ways)
    missing = _missing_claim(pod, cluster)
    if missing:
        return Why(subject, "claim-missing", missing)
    classes = {one.name for one in cluster.runtime_classes}
    if pod.runtime_class and pod.runtime_class not in classes and not cluster.lacks("RuntimeClass"):
        return Why(subject, "runtime-class", f"Pod {pod.name} wants RuntimeClass {pod.runtime_class}, which is not there.")
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
    if cluster.lacks("ResourceClaim"):
        return ""
    there = {one.name for one in cluster.claims if one.namespace == pod.namespace}
    absent = next((one.claim for one in pod.claims if one.claim and one.claim not in there), None)
    return f"Pod {pod.name} waits for the ResourceClaim {absent}, which is not there." if absent else ""


def _of_volumes(pod: Pod, scene: Scene) -> Why | None:
    """The scheduler's word on volumes, or where their claims are known, what these say."""
    subject, cluster = f"pod {pod.shown}", scene.cluster
    word = last_word(pod, cluster)
    if word and word.volume not in ("", "unbound"):
        text = f"Pod {pod.name} waits for its volume: there is no PersistentVolumeClaim {word.volume} in {pod.namespace}."
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


# The nodes


def _by_nodes(pod: Pod, scene: Scene) -> Why:
    cluster, subject = scene.cluster, f"pod {pod.shown}"
    word = last_word(pod, cluster)
    if cluster.lacks("Node"):
        text = f"Why pod {pod.name} waits cannot be told without the nodes."
        return Why(subject, "unknown", text, said=word, unknown=(cluster.lacks("Node"),))
    nodes = fits(pod, scene)
    unlike = differences(word, nodes) if word else ()
    cause, sentence = _cause(pod, nodes, scene, word)
    return Why(
        subject,
        cause,
        sentence,
        nodes,
        tuple(_held(pod, nodes, scene)),
        tuple(_fragments(pod, nodes, scene)),
        tuple(_ways(pod, nodes, scene)),
        word,
        unlike,
        _notes(pod, scene, word),
        tuple(dict.fromkeys(filter(None, map(cluster.lacks, _needed(pod))))),
    )


def _needed(pod: Pod) -> tuple[str, ...]:
    return ("Pod", "DeviceClass", "ResourceSlice", "ResourceClaim") if pod.claims or _extended(pod) else ("Pod",)


def _extended(pod: Pod) -> list[str]:
    return [name for name in pod.requests if is_extended(name) and pod.requests[name] > 0]


def _notes(pod: Pod, scene: Scene, word: Said | None) -> tuple[str, ...]:
    selector = next((one for one in scene.cluster.runtime_classes if one.name == pod.runtime_class), None)
    notes = []
    if selector and selector.node_selector:
        labels = ", ".join(f"{key}={value}" for key, value in selector.node_selector.items())
        notes.append(f"RuntimeClass {selector.name} adds the nodeSelector {labels} to every pod that names it.")
    if not pod.preempts and pod.priority > 0:
        notes.append(f"Its priority is {pod.priority}, with preemptionPolicy Never: it ends no others, and waits.")
    if word is None:
        notes.append("The scheduler has said nothing of it that is still there: events live an hour.")
    return tuple(notes)


def _cause(pod: Pod, nodes: tuple[NodeFit, ...], scene: Scene, word: Said | None) -> tuple[str, str]:
    """The cause and a sentence: what no node can, then what others hold, then what a change would do."""
    name = pod.name
    found = [one.fit for one in nodes]
    if not nodes:
        return "none-fits", f"Pod {name} waits: the cluster has no node."
    if Fit.NOW in found:
        count = found.count(Fit.NOW)
        if word is None:
            return "not-tried-yet", f"Pod {name} fits now, on {_nodes(count)}: the scheduler has not placed it yet."
        text = f"gpuctl counts {_nodes(count)} on which pod {name} fits now; the scheduler found none, and it decides."
        return "unknown", text
    for judge in (_of_names, _of_size, _of_selector):
        told = judge(pod, nodes, scene)
        if told:
            return told
    if Fit.WHEN_OTHERS_END in found:
        return _of_holders(pod, nodes, scene)
    if Fit.AFTER_CHANGE in found:
        return "change", f"Pod {name} fits on {_nodes(found.count(Fit.AFTER_CHANGE))} after one change."
    if Fit.UNKNOWN in found:
        return "claims", f"Pod {name} waits for devices that are given by claims: which fit, the scheduler alone can tell."
    if any(one.rule == "claims" for fit in nodes for one in fit.obstacles):
        return "claims", f"Pod {name} claims more devices than any node offers."
    return "none-fits", f"Pod {name} fits on none of {_nodes(len(nodes))}, and no single change lets it in."


def _nodes(count: int) -> str:
    return f"{count} node{'' if count == 1 else 's'}"


def _of_names(pod: Pod, nodes: tuple[NodeFit, ...], scene: Scene) -> tuple[str, str] | None:
    """A resource that no node has, by a node's count or by claims."""
    for name in _extended(pod):
        if name in scene.by_class or any(one.node.capacity.get(name, 0) for one in nodes):
            continue
        others: dict[str, int] = {}
        for one in nodes:
            for other, value in gpus_in(one.node.allocatable).items():
                others[other] = others.get(other, 0) + value
        there = ", ".join(f"{amount(other, value)} {other}" for other, value in others.items() if value)
        has = f" It has {there}." if there else ""
        return "no-such-resource", f"Pod {pod.name} asks for {name}, which no node of this cluster offers.{has}"
    return None


def _of_size(pod: Pod, nodes: tuple[NodeFit, ...], scene: Scene) -> tuple[str, str] | None:
    """More of a resource than any node has, however empty: ill GPUs count, as they may come back."""
    for name, wanted in pod.requests.items():
        largest = max(nodes, key=lambda one: _size(one, name))
        most = _size(largest, name)
        by_claims = max((len(found) for found in scene.devices.values()), default=0) if name in scene.by_class else 0
        if wanted > max(most, by_claims * 1000):
            asked, has = amount(name, wanted), f"{amount(name, most)} on {largest.node.name}"
            return "too-large", f"Pod {pod.name} asks for {asked} {name} on one node, and the most that one has is {has}."
    return None


def _size(one: NodeFit, name: str) -> int:
    return max(one.node.allocatable.get(name, 0), one.node.capacity.get(name, 0))


def _of_selector(pod: Pod, nodes: tuple[NodeFit, ...], scene: Scene) -> tuple[str, str] | None:
    """Labels that no node has; the nearest that some have are named."""
    unmet = [next((o for o in one.obstacles if o.rule == "selector"), None) for one in nodes]
    if not all(unmet):
        return None
    wanted = [f"{key}={value}" for key, value in pod.placement.node_selector.items()]
    keys = [*pod.placement.node_selector, *(r.key for term in pod.placement.terms or () for r in term.labels)]
    has = dict.fromkeys(f"{key}={one.node.labels[key]}" for key in keys for one in nodes if key in one.node.labels)
    there = f" There are {', '.join(list(has)[:NAMED])}." if has else ""
    what = ", ".join(wanted) or "its node affinity"
    return "selector", f"No node is as pod {pod.name} wants it ({what}).{there}"


def _of_holders(pod: Pod, nodes: tuple[NodeFit, ...], scene: Scene) -> tuple[str, str]:
    waiting = [one for one in nodes if one.fit is Fit.WHEN_OTHERS_END]
    broken = next((part for part in _fragments(pod, nodes, scene) if part.free != "0"), None)
    where = f"on {_nodes(len(waiting))}"
    if broken and _free_in_all(pod, nodes, scene, broken.resource) >= pod.requests[broken.resource]:
        text = f"{broken.free} {broken.resource} are free in all, never {broken.wanted} together"
        return "fragmented", f"Pod {pod.name} waits: {text} ({broken.most} at most, on {broken.node})."
    return "held", f"Pod {pod.name} waits for others to end: they hold what it needs {where}."


def _eligible(nodes: Iterable[NodeFit], resource: str) -> list[NodeFit]:
    """The nodes on which only a lack of this resource stands in the way."""
    return [
        one
        for one in nodes
        if one.node.allocatable.get(resource, 0) and all(o.resource == resource for o in one.obstacles)
    ]


def _free_in_all(pod: Pod, nodes: Iterable[NodeFit], scene: Scene, resource: str) -> int:
    return sum(max(scene.free(one.node, resource), 0) for one in _eligible(nodes, resource))


def _fragments(pod: Pod, nodes: tuple[NodeFit, ...], scene: Scene) -> Iterator[Fragments]:
    for name in _extended(pod):
        able = _eligible(nodes, name)
        if able:
            most = max(able, key=lambda one: scene.free(one.node, name))
            free = _free_in_all(pod, nodes, scene, name)
            at_most = max(scene.free(most.node, name), 0)
            wanted = pod.requests[name]
            yield Fragments(name, amount(name, wanted), amount(name, free), amount(name, at_most), most.node.name)


def _held(pod: Pod, nodes: tuple[NodeFit, ...], scene: Scene) -> Iterator[Held]:
    for one in nodes:
        if one.fit is Fit.WHEN_OTHERS_END:
            for name in dict.fromkeys(o.resource for o in one.obstacles if o.resource):
                for other in scene.holders(one.node, name):
                    since = other.started or other.created
                    many = amount(name, counted(other, name))
                    yield Held(one.node.name, other.shown, name, many, since, other.priority)


def _ways(pod: Pod, nodes: tuple[NodeFit, ...], scene: Scene) -> Iterator[Way]:
    """Changes that let the pod in at once, the smallest first and of these the one that opens most nodes."""
    by_change: dict[Change, list[str]] = {}
    for one in nodes:
        change = one.obstacles[0].change if one.fit is Fit.AFTER_CHANGE else None
        if change:
            by_change.setdefault(change, []).append(one.node.name)

    def size(item: tuple[Change, list[str]]) -> tuple[int, int]:
        return CHANGES.index(item[0].kind), -len(item[1])

    smaller = tuple(_smaller(pod, nodes, scene))
    yield from smaller
    for change, names in sorted(by_change.items(), key=size):
        yield Way(change.text, tuple(names), _commands(change))


def _commands(change: Change) -> tuple[Command, ...]:
    return (command("kubectl", "uncordon", change.on),) if change.kind == "uncordon" else ()


def _smaller(pod: Pod, nodes: tuple[NodeFit, ...], scene: Scene) -> Iterator[Way]:
    """What there is at once of a resource of which too much is asked for, where nothing else stands in the way."""
    for name in dict.fromkeys(o.resource for one in nodes for o in one.obstacles if o.resource in pod.requests):
        if name == "pods":
            continue
        able = [one for one in nodes if one.obstacles and all(o.resource == name for o in one.obstacles)]
        most = max((scene.free(one.node, name) for one in able), default=0)
        if 0 < most < pod.requests[name]:
            there = tuple(one.node.name for one in able if scene.free(one.node, name) == most)
            asks = f"{amount(name, pod.requests[name])} {name}"
            yield Way(f"Ask for {amount(name, most)} instead of {asks}, if that is enough: so many are free now.", there)


def _told(answer: Why, notes: tuple[str, ...]) -> Why:
    from dataclasses import replace

    return replace(answer, notes=notes)


Judge = Callable[[Pod, Scene], Why | None]
