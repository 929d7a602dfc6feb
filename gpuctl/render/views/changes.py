"""What install-runtime and rollback did, or would do: as text and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict

from gpuctl.model import Step
from gpuctl.provision.result import Result
from gpuctl.render.draw.text import Styled, plain, remedy_lines, say
from gpuctl.render.formats.json import as_json, document

_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def change_json(command: str, result: Result) -> str:
    """Returns the result as JSON."""
    body = {
        "engine": result.engine or None,
        "changed": result.changed,
        "config": result.config,
        "backup": result.backup,
        "files": [asdict(file) for file in result.files],
        "diff": result.diff,
        "reloaded": result.reloaded,
        "verified": result.verified,
        "restarted": result.restarted,
        "restart_needed": result.restart_needed,
        "dry_run": result.dry_run,
        "run": result.run,
        "steps": [asdict(step) for step in result.plan.steps],
        "notes": result.notes,
        "remedy": as_json(result.remedy),
        "error": result.error,
    }
    return document(command, body)


def show_change(command: str, result: Result, as_json: bool, then: str = "") -> None:
    """Prints the result, as JSON or as text whose error goes to stderr. `then` is the next command if all went well."""
    if as_json:
        print(change_json(command, result))
        return
    if result.diff:
        diff_text(result.diff).show()
    if result.error is not None:
        _print_error(command, result)
        return
    text = steps_text(result) if result.dry_run else done_text(result)
    if result.remedy:
        text.append(remedy_lines(result.remedy, "  "))
    if result.verified and then:
        text.append("Next: ").append(f"{then}\n", "cyan")
    text.show()


def diff_text(diff: str) -> Styled:
    """Returns a unified diff, coloured by the kind of line. Tabs stay: they are what a file is indented by."""
    text = Styled()
    for line in diff.removesuffix("\n").split("\n") if diff else ():
        words = "\t".join(map(plain, line.removesuffix("\r").split("\t")))
        text.append(f"{words}\n", _DIFF_STYLES.get(line[:1], "dim"), whole=True)
    return text


def steps_text(result: Result) -> Styled:
    """Returns what a run without --dry-run would do."""
    steps = step_lines(result.plan.steps)
    return _lines(*(steps or ["unchanged: there is nothing to do"]), *result.notes)


def step_lines(steps: Sequence[Step]) -> list[str]:
    """Returns what each step would do, what it disturbs, and how it is undone."""
    return [f"would {step.text} ({_about(step)})" for step in steps]


def _about(step: Step) -> str:
    undo = f"; undo: {step.undo}" if step.undo else ""
    return f"disturbs {step.disturbs.value}{undo}"


def done_text(result: Result) -> Styled:
    """Returns what was done, and what the person should know besides."""
    written = [file.path for file in result.files]
    about = result.config if not written or result.config in written else written[0]
    lines = [f"{'changed' if result.changed else 'unchanged'}{f': {about}' if about else ''}"]
    lines += [f"what {file.path} was: {file.backup}" for file in result.files]
    if result.restarted:
        lines.append(f"{result.title} was restarted and confirms what it says.")
    elif result.reloaded and result.engine != "podman":  # which has no daemon
        lines.append(f"{result.title} reloaded it and confirms what it says; running containers were not touched.")
    elif result.verified:
        lines.append(f"{result.title} confirms what it says.")
    return _lines(*lines, *result.notes)


def _print_error(command: str, result: Result) -> None:
    say(f"gpuctl {command}: {result.error}")
    if result.remedy:
        remedy_lines(result.remedy, "  ").show(sys.stderr)


def _lines(*lines: str) -> Styled:
    return Styled("".join(f"{plain(line)}\n" for line in lines))
