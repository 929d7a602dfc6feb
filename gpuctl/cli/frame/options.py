"""Options that several commands share: the same spelling, the same help."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

import typer
from typer._click.types import File

from gpuctl.bounds import LONGEST_WAIT
from gpuctl.cli.frame.endings import refused
from gpuctl.model import ENGINES


class ReadFile(File):
    """A file that an option names, opened to be read; - is stdin. One that cannot be is told as everywhere else."""

    def __init__(self) -> None:
        super().__init__("rb")

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Returns the opened file. Ends the run where it cannot be, or is none: a FIFO would hold it for good."""
        from gpuctl.host.write.files import check_named

        try:
            check_named(value)
        except OSError as error:
            self.fail(f"{value!r}: {error.strerror}")
        return super().convert(value, param, ctx)

    def fail(self, message: str, *_: object, **__: object) -> NoReturn:
        """Ends the run. `message` is of the form 'PATH': REASON."""
        path, why = message.rsplit(": ", 1)
        raise refused(f"cannot read {path[1:-1]}: {why}.")


_STDIN = ("-", "<stdin>", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")


def read_once(*names: str) -> None:
    """Raises BadParameter where standard input is named a second time: whoever reads it then finds nothing."""
    if sum(name in _STDIN for name in names) > 1:
        raise typer.BadParameter("standard input is named twice, and can be read once")


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def driver_typed(driver: str | None) -> str | None:
    """Returns a driver as NVIDIA numbers it, None for none. Raises BadParameter for what names none of NVIDIA's."""
    from gpuctl.compat.knowledge.windows import driver_told

    try:
        return driver_told(driver) if driver else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


DriverVersion = Annotated[
    str | None,
    typer.Option(
        "--driver",
        metavar="VERSION",
        help="A driver or its branch (535), instead of this host's.",
        callback=driver_typed,
        show_default=False,
    ),
]
GpuNames = Annotated[
    list[str] | None,
    typer.Option("--gpu", metavar="NAME|CC", help="A GPU, instead of this host's; repeatable.", show_default=False),
]
CudaVersions = Annotated[
    list[str] | None,
    typer.Option("--cuda", metavar="X.Y", help="A CUDA version to run; repeatable.", show_default=False),
]
ImageName = Annotated[
    str | None,
    typer.Option("--image", metavar="NAME", help="The image to run: what it says of itself.", show_default=False),
]
Frameworks = Annotated[
    list[str] | None,
    typer.Option("--framework", metavar="NAME==X.Y", help="pytorch==2.4.0+cu121; repeatable.", show_default=False),
]
Hosts = Annotated[
    typer.FileBinaryRead | None,
    typer.Option(
        "--hosts",
        click_type=ReadFile(),
        metavar="FILE",
        help="Many hosts: CSV or JSON lines, - for stdin.",
        show_default=False,
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Ask no registry about the image.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the diff and the steps; change nothing.")]


def seconds(value: str | float) -> float:
    """Returns a time that was typed. Raises BadParameter for what is none, or not from 0.1 s to LONGEST_WAIT."""
    try:
        time = float(value)
    except ValueError:
        raise typer.BadParameter(f"{value!r} is no number of seconds") from None
    if not 0.1 <= time <= LONGEST_WAIT:
        raise typer.BadParameter(f"{value} is no number of seconds from 0.1 to {LONGEST_WAIT:g}")
    return time


def filled(value: str) -> str:
    """Returns a text that was typed. Raises BadParameter for an empty one, as an unset variable of a script gives."""
    if not value:
        raise typer.BadParameter("it is empty: leave the option out for the default")
    return value


def text_option(*names: str, metavar: str, help: str) -> Any:
    """Returns an option that takes a text, which is not empty."""
    return typer.Option(*names, parser=filled, metavar=metavar, help=help, show_default=False)


def seconds_option(*names: str, help: str, usual: float | None = None) -> Any:
    """Returns an option that takes a time. `usual`: what is meant where it is left out, if its default is None."""
    shown = f"{usual:g}" if usual is not None else True
    return typer.Option(*names, parser=seconds, metavar="SECONDS", help=help, show_default=shown)


From = Annotated[
    str | None,
    text_option("--from", metavar="FILE", help="A snapshot of `gpuctl collect` instead of this host, - for stdin."),
]
TakeUp = Annotated[
    float,
    seconds_option("--timeout", help="Seconds for Docker to take it up."),
]


def _engine(value: str) -> str:
    if value not in ENGINES:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(ENGINES)}")
    return value


EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        parser=_engine,
        metavar="|".join(ENGINES),
        help="The engine, instead of the one found.",
        show_default=False,
    ),
]
