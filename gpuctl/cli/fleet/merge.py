"""`gpuctl fleet merge`: snapshots that came in other ways than Ansible's, as a run of their own."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.fleet.asked import NONE_SILENT, MaxUnreachable
from gpuctl.cli.frame.fleet.report import FormatName, Strict, Verbose, run_at, tell
from gpuctl.cli.frame.formats import outputs_in
from gpuctl.cli.frame.options import Json, text_option
from gpuctl.render.formats.fleet.formats import FleetFormat


def merge(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES…", help="Snapshots of `gpuctl collect`, folders of such, or runs.", show_default=False
        ),
    ],
    output: Annotated[str, text_option("-o", "--output", metavar="RUN", help="The run's folder, a new one.")],
    json: Json = False,
    format: FormatName = None,
    verbose: Verbose = False,
    strict: Strict = False,
    max_unreachable: MaxUnreachable = NONE_SILENT,
) -> None:
    """Make a run of snapshots that srun, a job or a stick brought, or of several runs, and judge it."""
    from gpuctl import __version__
    from gpuctl.fleet.merge import NothingToMerge, look_through, write_run
    from gpuctl.host.write.files import FileProblem
    from gpuctl.render.draw.text import say

    wanted = outputs_in(FleetFormat, format, json, None)
    try:
        merged = look_through(files)
        write_run(output, merged, __version__, time.time())
    except (NothingToMerge, FileProblem) as problem:
        raise refused(str(problem)) from None
    for path in merged.older:
        say(f"Left aside: {path}, since a newer snapshot of that host is there.")
    raise typer.Exit(tell(run_at(output), wanted, verbose, strict, max_unreachable))
