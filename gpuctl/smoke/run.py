"""`gpuctl smoke`: does a GPU container run here, and does it see what the host has?"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.checks.every import diagnose
from gpuctl.checks.needed import subjects
from gpuctl.checks.paths.ways import GPUS_FLAG, RUNTIME_FLAG
from gpuctl.checks.select import chosen
from gpuctl.command import command
from gpuctl.facts.docker.docker import RUNTIME, Docker, State
from gpuctl.facts.gather import Facts, gather
from gpuctl.host.look.deadline import DeadlineExceeded
from gpuctl.host.look.reading import Host, Outcome, Reading, failure
from gpuctl.model import Remedy, Report
from gpuctl.smoke.client import Client, fetch, run_to_end
from gpuctl.smoke.compare import Expected, difference, read_query
from gpuctl.smoke.container import ClientSettings, Ended, EngineError, connect, run
from gpuctl.smoke.deep import read_deep, read_seen, read_steps
from gpuctl.smoke.deep_cause import NO_GLIBC, judge_cuda, lacks_glibc
from gpuctl.smoke.explain import DOCTOR, explain
from gpuctl.smoke.plan import make_plan, plan_on_host
from gpuctl.smoke.pull import is_local, pull
from gpuctl.smoke.result import NoPlan, OnHost, SmokePlan, SmokeResult, SmokeWish

if TYPE_CHECKING:
    from docker import DockerClient

Tell = Callable[[str, float | None], None]
"""Is told what goes on and, of a pull, which share of it is done (0 to 1)."""

INFOROM_WARNING = 14
"""nvidia-smi's exit status when a damaged infoROM is all that it has to report (its manual, RETURN VALUE)."""
WAKE_SECONDS = 60.0
_SLOW = Remedy(
    "A GPU that blocks holds up whatever looks at it: see how long the host takes.", (command("time", "nvidia-smi"),)
)
_MEND = Remedy("Mend the file, or move it away: it holds what `docker login` and `docker context use` have set.")
_OF_NVIDIA = ("toolkit", "registration")
"""Layers that are about the runtime nvidia, and tell nothing of another."""


def look(host: Host, wake: bool) -> Facts:
    """Returns the host's facts. With `wake`, a Docker that starts at the first request gets one, and is looked at then.

    Nobody who wants a container run means to leave it asleep.
    """
    facts = gather(host, subjects(chosen()))
    docker = facts.get(Docker)
    if wake and docker and docker.state.value is State.ASLEEP and docker.endpoint.value:
        host.get(docker.endpoint.value.url, "/_ping", WAKE_SECONDS)
        return facts | gather(host, (Docker,))
    return facts


def smoke(wish: SmokeWish, facts: Facts, tell: Tell) -> SmokeResult:
    """Runs nvidia-smi in a container by an engine of this host and returns what came of it.

    Raises only what a person who interrupts it causes, and that once the container is gone.
    """
    started = time.monotonic()
    report = diagnose(facts)
    try:
        plan = make_plan(wish, facts, report)
        result = SmokeResult(plan=plan, dry_run=True) if wish.dry_run else _try(plan, wish, report, tell)
    except NoPlan as none:
        result = replace(none.result, dry_run=wish.dry_run)
    return replace(result, seconds=round(time.monotonic() - started, 3))


def _try(plan: SmokePlan, wish: SmokeWish, report: Report, tell: Tell) -> SmokeResult:
    result = SmokeResult(plan=plan)
    try:
        if plan.client:
            result, ended = _by_client(plan.client, result, plan, wish, tell)
        else:
            result, ended = _by_docker(result, plan, wish, tell)
    except ClientSettings as broken:
        return replace(result, passed=False, cause=str(broken), remedy=_MEND, error=repr(broken.__cause__))
    except EngineError as refused:
        return _explained(result, str(refused), report)
    except DeadlineExceeded:
        return replace(
            result, passed=False, cause=f"The container did not end within {wish.timeout:g} s.", remedy=_SLOW
        )
    told = judge_deep if wish.deep else judge
    return told(ended, plan.expected, result, report)


def _by_docker(result: SmokeResult, plan: SmokePlan, wish: SmokeWish, tell: Tell) -> tuple[SmokeResult, Ended]:
    with closing(connect(plan.endpoint)) as client:
        result = replace(result, pulled=_fetch(client, plan.spec.image, wish.pull_timeout, tell))
        tell(_doing(plan, wish), None)
        return result, run(client, plan.spec, wish.timeout)


