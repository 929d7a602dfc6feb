"""`gpuctl smoke`: does a GPU container run here, and does it see what the host has?"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.checks import diagnose
from gpuctl.checks.engine import subjects
from gpuctl.facts.docker import RUNTIME, Docker, State
from gpuctl.facts.gather import Facts, gather
from gpuctl.host.deadline import DeadlineExceeded
from gpuctl.host.reading import Host
from gpuctl.model import Remedy, Report
from gpuctl.smoke.compare import Expected, difference, read_query
from gpuctl.smoke.container import ClientSettings, Ended, EngineError, connect, run
from gpuctl.smoke.explain import DOCTOR, explain
from gpuctl.smoke.plan import make_plan
from gpuctl.smoke.pull import is_local, pull
from gpuctl.smoke.result import NoPlan, Plan, Result, Wish

if TYPE_CHECKING:
    from docker import DockerClient

Tell = Callable[[str, float | None], None]
"""Is told what goes on and, of a pull, which share of it is done (0 to 1)."""

INFOROM_WARNING = 14
"""nvidia-smi's exit status when a damaged infoROM is all that it has to report (its manual, RETURN VALUE)."""
WAKE_SECONDS = 60.0
_SLOW = Remedy("A GPU that blocks holds up whatever looks at it: see how long the host takes.", ("time nvidia-smi",))
_MEND = Remedy("Mend the file, or move it away: it holds what `docker login` and `docker context use` have set.")
_OF_NVIDIA = ("toolkit", "registration")
"""Layers that are about the runtime nvidia, and tell nothing of another."""


def look(host: Host, wake: bool) -> Facts:
    """Returns the host's facts. With `wake`, a Docker that starts at the first request gets one, and is looked at then.

    Nobody who wants a container run means to leave it asleep.
    """
    facts = gather(host, subjects())
    docker = facts[Docker]
    if wake and isinstance(docker, Docker) and docker.state.value is State.ASLEEP and docker.endpoint.value:
        host.get(docker.endpoint.value.url, "/_ping", WAKE_SECONDS)
        return {**facts, **gather(host, (Docker,))}
    return facts


def smoke(wish: Wish, facts: Facts, tell: Tell) -> Result:
    """Runs nvidia-smi in a container on this host's Docker and returns what came of it.

    Raises only what a person who interrupts it causes, and that once the container is gone.
    """
    started = time.monotonic()
    report = diagnose(facts)
    try:
        plan = make_plan(wish, facts, report)
        result = Result(plan=plan, dry_run=True) if wish.dry_run else _try(plan, wish, report, tell)
    except NoPlan as none:
        result = replace(none.result, dry_run=wish.dry_run)
    return replace(result, seconds=round(time.monotonic() - started, 3))


def _try(plan: Plan, wish: Wish, report: Report, tell: Tell) -> Result:
    result = Result(plan=plan)
    try:
        with closing(connect(plan.endpoint)) as client:
            result = replace(result, pulled=_fetch(client, plan.spec.image, wish.pull_timeout, tell))
            tell(f"Running nvidia-smi in {plan.spec.image}", None)
            ended = run(client, plan.spec, wish.timeout)
    except ClientSettings as broken:
        return replace(result, passed=False, cause=str(broken), remedy=_MEND, error=repr(broken.__cause__))
    except EngineError as refused:
        return _explained(result, str(refused), report)
    except DeadlineExceeded:
        return replace(
            result, passed=False, cause=f"The container did not end within {wish.timeout:g} s.", remedy=_SLOW
        )
    return judge(ended, plan.expected, result, report)


def _fetch(client: DockerClient, image: str, seconds: float, tell: Tell) -> bool:
    """Returns whether the image had to be pulled."""
    if is_local(client, image):
        return False
    text = f"Pulling {image}"
    tell(text, None)
    pull(client, image, seconds, lambda share: tell(text, share))
    return True


def judge(ended: Ended, expected: Expected, result: Result, report: Report) -> Result:
    """Returns the result with what a container that ran to its end tells."""
    if ended.code not in (0, INFOROM_WARNING):
        error = f"{ended.errors}\n{ended.output}".strip() or f"nvidia-smi ended with status {ended.code}"
        return _explained(result, error, report)
    seen = read_query(ended.output)
    cause = difference(expected, seen)
    return replace(result, passed=cause is None, seen=seen, cause=cause, remedy=DOCTOR if cause else None)


def _explained(result: Result, error: str, report: Report) -> Result:
    other = result.plan and result.plan.spec.runtime not in (None, RUNTIME)
    told = tuple(one for one in report.findings if not (other and one.layer in _OF_NVIDIA))
    cause, remedy = explain(error, Report(told))
    return replace(result, passed=False, cause=cause, remedy=remedy, error=error)
