"""How a fleet's run is told, whichever command has made it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.formats import OutputFile, Outputs, deliver, output_file, outputs_in
from gpuctl.cli.frame.options import Json
from gpuctl.frozen import dataclass
from gpuctl.render.formats.fleet.formats import FleetFormat, fleet_in

if TYPE_CHECKING:
    from gpuctl.fleet.report import FleetReport
    from gpuctl.fleet.run_folder import RecordedRun

T = TypeVar("T")

FormatName = Annotated[
    FleetFormat | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help=f"Print {', '.join(one.value for one in FleetFormat)}, instead of text.",
        show_default=False,
    ),
]
OutputFiles = Annotated[
    list[OutputFile] | None,
    typer.Option(
        "-o",
        "--output",
        parser=output_file(FleetFormat),
        metavar="FORMAT=FILE",
        help="Write a file besides, whole or not at all; repeatable.",
        show_default=False,
    ),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Name every host, and show what all have alike.")]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings, unknowns and whoever differs exit with 1.")]


@dataclass(frozen=True)
class Telling:
    """What was typed about how a run is to be told."""

    json: Json = False
    format: FormatName = None
    output: OutputFiles = None
    verbose: Verbose = False
    strict: Strict = False

    @property
    def outputs(self) -> Outputs[FleetFormat]:
        """What is printed and written. Raises typer.BadParameter."""
        return outputs_in(FleetFormat, self.format, self.json, self.output)


def run_at(folder: str) -> RecordedRun:
    """Returns the run in a folder. Ends the run with a sentence where it is none."""
    from gpuctl.fleet.run_folder import SCHEMA, read_run

    return read_by(read_run, folder, SCHEMA)


def read_by(read: Callable[[str], T], folder: str, schema: str) -> T:
    """Returns what a run's folder has. Ends the run with a sentence where it is none, or one of another kind."""
    from gpuctl.fleet.run_folder import WHOSE, BadRun
    from gpuctl.host.write.files import FileProblem

    try:
        return read(folder)
    except BadRun as problem:
        raise refused(f"{folder} is no run of {WHOSE[schema]}: {problem}.") from None
    except FileProblem as problem:
        raise refused(str(problem)) from None


def judged(run: RecordedRun) -> FleetReport:
    """Returns what is told of a run, while a person sees how far it is."""
    from gpuctl.fleet.report import report_of
    from gpuctl.render.draw.progress import counting

    with counting("Judging hosts", len(run.hosts)) as tell:
        return report_of(run, tell)


def tell(run: RecordedRun, wanted: Outputs[FleetFormat], verbose: bool, strict: bool, allowed: str) -> int:
    """Judges a run, tells it as is wanted, and returns the exit code. `allowed` is how many hosts may be silent."""
    from gpuctl.fleet.silence import share

    report = judged(run)
    return deliver(wanted, lambda format: fleet_in(format, report, verbose), report.code(share(allowed), strict))
