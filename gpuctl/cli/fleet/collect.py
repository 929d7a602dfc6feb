"""`gpuctl fleet collect`: record many hosts, each in a snapshot, in one folder."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame.fleet.asked import Asked, Recording, recorded_run, silence
from gpuctl.cli.frame.groups import spread
from gpuctl.cli.frame.options import Json


@spread
def collect(
    asked: Asked,
    recording: Recording,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name every host that has not reported.")] = False,
) -> None:
    """Record all hosts of an inventory in one folder, and say of which nothing came, and why."""
    from gpuctl.render.views.fleet_collect import collect_json, collect_text

    found = recorded_run(("collect",), asked, recording)
    if json:
        typer.echo(collect_json(found))
    else:
        collect_text(found, verbose).show()
    raise typer.Exit(silence(found, recording.max_unreachable))
