"""What `gpuctl smoke` shows: its progress on stderr, its result as text and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from threading import Timer
from typing import Any

from gpuctl.render.json import document
from gpuctl.render.progress import PATIENCE
from gpuctl.render.text import Styled, plain, remedy_lines
from gpuctl.smoke.compare import Expected, Seen
from gpuctl.smoke.container import command_line, via
from gpuctl.smoke.result import Result
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


def smoke_json(result: Result) -> str:
    """Returns the result as JSON: null for all that was not reached."""
    plan = result.plan
    body = {
        "passed": result.passed,
        "dry_run": result.dry_run,
        "image": plan and plan.spec.image,
        "pulled": result.pulled,
        "engine": {"docker": plan and plan.docker, "via": plan and via(plan.spec)},
        "command": plan and command_line(plan.spec),
        "expected": plan and asdict(plan.expected),
        "seen": result.seen and asdict(result.seen),
        "cause": result.cause,
        "remedy": result.remedy and asdict(result.remedy),
        "error": result.error,
        "seconds": result.seconds,
    }
    return document("smoke", body)


def result_text(result: Result, verbose: bool) -> Styled:
    """Returns the outcome, the remedy and what it rests on; `verbose` adds the docker command and what Docker said."""
    if result.dry_run and result.plan:
        return Styled(f"{plain(command_line(result.plan.spec))}\n")
    mark, style = _MARKS[result.passed]
    text = Styled(f"{mark}  ", style).append(plain(result.cause or _passed(result)), "bold").append("\n")
    if result.remedy:
        text.append(remedy_lines(result.remedy, _INDENT))
    for line in _details(result, verbose):
        text.append(f"{_INDENT}{line}\n", "dim")
    return text


def _passed(result: Result) -> str:
    count = len(result.seen.gpus) if result.seen else 0
    driver = result.seen.driver if result.seen else ""
    return f"A container saw driver {driver} and {count} GPU{'' if count == 1 else 's'}, as it should."


def _details(result: Result, verbose: bool) -> list[str]:
    plan, words = result.plan, []
    if plan:
        pulled = ", pulled" if result.pulled else ""
        words.append(f"{plan.spec.image}{pulled}, Docker {plan.docker} {via(plan.spec)}, {result.seconds:.1f} s")
    if plan and result.seen and (verbose or not result.passed):
        words += [f"expected  {_sight(plan.expected)}", f"seen      {_sight(result.seen)}"]
    if plan and verbose:
        words.append(command_line(plan.spec))
    if result.error and verbose:
        words += [f"error     {line}" for line in result.error.splitlines() if line.strip()]
    return [plain(line) for line in words]


def _sight(sight: Expected | Seen) -> str:
    of = f"{sight.count} of " if isinstance(sight, Expected) and sight.count != len(sight.gpus) else ""
    return f"driver {sight.driver}, {of}{', '.join(sight.gpus) or 'no GPU'}"


def _one_line_each() -> Tell:
    shown: set[str] = set()

    def show(text: str, share: float | None) -> None:
        if text not in shown:
            shown.add(text)
            print(plain(text), file=sys.stderr)

    return show
