"""A recording as a file: what a person named, or a name that gpuctl made up."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gpuctl.cli.frame.options import text_option
from gpuctl.model import ExitCode

Output = Annotated[
    str | None,
    text_option(
        "-o",
        "--output",
        metavar="FILE",
        help="The file to write, - for stdout, instead of one named after what is recorded and the time.",
    ),
]


def to_stdout(output: str | None, json: bool) -> bool:
    """Returns whether a recording goes to stdout. Raises BadParameter where it cannot."""
    from gpuctl.host.write.output import is_stdout

    printed = output is not None and is_stdout(output)
    if printed and json:
        raise typer.BadParameter("the snapshot itself is JSON lines: leave out --json, or name a file")
    if printed and sys.stdout.isatty():
        raise typer.BadParameter("a snapshot is no text for a terminal: name a file, or pipe it on", param_hint="-o")
    return printed


def write_recording(path: str, raw: bytes, is_named: bool) -> None:
    """Writes a recording that nobody but its owner may read; ends the run with a sentence where that cannot be.

    A name that gpuctl made up can be foreseen: what lies there already is somebody else's.
    """
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
        say(str(problem) if is_named else f"{problem} -o names it.")
        raise typer.Exit(ExitCode.UNDETERMINED) from None
