"""What `gpuctl smoke` shows: its progress on stderr, its result as text and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from threading import Timer
from typing import Any

from gpuctl.command import command
from gpuctl.render.draw.progress import PATIENCE
from gpuctl.render.draw.text import Styled, plain, remedy_lines, say
from gpuctl.render.formats.json import as_json, document
from gpuctl.smoke import client
from gpuctl.smoke.compare import Expected, SeenByContainer
from gpuctl.smoke.container import command_line, via
from gpuctl.smoke.deep import Deep, Failure
from gpuctl.smoke.result import SmokePlan, SmokeResult
from gpuctl.smoke.run import Tell

_MARKS = {True: ("PASS", "bold green"), False: ("FAIL", "bold red"), None: ("????", "magenta")}
_INDENT = "      "


@contextmanager
def stages() -> Iterator[Tell]:
    """Hands out what shows the stages of a test: a bar on a terminal, a line for each stage elsewhere."""
    if not sys.stderr.isatty():
        yield _one_line_each()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("", total=None)
    timer = Timer(PATIENCE, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda text, share: progress.update(task, **_bar(text, share))
    finally:
        timer.cancel()
        timer.join()
        progress.stop()


def _bar(text: str, share: float | None) -> dict[str, Any]:
    if share is None:
        return {"description": plain(text)}
    return {"description": plain(f"{text} {share:.0%}"), "total": 1.0, "completed": share}


def smoke_json(result: SmokeResult) -> str:
    """Returns the result as JSON: null for all that was not reached."""
    plan = result.plan
    body = {
        "passed": result.passed,
        "dry_run": result.dry_run,
        "image": plan and plan.spec.image,
        "pulled": result.pulled,
        "engine": _engine_json(plan),
        "on_host": result.on_host is not None,
        "command": _command(result),
        "expected": result.expected and asdict(result.expected),
        "seen": result.seen and asdict(result.seen),
        "cause": result.cause,
        "remedy": as_json(result.remedy),
        "error": result.error,
        "deep": result.deep and asdict(result.deep),
        "seconds": result.seconds,
    }
    return document("smoke", body)


def _engine_json(plan: SmokePlan | None) -> dict[str, Any]:
    """`docker` is the version where it is Docker: the field is older than the others."""
    if plan is None:
        return {"name": None, "version": None, "docker": None, "via": None}
    name = plan.client.engine if plan.client else "docker"
    return {
        "name": name,
        "version": plan.version,
        "docker": None if plan.client else plan.version,
        "via": _via(plan),
    }


def _via(plan: SmokePlan) -> str:
    return plan.client.via(plan.spec.request) if plan.client else via(plan.spec)


def result_text(result: SmokeResult, verbose: bool) -> Styled:
    """Returns the outcome, the remedy and what it rests on; `verbose` adds the command and what the engine said."""
    if result.dry_run and result.expected:
        return Styled(f"{plain(_command(result) or '')}\n", whole=True)
    mark, style = _MARKS[result.passed]
    text = Styled(f"{mark}  ", style).append(plain(result.cause or _passed(result)), "bold").append("\n")
    if result.remedy:
        text.append(remedy_lines(result.remedy, _INDENT))
    for line in _details(result, verbose):
        text.append(f"{_INDENT}{plain(line)}\n", "dim")
    if verbose and (ran := _command(result)):
        text.append(f"{_INDENT}{plain(ran)}\n", "dim", whole=True)
    for line in (result.error or "").splitlines() if verbose else ():
        text.append(f"{_INDENT}error     {plain(line)}\n" if line.strip() else "", "dim")
    return text


def _command(result: SmokeResult) -> str | None:
    if result.on_host:
        return str(command(*result.on_host.argv))
    plan = result.plan
    if plan and plan.client:
        return str(client.command_line(plan.client, plan.spec))
    return str(command_line(plan.spec)) if plan else None


def _passed(result: SmokeResult) -> str:
    driver = result.seen.driver if result.seen else ""
    if result.deep:
        where = "on this host" if result.on_host else "in a container"
        return f"CUDA {result.deep.cuda} works {where} on {_counted(len(result.deep.gpus))}, with driver {driver}."
    return f"A container saw driver {driver} and {_counted(len(result.seen.gpus) if result.seen else 0)}, as it should."


def _counted(count: int) -> str:
    return f"{count} GPU{'' if count == 1 else 's'}"


def _details(result: SmokeResult, verbose: bool) -> list[str]:
    plan, words = result.plan, []
    if plan:
        pulled = ", pulled" if result.pulled else ""
        words.append(f"{plan.spec.image}{pulled}, {plan.title} {plan.version} {_via(plan)}, {result.seconds:.1f} s")
    if result.expected and result.seen and (verbose or not result.passed):
        words += [f"expected  {_sight(result.expected)}", f"seen      {_sight(result.seen)}"]
    if result.deep and (verbose or not result.passed):
        words += _cuda(result.deep)
    return words


def _cuda(deep: Deep) -> list[str]:
    words = [f"libcuda   {deep.library}"] if deep.library else []
    for gpu in deep.gpus:
        state = "works" if gpu.passed else "fails"
        words.append(
            f"{state:10}GPU {gpu.index}, {gpu.name}, {gpu.compute_capability}, {gpu.memory >> 20} MiB, {gpu.uuid}"
        )
    words += [f"{'MIG on':10}{uuid}, not tested" for uuid in deep.mig]
    return [*words, *(f"{'failed':10}{_failure(one)}" for one in deep.failures)]


def _failure(failure: Failure) -> str:
    gpu = "" if failure.gpu is None else f" GPU {failure.gpu}"
    said = [word for word in (failure.call, failure.error) if word]
    return f"{failure.step}{gpu}: {' '.join((*said, f'({failure.code})'))}"


def _sight(sight: Expected | SeenByContainer) -> str:
    of = f"{sight.count} of " if isinstance(sight, Expected) and sight.count != len(sight.gpus) else ""
    return f"driver {sight.driver}, {of}{', '.join(sight.gpus) or 'no GPU'}"


def _one_line_each() -> Tell:
    shown: set[str] = set()

    def show(text: str, share: float | None) -> None:
        if text not in shown:
            shown.add(text)
            say(text)

    return show
