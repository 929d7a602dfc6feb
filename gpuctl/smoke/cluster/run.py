"""Smoke pods made, waited for, judged and removed, whatever happens."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from gpuctl.command import Command, command
from gpuctl.frozen import dataclass
from gpuctl.host.act.signals import HeldSignals
from gpuctl.host.decode import object_in, objects_in, parse_object, text_in
from gpuctl.host.look.reading import Reading, failure
from gpuctl.k8s.answer import Why
from gpuctl.k8s.checks.plugin import ILL
from gpuctl.model import ExitCode, Remedy, Report
from gpuctl.smoke.cluster.pod import SmokePod, devices, difference, read_words
from gpuctl.smoke.compare import SeenByContainer
from gpuctl.smoke.deep import DeepStep, read_deep, read_seen, read_steps
from gpuctl.smoke.deep_cause import judge_cuda
from gpuctl.smoke.explain import explain

BETWEEN_LOOKS = 1.0
UNPLACED_SECONDS = 5.0
"""For the scheduler to place a pod: an autoscaler takes longer, and a GPU that others hold does not come free."""
AT_ONCE = 20
"""Pods at a time."""
_NOT_ALLOWED = re.compile(r'cannot create resource "?pods|cannot (?:get|list|delete) resource')
_OF_NVML = ("nvml-load", "nvml-init")
_POD_SECURITY = re.compile(r"violates PodSecurity")


class Pods(Protocol):
    """The pods of one run in a cluster: see gpuctl.host.act.pods."""

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


@dataclass(frozen=True)
class PodResult:
    """How a node's pod ended. `passed` None: it could not be told. `why` is the scheduler's part, where it waited."""

    node: str
    passed: bool | None
    cause: str | None = None
    remedy: Remedy | None = None
    pod: SmokePod | None = None
    assigned: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    why: Why | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        """Takes the secrets out of what was said by a container or the API."""
        if self.error or self.cause:
            from gpuctl.host.record.redact import without_secrets

            object.__setattr__(self, "error", self.error and without_secrets(self.error))
            object.__setattr__(self, "cause", self.cause and without_secrets(self.cause))


def code_of(results: Sequence[PodResult]) -> ExitCode:
    """Returns 1 where a node failed, 3 where one could not be told, or none was tried, else 0."""
    if any(one.passed is False for one in results):
        return ExitCode.PROBLEM
    return ExitCode.GOOD if results and all(one.passed for one in results) else ExitCode.UNDETERMINED


Explain = Callable[[SmokePod], Why | None]
"""Tells why a pod waits, by the cluster as it is then."""


def run_pods(pods: Pods, wanted: Sequence[SmokePod], seconds: float, ask_why: Explain) -> tuple[PodResult, ...]:
    """Makes the pods, some at a time, and returns how each ended; all of them are removed, also where it is cut off.

    `seconds` are for a pod's whole way, its image among it.
    """
    found: list[PodResult] = []
    with HeldSignals() as signals:
        try:
            for start in range(0, len(wanted), AT_ONCE):
                batch = wanted[start : start + AT_ONCE]
                # What the API is told to make is waited for, and cannot come to be after all has been removed.
                made = [(one, pods.create(json.dumps(one.manifest))) for one in batch]
                found += [_refused(one, answer) for one, answer in made if not answer.ok]
                with signals.let_through():
                    there = {one.name: one for one, answer in made if answer.ok}
                    found += _waited_for(pods, there, seconds, ask_why)
                _remove(pods)
        finally:
            _remove(pods)
    return tuple(found)


def _remove(pods: Pods) -> None:
    done = pods.delete()
    if not done.ok:
        words = ("kubectl", "delete", "pods", "-n", pods.namespace, "-l", pods.label)
        text = "gpuctl: the cluster has not removed the smoke pods yet (%s): %s"
        logging.getLogger("gpuctl").warning(text, failure(done), command(*words))


def _waited_for(pods: Pods, left: dict[str, SmokePod], seconds: float, ask_why: Explain) -> Iterator[PodResult]:
    began = time.monotonic()
    while left:
        states = _states(pods)
        waited = time.monotonic() - began
        for name, one in list(left.items()):
            result = _ended(pods, one, states.get(name, {}), waited, seconds, ask_why)
            if result:
                del left[name]
                yield result
        if left:
            time.sleep(BETWEEN_LOOKS)


def _refused(one: SmokePod, answer: Reading) -> PodResult:
    said = " ".join(answer.detail.split()) or failure(answer)
    passed = None if _NOT_ALLOWED.search(said) or not answer.detail else False
    if _POD_SECURITY.search(said):
        return PodResult(
            one.node, None, f"Pod Security of the namespace refuses the pod: {said}", None, one, error=said
        )
    return PodResult(one.node, passed, f"The API refuses the pod: {said}", None, one, error=said)


def _states(pods: Pods) -> Mapping[str, Mapping[str, Any]]:
    """Each pod by its name. One that cannot be read now may be at the next look."""
    answer = pods.read()
    try:
        found = objects_in(parse_object(answer.text), "items") if answer.ok else ()
        return {text_in(object_in(one, "metadata"), "name") or "": one for one in found}
    except ValueError:
        return {}


def _ended(
    pods: Pods, one: SmokePod, state: Mapping[str, Any], waited: float, seconds: float, ask_why: Explain
) -> PodResult | None:
    """How a pod has ended; None while it goes on."""
    status = object_in(state, "status")
    phase = text_in(status, "phase") or ""
    if phase in ("Succeeded", "Failed") and objects_in(status, "containerStatuses"):
        return _judged(one, status, pods.log(one.name))
    stuck = _stuck(status)
    if stuck:
        return _explained(one, stuck)
    late = waited > seconds
    if phase == "Failed" or late or (waited > UNPLACED_SECONDS and _unplaced(status)):
        said = _said(pods, one.name) if late and not _unplaced(status) else ""
        if said:
            return _explained(one, said)
        why = ask_why(one)
        cause = why.sentence if why else f"The pod did not end within {seconds:g} s."
        return PodResult(one.node, False if why or phase == "Failed" else None, cause, None, one, why=why)
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


def _said(pods: Pods, name: str) -> str:
    """What the kubelet last complained of a pod that has its node and does not start."""
    answer = pods.events(name)
    try:
        found = objects_in(parse_object(answer.text), "items") if answer.ok else ()
        said = [text_in(one, "message") or "" for one in found if one.get("type") == "Warning"]
    except ValueError:
        said = []
    return said[-1] if said else ""


def _explained(one: SmokePod, error: str) -> PodResult:
    cause, remedy = explain(error, Report(()))
    return PodResult(one.node, False, cause, _on_node(one, remedy), one, error=error)


def _on_node(one: SmokePod, remedy: Remedy) -> Remedy:
    """What is to be done on a node is said so; gpuctl's own word for a host is no command for where this runs."""
    look: Command = command("gpuctl", "k8s", "doctor", "--node", one.node)
    return Remedy(f"On {one.node}: {remedy.text}", (look,), remedy.disturbs)


