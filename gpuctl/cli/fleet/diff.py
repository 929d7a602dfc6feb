"""`gpuctl fleet diff`: what is different between two runs of one fleet."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame.fleet.report import judged, run_at
from gpuctl.cli.frame.options import Json
from gpuctl.model import ExitCode


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The folder of a run.", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="That of another one.", show_default=False)],
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name every host.")] = False,
) -> None:
    """Show what differs between two runs, in groups of hosts. Exit codes: 0 nothing, 1 something."""
    from gpuctl.fleet.difference import difference
    from gpuctl.render.views.fleet_diff import fleet_diff_json, fleet_diff_text

    before, after = run_at(old), run_at(new)
    found = difference(judged(before), judged(after))
    if json:
        typer.echo(fleet_diff_json(found, before, after))
    else:
        fleet_diff_text(found, before, after, verbose).show()
    raise typer.Exit(ExitCode.GOOD if found.equal else ExitCode.PROBLEM)
