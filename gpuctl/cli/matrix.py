"""`gpuctl matrix`: which driver each CUDA needs on which GPUs, and what this host runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.described import check_cuda_option, described_or_here
from gpuctl.cli.frame.options import DriverVersion, From, GpuNames, Json
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.compat.answer.matrix import Matrix


def command(
    driver: DriverVersion = None,
    gpu: GpuNames = None,
    cuda: Annotated[
        str | None,
        typer.Option("--cuda", metavar="X.Y", help="Only this CUDA version; 12: every 12.x.", show_default=False),
    ] = None,
    snapshot: From = None,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the grid as CSV.")] = False,
    svg: Annotated[
        str | None,
        typer.Option("--svg", metavar="FILE", help="Write the grid as a picture, - for stdout.", show_default=False),
    ] = None,
) -> None:
    """Show the table of CUDA versions, drivers and GPUs, with this host's verdict beside each."""
    from gpuctl.compat.answer.matrix import whole_matrix

    if sum((json, csv, svg is not None)) > 1:
        raise typer.BadParameter("--json, --csv and --svg exclude each other: give one")
    check_cuda_option(cuda)
    # The picture shows all architectures, and frames those of the GPUs in question.
    matrix = whole_matrix(cuda, described_or_here(driver, gpu or [], snapshot), bool(gpu) and svg is None)
    if json:
        from gpuctl.render.formats.json import matrix_json

        typer.echo(matrix_json(matrix))
    elif matrix.unknown:
        from gpuctl.render.draw.text import Styled

        Styled(f"{matrix.unknown}\n").show(sys.stderr if csv or svg is not None else sys.stdout)
    elif csv:
        from gpuctl.render.formats.matrix_csv import matrix_csv

        typer.echo(matrix_csv(matrix), nl=False)
    elif svg is not None:
        _draw(matrix, svg)
    else:
        from gpuctl.render.views.matrix import matrix_text

        matrix_text(matrix, driver is not None).show()
    raise typer.Exit(ExitCode.UNDETERMINED if matrix.unknown else ExitCode.GOOD)


def _draw(matrix: Matrix, path: str) -> None:
    from gpuctl.host.write.output import FileProblem, NoPlaceForFile, is_stdout, write_whole
    from gpuctl.render.draw.matrix_svg import matrix_svg
    from gpuctl.render.draw.text import plain, say

    try:
        write_whole(path, matrix_svg(matrix))
    except NoPlaceForFile as problem:
        raise typer.BadParameter(plain(str(problem)), param_hint="--svg") from None
    except FileProblem as problem:
        say(str(problem))
        raise typer.Exit(ExitCode.UNDETERMINED) from None
    printed = is_stdout(path)
    typer.echo(f"Wrote {'to stdout' if printed else plain(path)}.", err=printed)
