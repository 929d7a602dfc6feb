"""`gpuctl matrix`: which driver each CUDA needs on which GPUs, and what this host runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.options import DriverVersion, GpuNames, Json

if TYPE_CHECKING:
    from gpuctl.compat.matrix import HostColumn


def command(
    driver: DriverVersion = None,
    gpu: GpuNames = None,
    cuda: Annotated[
        str | None, typer.Option("--cuda", metavar="X.Y", help="Only this CUDA version.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Show the table of CUDA versions, drivers and GPUs, with this host's verdict beside each."""
    from gpuctl.compat.matrix import matrix

    try:
        rows = matrix(cuda)
        column = _host_column(driver, gpu or [])
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if json:
        from gpuctl.render.json import matrix_json

        typer.echo(matrix_json(rows, column))
    else:
        from gpuctl.render.matrix import print_matrix

        print_matrix(rows, column)


def _host_column(driver: str | None, names: list[str]) -> HostColumn | None:
    from gpuctl.compat.gpus import find_gpu
    from gpuctl.compat.matrix import host_column
    from gpuctl.compat.versions import parse_driver

    described = [find_gpu(name) for name in names]
    if driver is not None:
        parse_driver(driver)
    if driver is None or not described:
        from gpuctl.checks.host_answer import SUBJECTS, host_driver_and_gpus
        from gpuctl.facts.gather import gather
        from gpuctl.host.local import LocalHost

        seen_driver, seen_gpus = host_driver_and_gpus(gather(LocalHost(), SUBJECTS))
        driver, described = driver or seen_driver, described or list(seen_gpus)
    return host_column(driver, described) if driver and described else None
