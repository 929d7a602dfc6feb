"""`gpuctl diff`: what is different between two snapshots."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame.options import Json
from gpuctl.cli.frame.snapshots import load


def command(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="A snapshot of `gpuctl collect`, - for stdin.", show_default=False)
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Another one.", show_default=False)],
    json: Json = False,
) -> None:
    """Show which findings, facts and files differ between two snapshots. Exit codes: 0 none, 1 some."""
    from gpuctl.checks.compare.comparison import compare
    from gpuctl.model import ExitCode
    from gpuctl.render.draw.progress import working
    from gpuctl.render.views.diff import comparison_text, diff_json

    if old == new == "-":
        raise typer.BadParameter("only one of OLD and NEW is standard input: name the other one's file")
    before, after = load(old), load(new)
    with working("Comparing the snapshots"):
        found = compare(before, after)
    if json:
        typer.echo(diff_json(found, before, after))
    else:
        comparison_text(found, before, after).show()
    raise typer.Exit(ExitCode.GOOD if found.equal else ExitCode.PROBLEM)
