"""`gpuctl dockerfile new`: a good Dockerfile for hosts with GPUs, an application, an old image."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.described import described_or_here
from gpuctl.cli.frame.images import need_elftools, old_image
from gpuctl.cli.frame.options import DriverVersion, From, GpuNames, Hosts, Json, Offline, filled
from gpuctl.cli.frame.snapshots import host_at
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.compat.ask.question import Machine
    from gpuctl.dockerfile.app.scan import Application
    from gpuctl.dockerfile.base import PackageOf
    from gpuctl.dockerfile.framework import FrameworkWish
    from gpuctl.dockerfile.new import DockerfileWish


class FlavourName(str, Enum):
    """The flavours of nvidia/cuda."""

    BASE = "base"
    RUNTIME = "runtime"
    CUDNN = "cudnn-runtime"
    DEVEL = "devel"


class Processor(str, Enum):
    """Processors, as Docker calls them."""

    AMD64 = "amd64"
    ARM64 = "arm64"


_OF_DOCKER = {Processor.AMD64: "x86_64", Processor.ARM64: "aarch64"}


def new(
    app: Annotated[
        str | None,
        typer.Option("--app", parser=filled, metavar="DIR", help="The application's folder.", show_default=False),
    ] = None,
    from_image: Annotated[
        str | None,
        typer.Option("--from-image", metavar="OLD", help="An image to be taken over from.", show_default=False),
    ] = None,
    framework: Annotated[
        str | None,
        typer.Option("--framework", metavar="NAME", help="torch, torch==2.4.0+cu121: to be there.", show_default=False),
    ] = None,
    hosts: Hosts = None,
    driver: DriverVersion = None,
    gpu: GpuNames = None,
    snapshot: From = None,
    architecture: Annotated[
        Processor | None,
        typer.Option("--arch", help="The hosts' processor, instead of this host's.", show_default=False),
    ] = None,
    cuda: Annotated[
        str | None, typer.Option("--cuda", metavar="X.Y", help="Only this CUDA version.", show_default=False)
    ] = None,
    os: Annotated[
        str | None,
        typer.Option("--os", metavar="NAME", help="Only systems whose name begins so.", show_default=False),
    ] = None,
    flavour: Annotated[
        FlavourName | None,
        typer.Option("--flavour", help="This flavour, whatever the application needs.", show_default=False),
    ] = None,
    offline: Offline = False,
    output: Annotated[
        str, typer.Option("-o", "--output", parser=filled, metavar="FILE", help="Where to write it.")
    ] = "-",
    json: Json = False,
) -> None:
    """Write a Dockerfile on the newest nvidia/cuda tag that all hosts run, with what an application needs."""
    from gpuctl.compat.answer.tags import Wanted, list_images
    from gpuctl.compat.ask.question import Machine
    from gpuctl.dockerfile.base import NoBase
    from gpuctl.dockerfile.new import DockerfileWish, new_dockerfile, processor_of
    from gpuctl.render.draw.progress import working
    from gpuctl.render.draw.text import say

    wanted = Wanted(cuda, os=os)
    try:
        list_images(wanted, Machine())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    asked = _framework(framework) if framework is not None else None
    application = _application(app) if app is not None else None
    machines = _machines(hosts, driver, gpu or [], snapshot)
    old = old_image(from_image, offline, "--from-image") if from_image is not None else None
    described = hosts is not None or bool(driver and gpu)
    told = _OF_DOCKER[architecture] if architecture else None
    machine = told or (processor_of(application, old) if described else _processor_here(snapshot))
    wish = DockerfileWish(machines, machine, wanted, flavour.value if flavour else None, application, old, asked)
    try:
        with working("Choosing the base"):
            made = new_dockerfile(wish, _packages(wish))
    except NoBase as why:
        say(str(why))
        raise typer.Exit(ExitCode.PROBLEM) from None
    from gpuctl.host.write.output import is_stdout
    from gpuctl.render.views.dockerfile_new import new_json, new_text

    if not json or not is_stdout(output):
        _write(output, made.text)
    if json:
        typer.echo(new_json(made, wish))
    else:
        from sys import stderr

        new_text(made, output).show(stderr)
    raise typer.Exit(ExitCode.PROBLEM if made.problems else ExitCode.GOOD)


def _framework(text: str) -> FrameworkWish:
    from gpuctl.dockerfile.framework import framework_wish
    from gpuctl.render.draw.text import plain

    try:
        return framework_wish(text)
    except ValueError as why:
        raise typer.BadParameter(plain(str(why)), param_hint="--framework") from None


def _application(folder: str) -> Application:
    from gpuctl.dockerfile.app.scan import UnreadableApplication, read_application
    from gpuctl.host.write.files import FileProblem
    from gpuctl.render.draw.progress import working
    from gpuctl.render.draw.text import plain

    need_elftools("--app")
    try:
        with working("Looking through the application"):
            return read_application(folder)
    except (FileProblem, UnreadableApplication) as problem:
        raise typer.BadParameter(plain(str(problem)), param_hint="--app") from None


def _machines(
    hosts: typer.FileBinaryRead | None, driver: str | None, gpu: list[str], snapshot: str | None
) -> tuple[Machine, ...]:
    from gpuctl.compat.answer.fleet_rows import NoHosts, lines_of, machines_of
    from gpuctl.compat.knowledge.jetpack import without_driver
    from gpuctl.render.draw.text import say

    if hosts is None:
        machine = described_or_here(driver, gpu, snapshot)
        if machine.driver is None:
            say(f"{without_driver(gpu.compute_capability for gpu in machine.gpus)} --hosts takes several.")
            raise typer.Exit(ExitCode.UNDETERMINED)
        return (machine,)
    if driver or gpu or snapshot:
        raise typer.BadParameter("--hosts describes the hosts: --driver, --gpu and --from do not go with it")
    try:
        machines = machines_of(lines_of(hosts))
    except NoHosts as error:
        raise typer.BadParameter(f"{hosts.name}: {error}", param_hint="--hosts") from None
    if any(machine.driver is None for machine in machines):
        raise typer.BadParameter(f"{hosts.name}: a host has no driver", param_hint="--hosts")
    return machines


def _processor_here(snapshot: str | None) -> str:
    from gpuctl.facts.machine.system import probe_architecture

    return probe_architecture(host_at(snapshot)).value or "x86_64"


def _packages(wish: DockerfileWish) -> PackageOf:
    """What tells packages: the table, and of this host's own system the index on its disk."""
    from gpuctl.dockerfile.app.host_index import package_index

    wants = wish.wants[1]
    return package_index((*wants.libraries, *wants.programs) if wants else (), host_at(None))


def _write(path: str, text: str) -> None:
    from gpuctl.dockerfile.text import is_ours
    from gpuctl.host.write.files import read_named
    from gpuctl.host.write.output import FileProblem, NoPlaceForFile, replaces, write_whole
    from gpuctl.render.draw.text import plain, say

    try:
        if replaces(path) and not is_ours(read_named(path)):
            raise NoPlaceForFile(f"{path} is there, and was not written by this command. Name another file.")
        write_whole(path, text.encode("utf-8", "replace"))
    except NoPlaceForFile as problem:
        raise typer.BadParameter(plain(str(problem)), param_hint="--output") from None
    except FileProblem as problem:
        say(str(problem))
        raise typer.Exit(ExitCode.PROBLEM) from None
