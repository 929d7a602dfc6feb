"""`gpuctl smoke`: prove that a GPU container runs here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.options import EngineName, From, Json, seconds, text_option
from gpuctl.cli.frame.snapshots import host_at
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.smoke.request import GpuRequest
    from gpuctl.smoke.result import SmokeResult


def command(
    gpus: Annotated[str, typer.Option("--gpus", metavar="all|N|device=…", help="The GPUs to ask for.")] = "all",
    image: Annotated[
        str | None,
        text_option("--image", metavar="NAME", help="The image, instead of an nvidia/cuda one."),
    ] = None,
    runtime: Annotated[
        str | None,
        text_option("--runtime", metavar="NAME", help="Ask by this runtime instead of --gpus."),
    ] = None,
    engine: EngineName = None,
    timeout: Annotated[
        float, typer.Option("--timeout", parser=seconds, metavar="SECONDS", help="For the container to end.")
    ] = 60,
    pull_timeout: Annotated[
        float, typer.Option("--pull-timeout", parser=seconds, metavar="SECONDS", help="For the image to come.")
    ] = 900,
    deep: Annotated[bool, typer.Option("--deep", help="Also test CUDA, with memory and a kernel on each GPU.")] = False,
    host: Annotated[bool, typer.Option("--host", help="Test as --deep, on this host and without a container.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the equivalent command.")] = False,
    snapshot: From = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show the command and all that was seen.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="`could not tell` exits with 1.")] = False,
) -> None:
    """Run nvidia-smi in a container and compare the driver and the GPUs that it sees with this host's."""
    request = _request(gpus)
    if host and (image or runtime or engine or gpus != "all"):
        words = "--host runs no container and tests all GPUs: leave --image, --runtime, --engine and --gpus out"
        raise typer.BadParameter(words)
    if runtime and engine in ("podman", "crio"):
        raise typer.BadParameter("--runtime goes with Docker and containerd", param_hint="--runtime")
    if snapshot is not None and not dry_run:
        raise typer.BadParameter("nothing runs in a snapshot: add --dry-run", param_hint="--from")
    from gpuctl.render.draw.progress import working
    from gpuctl.render.views.smoke import result_text, smoke_json, stages
    from gpuctl.smoke.result import SmokeWish
    from gpuctl.smoke.run import look, smoke, smoke_on_host

    wish = SmokeWish(request, image, runtime, timeout, pull_timeout, dry_run, deep or host, engine)
    machine = host_at(snapshot)
    with working("Looking at this host"):
        facts = look(machine, wake=not (dry_run or host))
    with stages() as tell:
        if host:
            tell("Testing CUDA on this host", None)
        result = smoke_on_host(wish, facts, machine) if host else smoke(wish, facts, tell)
    if json:
        typer.echo(smoke_json(result))
    else:
        result_text(result, verbose).show()
    if wish.deep and dry_run and result.cause is None:
        _tell_program(snapshot)
    raise typer.Exit(exit_code(result, strict))


def _tell_program(snapshot: str | None) -> None:
    """Says where the command of a dry run has no program to test CUDA with."""
    from gpuctl.render.draw.text import say
    from gpuctl.smoke.deep import is_kept

    if not is_kept():
        say("The program in this command is unpacked while gpuctl runs, and gone by now: leave --dry-run out.")
    elif snapshot is not None:
        say("The program in this command lies on this host, as a part of gpuctl: the other host needs it there too.")


def exit_code(result: SmokeResult, strict: bool) -> ExitCode:
    """Returns the exit code that a result stands for."""
    if result.passed or (result.dry_run and result.cause is None):
        return ExitCode.GOOD
    return ExitCode.UNDETERMINED if result.passed is None and not strict else ExitCode.PROBLEM


def _request(text: str) -> GpuRequest:
    from gpuctl.smoke.request import parse_gpus

    try:
        return parse_gpus(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--gpus") from None
