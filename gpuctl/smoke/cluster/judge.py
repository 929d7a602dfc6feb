"""What the end of a smoke pod says of its node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gpuctl.command import Command, command
from gpuctl.frozen import dataclass
from gpuctl.host.decode import objects_in, text_in
from gpuctl.host.look.reading import failure
from gpuctl.k8s.answer import Why
from gpuctl.k8s.own_pods import Ended, NotStarted, PodEnd, Refused
from gpuctl.model import ExitCode, Remedy, Report
from gpuctl.smoke.cluster.pod import SmokePod, devices, difference, read_words
from gpuctl.smoke.compare import SeenByContainer
from gpuctl.smoke.deep import DeepStep, read_deep, read_seen, read_steps
from gpuctl.smoke.deep_cause import judge_cuda
from gpuctl.smoke.explain import explain

_OF_NVML = ("nvml-load", "nvml-init")


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


def judging(ask_why: Explain, seconds: float) -> Callable[[PodEnd[SmokePod]], PodResult]:
    """Returns what tells how a node's pod ended. `seconds` are what it was given."""

    def judge(end: PodEnd[SmokePod]) -> PodResult:
        one = end.pod
        if isinstance(end, Refused):
            unclear = end.policy or end.rights
            return PodResult(one.node, None if unclear else False, end.sentence, None, one, error=end.said)
        if isinstance(end, NotStarted):
            return _explained(one, end.said)
        if isinstance(end, Ended):
            return _judged(end)
        why = ask_why(one)
        cause = why.sentence if why else end.said or f"The pod did not end within {seconds:g} s."
        return PodResult(one.node, False if why or end.failed else None, cause, None, one, why=why)

    return judge


def _explained(one: SmokePod, error: str) -> PodResult:
    why = explain(error, Report(()))
    return PodResult(one.node, False, why.cause, _on_node(one, why.remedy), one, error=error)


def _on_node(one: SmokePod, remedy: Remedy) -> Remedy:
    """What is to be done on a node is said so; gpuctl's own word for a host is no command for where this runs."""
    look: Command = command("gpuctl", "k8s", "doctor", "--node", one.node)
    return Remedy(f"On {one.node}: {remedy.text}", (look,), remedy.disturbs)


def _judged(end: Ended[SmokePod]) -> PodResult:
    one, log = end.pod, end.log
    if not log.ok:
        return PodResult(one.node, None, f"What the container printed could not be read: {failure(log)}.", None, one)
    words = read_words(log.text)
    result = PodResult(one.node, None, None, None, one, devices(_allocated(end.status)) or words.assigned)
    if one.deep:
        steps = read_steps(log.text)
        return _judged_deep(one, result, steps) if steps else _broken(one, result, log.text, end.code)
    if end.code not in (0, None):
        return _broken(one, result, log.text, end.code)
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