def _by_client(
    client: Client, result: SmokeResult, plan: SmokePlan, wish: SmokeWish, tell: Tell
) -> tuple[SmokeResult, Ended]:
    tell(f"Fetching {plan.spec.image}, if it is not here", None)
    result = replace(result, pulled=fetch(client, plan.spec.image, wish.pull_timeout))
    tell(_doing(plan, wish), None)
    return result, run_to_end(client, plan.spec, wish.timeout)


def _doing(plan: SmokePlan, wish: SmokeWish) -> str:
    return f"{'Testing CUDA' if wish.deep else 'Running nvidia-smi'} in {plan.spec.image}"


def _fetch(client: DockerClient, image: str, seconds: float, tell: Tell) -> bool:
    """Returns whether the image had to be pulled."""
    if is_local(client, image):
        return False
    text = f"Pulling {image}"
    tell(text, None)
    pull(client, image, seconds, lambda share: tell(text, share))
    return True


def judge(ended: Ended, expected: Expected, result: SmokeResult, report: Report) -> SmokeResult:
    """Returns the result with what a container that ran to its end tells."""
    if ended.code not in (0, INFOROM_WARNING):
        error = f"{ended.errors}\n{ended.output}".strip() or f"nvidia-smi ended with status {ended.code}"
        return _explained(result, error, report)
    seen = read_query(ended.output)
    cause = difference(expected, seen)
    return replace(result, passed=cause is None, seen=seen, cause=cause, remedy=DOCTOR if cause else None)


def judge_deep(ended: Ended, expected: Expected, result: SmokeResult, report: Report) -> SmokeResult:
    """Returns the result with what the program of --deep tells, in a container or on the host."""
    steps = read_steps(ended.output)
    if not steps:
        error = f"{ended.errors}\n{ended.output}".strip() or f"the program ended with status {ended.code}"
        return _explained(result, error, report)
    deep, seen = read_deep(steps), read_seen(steps)
    result = replace(result, seen=seen, deep=deep)
    broken = next((one for one in deep.failures if one.step in ("nvml-load", "nvml-init") and one.error), None)
    if broken:
        return _explained(result, broken.error or "", report)
    who = "The program" if result.on_host else "The container"
    cause = difference(expected, seen, who) if deep.ended else None
    if cause:
        return replace(result, passed=False, cause=cause, remedy=DOCTOR)
    judged = judge_cuda(deep, seen, report)
    return replace(result, passed=judged.passed, cause=judged.cause, remedy=judged.remedy)


def smoke_on_host(wish: SmokeWish, facts: Facts, host: Host) -> SmokeResult:
    """Runs the program of --deep on the host itself, without a container, and returns what came of it."""
    started = time.monotonic()
    report = diagnose(facts)
    try:
        where = plan_on_host(wish, facts, report)
        result = SmokeResult(on_host=where, dry_run=wish.dry_run)
        if not wish.dry_run:
            result = _judge_reading(host.run(where.argv, wish.timeout), where, result, report)
    except NoPlan as none:
        result = replace(none.result, dry_run=wish.dry_run)
    return replace(result, seconds=round(time.monotonic() - started, 3))


def _judge_reading(reading: Reading, where: OnHost, result: SmokeResult, report: Report) -> SmokeResult:
    if reading.outcome is Outcome.ABSENT:
        return replace(result, passed=False, cause=f"This host has no glibc ({where.argv[0]}): CUDA cannot work on it.")
    if reading.outcome is Outcome.TIMEOUT:
        return replace(result, passed=False, cause=f"The program did not end: {failure(reading)}.", remedy=_SLOW)
    if not read_steps(reading.text):
        return replace(result, cause=f"The program did not run: {failure(reading)}.", error=reading.detail or None)
    return judge_deep(Ended(reading.code, reading.text, reading.detail), where.expected, result, report)


def _explained(result: SmokeResult, error: str, report: Report) -> SmokeResult:
    spec = result.plan and result.plan.spec
    if spec and spec.program and lacks_glibc(error, spec.program):
        return replace(result, passed=False, cause=NO_GLIBC.cause, remedy=NO_GLIBC.remedy, error=error)
    other = spec and spec.runtime not in (None, RUNTIME)
    told = tuple(one for one in report.findings if not (other and one.layer in _OF_NVIDIA))
    way = (RUNTIME_FLAG if spec.runtime else GPUS_FLAG) if spec and result.plan and not result.plan.client else None
    why = explain(error, Report(told), way)
    return replace(result, passed=False, cause=why.cause, remedy=why.remedy, error=error)
