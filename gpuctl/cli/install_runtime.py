"""`gpuctl install-runtime`: register the NVIDIA runtime with an engine of this host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.options import DryRun, EngineName, Json, TakeUp, text_option

if TYPE_CHECKING:
    from gpuctl.provision.bundle.use import GivenBundle
    from gpuctl.provision.result import Result, Wish

COMMAND = "install-runtime"


def command(
    engine: EngineName = None,
    set_default: Annotated[bool, typer.Option("--set-default", help="Make it the default runtime too.")] = False,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="The name to register.")] = "nvidia",
    runtime_path: Annotated[
        str | None,
        text_option("--runtime-path", metavar="PATH", help="The program, instead of nvidia-container-runtime on PATH."),
    ] = None,
    config: Annotated[
        str | None,
        text_option("--config", metavar="FILE", help="The file to edit, instead of the one that the engine reads."),
    ] = None,
    cdi: Annotated[
        bool,
        typer.Option("--cdi", help="Write a CDI specification too, and switch CDI on where the engine has a switch."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an entry of that name that differs.")] = False,
    no_reload: Annotated[bool, typer.Option("--no-reload", help="Only write the file; verify nothing.")] = False,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Restart the engine if it needs that. Says first what it stops."),
    ] = False,
    timeout: TakeUp = 10,
    install: Annotated[
        bool, typer.Option("--install", help="Install NVIDIA's toolkit first, if it is not there.")
    ] = False,
    version: Annotated[
        str | None,
        text_option(
            "--version", metavar="VERSION", help="With --install: this version of the toolkit, instead of the newest."
        ),
    ] = None,
    repo_url: Annotated[
        str | None,
        text_option("--repo-url", metavar="URL", help="With --install: a mirror of NVIDIA's repository."),
    ] = None,
    key_file: Annotated[
        str | None,
        text_option(
            "--key-file", metavar="FILE", help="The key that signs the repository of --install, or the bundle."
        ),
    ] = None,
    from_bundle: Annotated[
        str | None,
        text_option(
            "--from-bundle",
            metavar="FILE",
            help="Install the toolkit from a file of `gpuctl bundle`, without a network.",
        ),
    ] = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Register the NVIDIA runtime with Docker, containerd, CRI-O or Podman, and verify. No container is stopped."""
    from gpuctl.host.look.local import LocalHost
    from gpuctl.provision.install import install_runtime
    from gpuctl.provision.packages.packages import PackageWish
    from gpuctl.provision.result import Wish
    from gpuctl.render.draw.progress import taking_steps
    from gpuctl.render.views.changes import show_change

    if from_bundle and (install or version or repo_url):
        raise typer.BadParameter(
            "it has one version, from one repository: leave out --install, --version and --repo-url",
            param_hint="--from-bundle",
        )
    if not (install or from_bundle) and (version or repo_url or key_file):
        raise typer.BadParameter("--version, --repo-url and --key-file go with --install", param_hint="--install")
    if no_reload and restart:
        raise typer.BadParameter("--no-reload and --restart exclude each other", param_hint="--restart")
    wish = Wish(
        engine=engine,
        name=_checked(name),
        runtime_path=runtime_path,
        default=set_default,
        cdi=cdi,
        force=force,
        config=config,
        reload=not no_reload,
        restart=restart,
        dry_run=dry_run,
        deadline=timeout,
    )
    bundle = _bundle(from_bundle) if from_bundle else None
    packages = PackageWish(version, repo_url, key_file, bundle) if install or bundle else None
    with taking_steps("Looking at this host") as say:
        result = install_runtime(LocalHost(), wish, packages, say)
    show_change(COMMAND, result, json, then=_proof(result, wish))
    raise typer.Exit(result.code)


def _checked(name: str) -> str:
    from gpuctl.provision.install import check_name

    try:
        return check_name(name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--name") from None


def _bundle(path: str) -> GivenBundle:
    from gpuctl.host.write.files import FileProblem
    from gpuctl.provision.bundle.archive import BundleProblem
    from gpuctl.provision.bundle.use import read_bundle
    from gpuctl.render.draw.text import plain

    try:
        return read_bundle(path)
    except FileProblem as problem:
        raise refused(str(problem)) from None
    except BundleProblem as problem:
        raise typer.BadParameter(plain(f"{path} is not used: {problem}"), param_hint="--from-bundle") from None


def _proof(result: Result, wish: Wish) -> str:
    """What shows that it works, now. Where Docker's --gpus waits for a restart, its runtime does not."""
    from gpuctl.checks.engine_here import POD, proof

    is_docker = result.engine == "docker"
    if not result.engine or (result.restart_needed and not is_docker):
        return ""
    by_name = is_docker and (result.restart_needed or wish.name != "nvidia")
    return str(proof(result.engine, wish.name if by_name else "") or POD)
