"""`gpuctl check`: will this CUDA run on this host, or on one that is described?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.options import DriverVersion, GpuNames, Json
from gpuctl.model import ExitCode, Verdict

if TYPE_CHECKING:
    from gpuctl.compat.rules import Answer

CODES = {
    Verdict.COMPATIBLE: ExitCode.GOOD,
    Verdict.LIMITED: ExitCode.GOOD,
    Verdict.NEEDS_PACKAGE: ExitCode.PROBLEM,
    Verdict.INCOMPATIBLE: ExitCode.PROBLEM,
    Verdict.UNKNOWN: ExitCode.UNDETERMINED,
}


def command(
    cuda: Annotated[str, typer.Option("--cuda", metavar="X.Y", help="The CUDA version to run.", show_default=False)],
    driver: DriverVersion = None,
    gpu: GpuNames = None,
    json: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="`limited` and `unknown` exit with 1.")] = False,
) -> None:
    """Say whether a container built for a CUDA version runs on a driver and its GPUs, why, and what would change it."""
    answer = _answer(cuda, driver, gpu or [])
    if json:
        from gpuctl.render.json import check_json

        typer.echo(check_json(answer))
    else:
        from gpuctl.render.check import answer_text

        answer_text(answer).show()
    doubtful = answer.verdict in (Verdict.LIMITED, Verdict.UNKNOWN)
    raise typer.Exit(ExitCode.PROBLEM if strict and doubtful else CODES[answer.verdict])


def _answer(cuda: str, driver: str | None, names: list[str]) -> Answer:
    from gpuctl.compat.gpus import find_gpu
    from gpuctl.compat.rules import check_cuda
    from gpuctl.compat.versions import parse_cuda, parse_driver

    try:
        parse_cuda(cuda)
        described = [find_gpu(name) for name in names]
        if driver is not None:
            parse_driver(driver)
            if described:
                return check_cuda(cuda, driver, described)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    from gpuctl.checks.host_answer import SUBJECTS, host_answer
    from gpuctl.facts.gather import gather
    from gpuctl.host.local import LocalHost
    from gpuctl.render.progress import working

    with working("Looking at this host's GPUs and driver"):
        facts = gather(LocalHost(), SUBJECTS)
    return host_answer(cuda, facts, driver, described)
