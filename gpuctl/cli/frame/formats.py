"""In which format a result is printed, and which files it is written to besides."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Annotated, Generic, TypeVar

import typer

from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode
from gpuctl.render.draw.text import Styled, plain, say
from gpuctl.render.formats.formats import Format

F = TypeVar("F", bound=Enum)
"""The formats of a command: Format, or one of its own, of which TEXT and JSON have the same values."""


@dataclass(frozen=True)
class OutputFile:
    """A file to write, and in which format, by its name."""

    format: str
    path: str


@dataclass(frozen=True)
class Outputs(Generic[F]):
    """What becomes of a result: how it is shown, and which files are written in which format."""

    shown: F
    files: tuple[tuple[F, str], ...]

    @property
    def formats(self) -> set[F]:
        """All formats in which it is told."""
        return {self.shown, *(format for format, _ in self.files)}


def output_file(formats: type[Enum]) -> Callable[[str], OutputFile]:
    """Returns what reads a FORMAT=FILE that was typed, with one of these formats."""

    def read(value: str) -> OutputFile:
        name, equals, path = value.partition("=")
        names = [one.value for one in formats]
        if name not in names or not equals:
            raise typer.BadParameter(f"{value!r} is no FORMAT=FILE with one of {', '.join(names)}")
        if path in ("", "-"):
            raise typer.BadParameter("name a file; what is printed is chosen by --format")
        return OutputFile(name, path)

    return read


FormatName = Annotated[
    Format | None, typer.Option("--format", help="What to print, instead of text.", show_default=False)
]
OutputFiles = Annotated[
    list[OutputFile] | None,
    typer.Option(
        "-o",
        "--output",
        parser=output_file(Format),
        metavar="FORMAT=FILE",
        help="Write a file besides, whole or not at all; repeatable.",
        show_default=False,
    ),
]


def outputs(format: Format | None, json: bool, files: list[OutputFile] | None, default: str | None) -> Outputs[Format]:
    """Returns what was asked for. Raises BadParameter where that is two things at once."""
    return outputs_in(Format, format, json, files, default)


def outputs_in(
    formats: type[F], format: F | None, json: bool, files: list[OutputFile] | None, default: str | None = None
) -> Outputs[F]:
    """Returns what was asked for in formats of a command's own, as `outputs` does."""
    if json and (format or formats("json")) is not formats("json"):
        raise typer.BadParameter("--json and --format exclude each other: give one")
    paths = [one.path for one in files or ()]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise typer.BadParameter(f"{plain(twice)} is named twice", param_hint="-o")
    shown = formats("json") if json else format or formats(default or "text")
    return Outputs(shown, tuple((formats(one.format), one.path) for one in files or ()))


def deliver(wanted: Outputs[F], render: Callable[[F], Styled], code: int) -> int:
    """Writes the files, prints the result, and returns the exit code: that of the result, or that a file is missing."""
    whole = write_files(wanted.files, render)
    result = render(wanted.shown)
    if wanted.shown.value == Format.TEXT.value:
        result.show()
    else:
        typer.echo(result.plain, nl=False)
    return code if whole else code or ExitCode.UNDETERMINED


def write_files(files: tuple[tuple[F, str], ...], render: Callable[[F], Styled]) -> bool:
    """Writes the files, which all may read. Returns whether all could be written, and says what could not."""
    if not files:
        return True
    from gpuctl.host.write.output import FileProblem, write_whole

    whole = True
    for format, path in files:
        try:
            write_whole(path, render(format).plain.encode("utf-8", "replace"), 0o644)
        except FileProblem as problem:
            say(str(problem))
            whole = False
    return whole
