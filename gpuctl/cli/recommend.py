"""`gpuctl recommend`: the driver to install, for a CUDA version or for these GPUs."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.frame.described import check_cuda_option, described_gpus
from gpuctl.cli.frame.options import DriverVersion, From, GpuNames, Json
from gpuctl.cli.frame.snapshots import look
from gpuctl.model import ExitCode


def command(
    cuda: Annotated[
        str | None, typer.Option("--cuda", metavar="X.Y", help="The CUDA version to run.", show_default=False)
    ] = None,
    gpu: GpuNames = None,
    driver: DriverVersion = None,
    snapshot: From = None,
    json: Json = False,
) -> None:
    """Say which driver to install so that these GPUs run a CUDA version, with the commands for this distribution."""
    gpus = described_gpus(driver, gpu or [])
    check_cuda_option(cuda)
    from gpuctl.checks.questions.host_answer import SUBJECTS
    from gpuctl.checks.questions.host_recommendation import host_recommendation
    from gpuctl.compat.answer.recommendation import Advice
    from gpuctl.facts.gpu.keeper import Keeper
    from gpuctl.facts.machine.system import System

    facts = look(snapshot, (System, Keeper) if driver and gpus else SUBJECTS)
    found = host_recommendation(cuda, facts, driver, gpus)
    if json:
        from gpuctl.render.views.recommend import recommendation_json

        typer.echo(recommendation_json(found))
    else:
        from gpuctl.render.views.recommend import recommendation_text

        recommendation_text(found).show()
    codes = {Advice.NONE: ExitCode.PROBLEM, Advice.UNKNOWN: ExitCode.UNDETERMINED}
    raise typer.Exit(codes.get(found.answer, ExitCode.GOOD))