def _judged(one: SmokePod, status: Mapping[str, Any], log: Reading) -> PodResult:
    if not log.ok:
        return PodResult(one.node, None, f"What the container printed could not be read: {failure(log)}.", None, one)
    words = read_words(log.text)
    result = PodResult(one.node, None, None, None, one, devices(_allocated(status)) or words.assigned)
    code = _exit_code(status)
    if one.deep:
        steps = read_steps(log.text)
        return _judged_deep(one, result, steps) if steps else _broken(one, result, log.text, code)
    if code not in (0, None):
        return _broken(one, result, log.text, code)
    cause = difference(result.assigned, words.seen)
    return replace(result, passed=cause is None, cause=cause, seen=words.seen)


def _broken(one: SmokePod, result: PodResult, text: str, code: int | None) -> PodResult:
    said = text.partition("\n")[2].strip() or f"the container ended with status {code}"
    return replace(_explained(one, said), assigned=result.assigned)


def _judged_deep(one: SmokePod, result: PodResult, steps: tuple[DeepStep, ...]) -> PodResult:
    seen, deep = read_seen(steps), read_deep(steps)
    result = replace(result, seen=seen.gpus)
    unread = next((lost.error for lost in deep.failures if lost.step in _OF_NVML and lost.error), None)
    if unread:
        return replace(_explained(one, unread), assigned=result.assigned)
    cause = _deep_difference(result.assigned, seen) if deep.ended else None
    if cause:
        return replace(result, passed=False, cause=cause)
    judged = judge_cuda(deep, seen, Report(()))
    remedy = _on_node(one, judged.remedy) if judged.remedy else None
    return replace(result, passed=judged.passed, cause=judged.cause, remedy=remedy)


def _deep_difference(assigned: tuple[str, ...], seen: SeenByContainer) -> str | None:
    """NVML tells of a GPU that is divided as a whole: its parts are compared without --deep."""
    parts = any(one.startswith("MIG-") for one in assigned)
    return None if parts and len(seen.gpus) == 1 else difference(assigned, seen.gpus)


def _allocated(status: Mapping[str, Any]) -> Iterator[str]:
    """The devices that the kubelet has given the container, where the API tells (from 1.31, by itself from 1.36)."""
    for container in objects_in(status, "containerStatuses"):
        for resource in objects_in(container, "allocatedResourcesStatus"):
            for device in objects_in(resource, "resources"):
                yield text_in(device, "resourceID") or ""


def _exit_code(status: Mapping[str, Any]) -> int | None:
    for container in objects_in(status, "containerStatuses"):
        code = object_in(object_in(container, "state"), "terminated").get("exitCode")
        return code if isinstance(code, int) else None
    return None
