"""Pods of gpuctl's own, a pod a node: made, waited for, read, and removed, whatever happens."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from gpuctl.command import command
from gpuctl.frozen import dataclass
from gpuctl.host.act.signals import HeldSignals
from gpuctl.host.decode import object_in, objects_in, parse_object, text_in
from gpuctl.host.look.reading import Reading, failure
from gpuctl.k8s.plugin import ILL

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 1.0
"""Seconds between two looks at pods."""
UNPLACED_SECONDS = 5.0
"""For the scheduler to place a pod: an autoscaler takes longer, and a GPU that others hold does not come free."""
AT_ONCE = 20
"""Pods at a time."""
_NOT_ALLOWED = re.compile(r'cannot create resource "?pods|cannot (?:get|list|delete) resource')
_POD_SECURITY = re.compile(r"violates PodSecurity")


class Pods(Protocol):
    """The pods of one run in a cluster: see gpuctl.host.api.pods."""

    @property
    def namespace(self) -> str:
        """Where they are."""

    @property
    def label(self) -> str:
        """By which they are known: KEY=VALUE."""

    def create(self, manifest: str) -> Reading:
        """How the API took a pod."""

    def read(self) -> Reading:
        """The list of the pods of this run."""

    def events(self, name: str) -> Reading:
        """The list of what was said of one."""

    def log(self, name: str) -> Reading:
        """What one printed."""

    def delete(self) -> Reading:
        """Has all of them removed."""


class OwnPod(Protocol):
    """A pod for a node."""

    @property
    def name(self) -> str:
        """Its own."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What the API is told to make."""


P = TypeVar("P", bound=OwnPod)
R = TypeVar("R")


@dataclass(frozen=True)
class Refused(Generic[P]):
    """The API makes no such pod: its words, and `policy`: Pod Security's, `rights`: for want of this identity's."""

    pod: P
    said: str
    policy: bool
    rights: bool

    @property
    def sentence(self) -> str:
        """All of it in one."""
        who = "Pod Security of the namespace" if self.policy else "The API"
        return f"{who} refuses the pod: {self.said}"


@dataclass(frozen=True)
class NotStarted(Generic[P]):
    """Its node does not start it: the words of the kubelet or the engine."""

    pod: P
    said: str


@dataclass(frozen=True)
class NotRun(Generic[P]):
    """It found no node, did not end in time, or was turned away by its node (`failed`: with these words)."""

    pod: P
    failed: bool
    said: str


@dataclass(frozen=True)
class Ended(Generic[P]):
    """Its container has ended: the pod's status, and what it printed."""

    pod: P
    status: Mapping[str, Any]
    log: Reading

    @property
    def code(self) -> int | None:
        """The container's exit status, None where it is not told."""
        for container in objects_in(self.status, "containerStatuses"):
            code = object_in(object_in(container, "state"), "terminated").get("exitCode")
            return code if isinstance(code, int) else None
        return None


PodEnd = Refused[P] | NotStarted[P] | NotRun[P] | Ended[P]


def run_pods(pods: Pods, wanted: Sequence[P], seconds: float, judge: Callable[[PodEnd[P]], R]) -> tuple[R, ...]:
    """Makes the pods, some at a time, and returns what `judge` says of how each ended, which it is told while the pod
    is still there. All of them are removed, also where it is cut off.

    `seconds` are for a pod's whole way, its image among it.
    """
    found: list[R] = []
    with HeldSignals() as signals:
        try:
            for start in range(0, len(wanted), AT_ONCE):
                batch = wanted[start : start + AT_ONCE]
                # What the API is told to make is waited for, and cannot come to be after all has been removed.
                made = [(one, pods.create(json.dumps(one.manifest))) for one in batch]
                found += [judge(_refused(one, answer)) for one, answer in made if not answer.ok]
                with signals.let_through():
                    there = {one.name: one for one, answer in made if answer.ok}
                    found += map(judge, _waited_for(pods, there, seconds))
                _remove(pods)
        finally:
            _remove(pods)
    return tuple(found)


def _remove(pods: Pods) -> None:
    done = pods.delete()
    if not done.ok:
        words = ("kubectl", "delete", "pods", "-n", pods.namespace, "-l", pods.label)
        text = "gpuctl: the cluster has not removed gpuctl's pods yet (%s): %s"
        logging.getLogger("gpuctl").warning(text, failure(done), command(*words))


def _refused(one: P, answer: Reading) -> Refused[P]:
    said = " ".join(answer.detail.split()) or failure(answer)
    return Refused(one, said, bool(_POD_SECURITY.search(said)), bool(_NOT_ALLOWED.search(said)) or not answer.detail)


def _waited_for(pods: Pods, left: dict[str, P], seconds: float) -> Iterator[PodEnd[P]]:
    began, pause = time.monotonic(), FIRST_PAUSE
    while left:
        states = _states(pods)
        waited = time.monotonic() - began
        for name, one in list(left.items()):
            end = _end(pods, one, states.get(name, {}), waited, waited > seconds)
            if end:
                del left[name]
                yield end
        if left:
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)


def _states(pods: Pods) -> Mapping[str, Mapping[str, Any]]:
    """Each pod by its name. One that cannot be read now may be at the next look."""
    answer = pods.read()
    try:
        found = objects_in(parse_object(answer.text), "items") if answer.ok else ()
        return {text_in(object_in(one, "metadata"), "name") or "": one for one in found}
    except ValueError:
        return {}


def _end(pods: Pods, one: P, state: Mapping[str, Any], waited: float, late: bool) -> PodEnd[P] | None:
    """How a pod has ended; None while it goes on."""
    status = object_in(state, "status")
    phase = text_in(status, "phase") or ""
    if phase in ("Succeeded", "Failed") and objects_in(status, "containerStatuses"):
        return Ended(one, status, pods.log(one.name))
    stuck = _stuck(status)
    if stuck:
        return NotStarted(one, stuck)
    if late and not _unplaced(status):
        said = _complaint(pods, one.name)
        if said:
            return NotStarted(one, said)
    if phase == "Failed" or late or (waited > UNPLACED_SECONDS and _unplaced(status)):
        return NotRun(one, phase == "Failed", text_in(status, "message") or text_in(status, "reason") or "")
    return None


def _stuck(status: Mapping[str, Any]) -> str:
    """What keeps the container from starting, "" where nothing does yet."""
    for container in objects_in(status, "containerStatuses"):
        waiting = object_in(object_in(container, "state"), "waiting")
        if text_in(waiting, "reason") in ILL:
            return f"{text_in(waiting, 'reason')}: {text_in(waiting, 'message') or 'no message'}"
    return ""


def _unplaced(status: Mapping[str, Any]) -> bool:
    return any(
        one.get("type") == "PodScheduled" and one.get("status") == "False" for one in objects_in(status, "conditions")
    )


def _complaint(pods: Pods, name: str) -> str:
    """What the kubelet last complained of a pod that has its node and does not start."""
    answer = pods.events(name)
    try:
        found = objects_in(parse_object(answer.text), "items") if answer.ok else ()
        said = [text_in(one, "message") or "" for one in found if one.get("type") == "Warning"]
    except ValueError:
        said = []
    return said[-1] if said else ""
