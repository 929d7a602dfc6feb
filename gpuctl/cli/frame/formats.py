"""In which format a result is printed, and which files it is written to besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode
from gpuctl.render.draw.text import Styled, plain, say
from gpuctl.render.formats.formats import Format


@dataclass(frozen=True)
class OutputFile:
    """A file to write, and in which format."""

    format: Format
    path: str


@dataclass(frozen=True)
class Outputs:
    """What becomes of a result."""

    shown: Format
    files: tuple[OutputFile, ...]


def _output_file(value: str) -> OutputFile:
    name, equals, path = value.partition("=")
    names = [one.value for one in Format]
    if name not in names or not equals:
        raise typer.BadParameter(f"{value!r} is no FORMAT=FILE with one of {', '.join(names)}")
    if path in ("", "-"):
        raise typer.BadParameter("name a file; what is printed is chosen by --format")
    return OutputFile(Format(name), path)


FormatName = Annotated[
    Format | None, typer.Option("--format", help="What to print, instead of text.", show_default=False)
]
OutputFiles = Annotated[
    list[OutputFile] | None,
    typer.Option(
        "-o",
        "--output",
        parser=_output_file,
        metavar="FORMAT=FILE",
        help="Write a file besides, whole or not at all; repeatable.",
        show_default=False,
    ),
]


def outputs(format: Format | None, json: bool, files: list[OutputFile] | None, default: str | None) -> Outputs:
    """Returns what was asked for. Raises BadParameter where that is two things at once."""
    if json and format not in (None, Format.JSON):
        raise typer.BadParameter("--json and --format exclude each other: give one")
    paths = [one.path for one in files or ()]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise typer.BadParameter(f"{plain(twice)} is named twice", param_hint="-o")
    return Outputs(Format.JSON if json else format or Format(default or Format.TEXT), tuple(files or ()))


def deliver(wanted: Outputs, render: Callable[[Format], Styled], code: int) -> int:
    """Writes the files, prints the result, and returns the exit code: that of the result, or that a file is missing."""
    whole = write_files(wanted.files, render)
    result = render(wanted.shown)
    if wanted.shown is Format.TEXT:
        result.show()
    else:
        typer.echo(result.plain, nl=False)
    return code if whole else code or ExitCode.UNDETERMINED


def write_files(files: tuple[OutputFile, ...], render: Callable[[Format], Styled]) -> bool:
    """Writes the files, which all may read. Returns whether all could be written, and says what could not."""
    if not files:
        return True
    from gpuctl.host.write.output import FileProblem, write_whole

    whole = True
    for file in files:
        try:
            write_whole(file.path, render(file.format).plain.encode("utf-8", "replace"), 0o644)
        except FileProblem as problem:
            say(str(problem))
            whole = False
    return whole
