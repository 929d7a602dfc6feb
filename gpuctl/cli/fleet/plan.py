"""`gpuctl fleet plan`: what a change would come to on each of many hosts, equal plans once."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from gpuctl.cli.frame.fleet.asked import Asked, answered, in_a_sentence
from gpuctl.cli.frame.fleet.change import Zipapp, packed
from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.options import Json, filled
from gpuctl.model import ExitCode

PLANNED = ("install-runtime", "uninstall-runtime")
"""The commands that a fleet can be changed by."""


@spread
def plan(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND…", help="install-runtime or uninstall-runtime, with its options.", show_default=False
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

    _check(words)
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


def _check(words: list[str]) -> None:
    """Refuses what the command itself would refuse, before a host is asked."""
    from typer.main import get_command

    from gpuctl.cli.frame.app import app

    name, *options = words
    if name not in PLANNED:
        raise typer.BadParameter(f"{name} is none of {', '.join(PLANNED)}", param_hint="COMMAND")
    if "--dry-run" in options:
        raise typer.BadParameter("a plan changes nothing: leave out --dry-run", param_hint="COMMAND")
    command = get_command(app).get_command(None, name)  # type: ignore[attr-defined]
    command.make_context(name, options)


def _code(whys: set[str]) -> ExitCode:
    from gpuctl.fleet.plan import CANNOT, REFUSED

    if whys & {CANNOT, REFUSED}:
        return ExitCode.PROBLEM
    return ExitCode.UNDETERMINED if whys else ExitCode.GOOD
