"""`gpuctl image`: which nvidia/cuda tags run here, which flavour to take, and what may fit better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gpuctl.cli.frame.described import described_or_here
from gpuctl.cli.frame.options import DriverVersion, From, GpuNames, Json, Offline
from gpuctl.model import ExitCode, Verdict

if TYPE_CHECKING:
    from gpuctl.compat.answer.tags import ImageList


def command(
    ctx: typer.Context,
    cuda: Annotated[
        str | None, typer.Option("--cuda", metavar="X.Y", help="Only this CUDA version.", show_default=False)
    ] = None,
    flavour: Annotated[
        Literal["base", "runtime", "devel"] | None,
        typer.Option("--flavour", help="Only this flavour.", show_default=False),
    ] = None,
    cudnn: Annotated[bool, typer.Option("--cudnn", help="Only images with cuDNN.")] = False,
    os: Annotated[
        str | None,
        typer.Option("--os", metavar="NAME", help="Only systems whose name begins so.", show_default=False),
    ] = None,
    driver: DriverVersion = None,
    gpu: GpuNames = None,
    everything: Annotated[bool, typer.Option("--all", help="Every tag, not one of each kind.")] = False,
    snapshot: From = None,
    json: Json = False,
) -> None:
    """List the nvidia/cuda tags that run on this host, newest first, and say how to choose among them."""
    if ctx.invoked_subcommand:
        return
    from gpuctl.compat.answer.tags import Wanted, list_images
    from gpuctl.compat.ask.question import Machine
    from gpuctl.compat.judge.rulings import resolve_cuda

    wanted = Wanted(cuda, flavour, cudnn, os)
    try:
        list_images(wanted, Machine())
        unknown = resolve_cuda(cuda).unknown if cuda is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    machine = described_or_here(driver, gpu or [], snapshot)
    found = list_images(wanted, machine, everything)
    if json:
        from gpuctl.render.views.image import image_json

        typer.echo(image_json(found, wanted, machine, unknown))
    elif unknown:
        from gpuctl.render.draw.text import Styled

        Styled(f"CUDA {cuda} is not in the table: {unknown}.\n").show()
    else:
        from gpuctl.render.views.image import image_text

        image_text(found, wanted, machine).show()
    raise typer.Exit(exit_code(found, unknown))


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The image that the application runs in now.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The one that it is to run in, or its base.")],
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Say what of an old image a new one lacks: variables, libraries, how it starts. Exit codes: 0 nothing, 1 some."""
    from gpuctl.cli.frame.images import old_image
    from gpuctl.dockerfile.difference import compare_images

    before, after = (old_image(reference, offline, name) for reference, name in ((old, "OLD"), (new, "NEW")))
    compared = compare_images(before, after)
    from gpuctl.render.views.image_diff import image_diff_json, image_diff_text

    if json:
        typer.echo(image_diff_json(compared, before, after))
    else:
        image_diff_text(compared, before, after).show()
    if compared.differences:
        raise typer.Exit(ExitCode.PROBLEM)
    raise typer.Exit(ExitCode.UNDETERMINED if compared.unknown else ExitCode.GOOD)


def exit_code(found: ImageList, unknown: str | None) -> ExitCode:
    """Returns the exit code that a list stands for: good where some tag runs."""
    if unknown or any(image.verdict in (None, Verdict.UNKNOWN) for image in found.images):
        return ExitCode.UNDETERMINED
    return ExitCode.GOOD if found.images else ExitCode.PROBLEM


commands = ("diff",)
