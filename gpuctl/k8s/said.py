"""What the scheduler says of a pod: its condition and its events, parsed, and compared with what gpuctl counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from gpuctl.frozen import dataclass
from gpuctl.k8s.cluster import Cluster
from gpuctl.k8s.fit import NodeFit
from gpuctl.k8s.objects import ClusterEvent, Pod
from gpuctl.k8s.requests import is_extended

_NODES = re.compile(r"(\d{1,6})/(\d{1,6}) nodes are available")
_PART = re.compile(r"(\d{1,6}) (\D.{0,400}?)(?=, \d+ |\.? ?$)")
_ENDS = re.compile(r"\. (?=preemption|still not|no new claims|not found)|\. ?preemption:")
_VOLUME = re.compile(r'persistentvolumeclaim "([^"]{1,253})"|unbound immediate')
RULES: Mapping[str, str] = {
    "were unschedulable": "cordoned",
    "taint": "taint",
    "node selector": "selector",
    "matchnodeselector": "selector",
    "node affinity/selector": "selector",
    "node(s) didn't match pod's node affinity": "selector",
    "free ports": "ports",
    "too many pods": "resource",
    "insufficient ": "resource",
    "volume": "volume",
    "existing pods anti-affinity": "others-apart",
    "anti-affinity": "anti-affinity",
    "pod affinity": "affinity",
    "topology spread": "spread",
    "cannot allocate all claims": "claims",
}
"""By words of the scheduler's, which rule of ours they stand for; the first that fits."""


@dataclass(frozen=True)
class SchedulerWord:
    """The scheduler's last word: its text and time, on how many nodes it found each reason, and a volume it names.

    Reasons are (rule, resource), as those of obstacles. A node may have several, so that they may be more than nodes.
    """

    text: str
    at: float | None
    reasons: Mapping[tuple[str, str], int]
    volume: str
    nodes: int | None


@dataclass(frozen=True)
class SchedulerDiffers:
    """A reason that the scheduler found on another number of nodes than gpuctl."""

    reason: str
    scheduler: int
    gpuctl: int


def last_word(pod: Pod, cluster: Cluster) -> SchedulerWord | None:
    """Returns what the scheduler said last of a pod, by its condition or else by its events."""
    one = pod.scheduled
    if one and one.message and one.reason != "SchedulingGated":
        return said(one.message, one.since)
    events = [
        event
        for event in events_of(pod, cluster)
        if event.reason == "FailedScheduling" and not event.message.startswith(_KARPENTER)
    ]
    last = max(events, key=lambda event: event.last or 0.0, default=None)
    return said(last.message, last.last) if last else None


def counts_as_kubernetes(pod: Pod, word: SchedulerWord | None) -> bool:
    """Returns whether a scheduler of another name is Kubernetes' own: by its words, and as it counts the pod's devices.

    JupyterHub runs one as user-scheduler. HAMi's speaks so as well, and leaves to HAMi what devices there are.
    Source: kubernetes/autoscaler issue 3869; Project-HAMi/HAMi, charts/hami/templates/scheduler/configmapnew.yaml
    """
    if word is None or word.nodes is None or any(rule == _OTHER for rule, _ in word.reasons):
        return False
    return all(("resource", name) in word.reasons for name in pod.requests if is_extended(name))


def events_of(pod: Pod, cluster: Cluster) -> tuple[ClusterEvent, ...]:
    """Returns what was said of a pod."""
    mine = ("Pod", pod.namespace, pod.name)
    return tuple(one for one in cluster.events if (one.subject, one.namespace, one.name) == mine)


_KARPENTER = "Failed to schedule pod"
"""So its own events of the reason FailedScheduling begin, which the scheduler's never do."""


def autoscaler_word(pod: Pod, cluster: Cluster) -> str:
    """Returns what an autoscaler said last of a pod: that a node comes, or why none would help. "" for nothing.

    Sources: https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md (TriggeredScaleUp,
    NotTriggerScaleUp), https://karpenter.sh/docs/troubleshooting/ (FailedScheduling, Nominated)
    """
    events = [
        event
        for event in events_of(pod, cluster)
        if event.reason in AUTOSCALING or (event.reason == "FailedScheduling" and event.message.startswith(_KARPENTER))
    ]
    last = max(events, key=lambda event: event.last or 0.0, default=None)
    return last.message if last else ""


AUTOSCALING = ("NotTriggerScaleUp", "TriggeredScaleUp")


def said(text: str, at: float | None = None) -> SchedulerWord:
    """Returns a message of the scheduler's, taken apart.

    0/12 nodes are available: 1 node(s) were unschedulable, 9 Insufficient nvidia.com/gpu. preemption: 0/12 nodes …
    """
    head = _NODES.search(text)
    body = _ENDS.split(text[head.end() :], maxsplit=1)[0].removeprefix(":") if head else ""
    counts: Counter[tuple[str, str]] = Counter()
    for number, words in _PART.findall(body):
        counts[_rule(words.strip())] += int(number)
    volume = _VOLUME.search(text)
    named = (volume[1] or "unbound") if volume else ""
    return SchedulerWord(text, at, counts, named, int(head[2]) if head else None)


_OTHER = "other"


def _rule(words: str) -> tuple[str, str]:
    """The rule and resource that words stand for; (_OTHER, words) for those of a plugin that is not known."""
    lower = words.lower()
    rule = next((rule for part, rule in RULES.items() if part in lower), None)
    if rule is None:
        return _OTHER, words
    resource = words.partition(" ")[2].rstrip(".") if lower.startswith("insufficient ") else ""
    return rule, "pods" if lower.startswith("too many pods") else resource


_UNJUDGED = "volume"
"""A rule by which gpuctl counts no node: where a volume can be attached, its lists do not tell."""


def differences(word: SchedulerWord, nodes: Iterable[NodeFit]) -> tuple[SchedulerDiffers, ...]:
    """Returns where the scheduler counts otherwise than gpuctl, which goes by the first rule that each node breaks."""
    if word.nodes is None or word.volume:
        return ()
    ours: Counter[tuple[str, str]] = Counter()
    for one in nodes:
        first = next((obstacle.rule for obstacle in one.obstacles), None)
        # An obstacle that nobody but the scheduler can judge is no count of ours.
        found = [obstacle for obstacle in one.obstacles if obstacle.rule == first]
        ours.update({(obstacle.rule, obstacle.resource if obstacle.rule == "resource" else "") for obstacle in found})
    reasons = dict.fromkeys((*word.reasons, *ours))
    pairs = ((reason, word.reasons.get(reason, 0), ours[reason]) for reason in reasons)
    return tuple(
        SchedulerDiffers(" ".join(filter(None, reason)), theirs, mine)
        for reason, theirs, mine in pairs
        if theirs != mine and reason[0] != _UNJUDGED
    )
