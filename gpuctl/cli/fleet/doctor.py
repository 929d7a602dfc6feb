"""`gpuctl fleet doctor`: many hosts asked, judged here, and told in classes."""

from __future__ import annotations

import typer

from gpuctl.cli.frame.fleet.asked import Asked, Recording, recorded_run
from gpuctl.cli.frame.fleet.report import FormatName, OutputFiles, Strict, Verbose, tell
from gpuctl.cli.frame.formats import outputs_in
from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.options import Json
from gpuctl.render.formats.fleet.formats import FleetFormat


@spread
def doctor(
    asked: Asked,
    recording: Recording,
    json: Json = False,
    format: FormatName = None,
    output: OutputFiles = None,
    verbose: Verbose = False,
    strict: Strict = False,
) -> None:
    """Say what is wrong on the hosts of an inventory, in classes, and which are not like the others."""
    wanted = outputs_in(FleetFormat, format, json, output)
    found = recorded_run(("doctor",), asked, recording)
    raise typer.Exit(tell(found, wanted, verbose, strict, recording.max_unreachable))
