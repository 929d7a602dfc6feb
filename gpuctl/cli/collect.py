"""`gpuctl collect`: record this host in one file, to be diagnosed elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from gpuctl import __version__
from gpuctl.cli.frame.options import Json, filled
from gpuctl.model import ExitCode


def command(
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            parser=filled,
            metavar="FILE",
            help="The file to write, - for stdout, instead of one named after the host and the time.",
            show_default=False,
        ),
    ] = None,
    anonymise: Annotated[
        bool, typer.Option("--anonymise", help="Replace names, addresses and serial numbers too.")
    ] = False,
    json: Json = False,
) -> None:
    """Record all that gpuctl sees of this host in one file, without secrets, for `doctor --from FILE` elsewhere."""
    from gpuctl.facts.collect import collect, file_name
    from gpuctl.host.look.local import LocalHost
    from gpuctl.host.record.archive import encode
    from gpuctl.host.write.output import is_stdout
    from gpuctl.render.draw.progress import working
    from gpuctl.render.views.collect import collect_json, collect_text

    printed = output is not None and is_stdout(output)
    if printed and json:
        raise typer.BadParameter("the snapshot itself is JSON lines: leave out --json, or name a file")
    if printed and sys.stdout.isatty():
        raise typer.BadParameter("a snapshot is no text for a terminal: name a file, or pipe it on", param_hint="-o")
    with working("Recording this host"):
        snapshot = collect(LocalHost(), __version__, time.time(), anonymise)
    path, raw = output or file_name(snapshot), encode(snapshot)
    _write(path, raw, is_named=output is not None)
    if json:
        typer.echo(collect_json(snapshot, path, len(raw)))
    else:
        collect_text(snapshot, None if printed else path, len(raw)).show(sys.stderr if printed else sys.stdout)


def _write(path: str, raw: bytes, is_named: bool) -> None:
    """A name that gpuctl made up can be foreseen: what lies there already is somebody else's."""
    from gpuctl.host.write.output import FileProblem, NoPlaceForFile, write_new, write_whole
    from gpuctl.render.draw.text import plain, say

    try:
        if is_named:
            write_whole(path, raw, private=True)
        else:
            write_new(path, raw)
    except FileProblem as problem:
        if is_named and isinstance(problem, NoPlaceForFile):
            raise typer.BadParameter(plain(str(problem)), param_hint="--output") from None
        say(str(problem) if is_named else f"{problem} Or name one with -o.")
        raise typer.Exit(ExitCode.PROBLEM) from None
