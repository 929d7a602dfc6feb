"""`gpuctl collect`: record this host in one file, to be diagnosed elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from gpuctl import __version__
from gpuctl.cli.frame.options import Json
from gpuctl.cli.frame.recording import Output, to_stdout, write_recording


def command(
    output: Output = None,
    anonymise: Annotated[
        bool, typer.Option("--anonymise", help="Replace names, addresses and serial numbers too.")
    ] = False,
    json: Json = False,
) -> None:
    """Record all that gpuctl sees of this host in one file, without secrets, for `doctor --from FILE` elsewhere."""
    from gpuctl.facts.collect import collect, file_name
    from gpuctl.host.look.local import LocalHost
    from gpuctl.host.record.archive import encode
    from gpuctl.render.draw.progress import working
    from gpuctl.render.views.collect import collect_json, collect_text

    printed = to_stdout(output, json)
    with working("Recording this host"):
        snapshot = collect(LocalHost(), __version__, time.time(), anonymise)
    path, raw = output or file_name(snapshot), encode(snapshot)
    write_recording(path, raw, is_named=output is not None)
    if json:
        typer.echo(collect_json(snapshot, path, len(raw)))
    else:
        collect_text(snapshot, None if printed else path, len(raw)).show(sys.stderr if printed else sys.stdout)
