"""`gpuctl fleet plan`: what a change would come to on each of many hosts, equal plans once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gpuctl.cli.frame.fleet.asked import Asked, answered, in_a_sentence
from gpuctl.cli.frame.fleet.change import Zipapp, packed
from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.options import Json, filled
from gpuctl.model import ExitCode

DOCTOR = "doctor"
PLANNED = ("install-runtime", "uninstall-runtime", DOCTOR)
"""The commands that a fleet can be changed by."""
ELSEWHERE = ("fix", "yes", "only", "skip", "strict", "verbose")
"""Parameters of the doctor that mean something where it mends other hosts."""


@spread
def plan(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND…",
            help="install-runtime, uninstall-runtime or doctor --fix, with its options.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", parser=filled, metavar="PLAN", help="Keep it in this file.", show_default=False),
    ] = None,
    zipapp: Zipapp = None,
    *,
    asked: Asked,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name every host.")] = False,
) -> None:
    """Have each host say what a command would change on it, and show equal plans once. Changes nothing."""
    from gpuctl import __version__
    from gpuctl.fleet.payload import Call
    from gpuctl.fleet.plan import plan_of
    from gpuctl.host.write.output import write_whole
    from gpuctl.render.views.fleet_plan import plan_json, plan_text

    words = _checked(words)
    call = Call("Plans a change. Changes nothing", "gpuctl.host.act.errand", "planned", (words, packed(zipapp)))
    found = plan_of(__version__, time.time(), words, answered(call, asked))
    if output is not None:
        with in_a_sentence():
            write_whole(output, f"{plan_json(found)}\n".encode(), private=True)
    if json:
        typer.echo(plan_json(found))
    elif output != "-":
        plan_text(found, verbose).show()
    raise typer.Exit(_code({one.why for one in found.unplanned}))


def _checked(words: list[str]) -> list[str]:
    """Returns the words that every host is asked of. Refuses, before one is, what the command itself would refuse."""
    from typer.main import get_command

    from gpuctl.cli.frame.app import app

    name, *options = words
    if name not in PLANNED:
        raise typer.BadParameter(f"{name} is none of {', '.join(PLANNED)}", param_hint="COMMAND")
    if "--dry-run" in options:
        raise typer.BadParameter("a plan changes nothing: leave out --dry-run", param_hint="COMMAND")
    command = get_command(app).get_command(None, name)  # type: ignore[attr-defined]
    typed = command.make_context(name, options).params
    return words if name != DOCTOR else _mending(words, typed)


def _mending(words: list[str], typed: Mapping[str, Any]) -> list[str]:
    """The doctor's words with --yes: whoever has read the plan has allowed what it says."""
    if not typed["fix"]:
        raise typer.BadParameter("doctor changes nothing without --fix", param_hint="COMMAND")
    if any(value and name not in ELSEWHERE for name, value in typed.items()):
        raise typer.BadParameter("of doctor's options, --fix, --only and --skip go with a plan", param_hint="COMMAND")
    return words if typed["yes"] else [*words, "--yes"]


def _code(whys: set[str]) -> ExitCode:
    from gpuctl.fleet.plan import CANNOT, REFUSED

    if whys & {CANNOT, REFUSED}:
        return ExitCode.PROBLEM
    return ExitCode.UNDETERMINED if whys else ExitCode.GOOD
