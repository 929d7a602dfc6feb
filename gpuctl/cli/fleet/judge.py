"""`gpuctl fleet judge`: a run told in classes, with who is not like the others."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame.fleet.asked import NONE_SILENT, MaxUnreachable
from gpuctl.cli.frame.fleet.report import FormatName, OutputFiles, Strict, Verbose, run_at, tell
from gpuctl.cli.frame.formats import outputs_in
from gpuctl.cli.frame.options import Json
from gpuctl.render.formats.fleet.formats import FleetFormat


def judge(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
    json: Json = False,
    format: FormatName = None,
    output: OutputFiles = None,
    verbose: Verbose = False,
    strict: Strict = False,
    max_unreachable: MaxUnreachable = NONE_SILENT,
) -> None:
    """Judge a run's hosts by the knowledge of today: what is wrong, in classes, and which are not like the others."""
    wanted = outputs_in(FleetFormat, format, json, output)
    raise typer.Exit(tell(run_at(run), wanted, verbose, strict, max_unreachable))
