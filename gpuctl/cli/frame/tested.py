"""What is to run where a GPU container, or CUDA, is tested: the same on this host and on many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.options import EngineName, seconds_option, text_option
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from gpuctl.smoke.request import GpuRequest
    from gpuctl.smoke.result import SmokeWish


@dataclass(frozen=True)
class Tested:
    """What was typed about what is to run, by what, and for how long."""

    gpus: Annotated[str, typer.Option("--gpus", metavar="all|N|device=…", help="The GPUs to ask for.")] = "all"
    image: Annotated[
        str | None,
        text_option("--image", metavar="NAME", help="The image, instead of an nvidia/cuda one."),
    ] = None
    runtime: Annotated[
        str | None,
        text_option("--runtime", metavar="NAME", help="Ask by this runtime instead of --gpus."),
    ] = None
    engine: EngineName = None
    timeout: Annotated[float, seconds_option("--timeout", help="For the container to end.")] = 60
    pull_timeout: Annotated[float, seconds_option("--pull-timeout", help="For the image to come.")] = 900
    deep: Annotated[bool, typer.Option("--deep", help="Also test CUDA, with memory and a kernel on each GPU.")] = False
    host: Annotated[bool, typer.Option("--host", help="Test as --deep, on this host and without a container.")] = False

    @property
    def words(self) -> tuple[str, ...]:
        """The same as options of `gpuctl smoke`, those left out that say what holds without them."""
        usual = Tested()
        valued = ("gpus", "image", "runtime", "engine", "timeout", "pull_timeout")
        told = [(f"--{name.replace('_', '-')}", getattr(self, name)) for name in valued if _differ(self, usual, name)]
        flags = [f"--{name}" for name in ("deep", "host") if _differ(self, usual, name)]
        return (*(word for name, value in told for word in (name, _text(value))), *flags)


def _differ(one: Tested, other: Tested, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def wish_of(tested: Tested, dry_run: bool) -> SmokeWish:
    """Returns what was asked for. Raises BadParameter where its parts do not go together."""
    from gpuctl.smoke.result import SmokeWish

    request = _request(tested.gpus)
    if tested.host and (tested.image or tested.runtime or tested.engine or tested.gpus != "all"):
        words = "--host runs no container and tests all GPUs: leave --image, --runtime, --engine and --gpus out"
        raise typer.BadParameter(words)
    if tested.runtime and tested.engine in ("podman", "crio"):
        raise typer.BadParameter("--runtime goes with Docker and containerd", param_hint="--runtime")
    deep = tested.deep or tested.host
    return SmokeWish(
        request, tested.image, tested.runtime, tested.timeout, tested.pull_timeout, dry_run, deep, tested.engine
    )


def _request(text: str) -> GpuRequest:
    from gpuctl.smoke.request import parse_gpus

    try:
        return parse_gpus(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--gpus") from None
