"""`gpuctl migrate`: commands and files that map a driver into containers by hand, rewritten."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.options import Json, filled
from gpuctl.migrate.compose.target import ComposeTarget
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.migrate.files import FileMigration

HELP = "Rewrite what maps a driver into containers by hand, so that it runs on any host."

Files = Annotated[list[str], typer.Argument(metavar="FILE...", parser=filled, help="The files, - for stdin.")]
Diff = Annotated[bool, typer.Option("--diff", help="Print what changes as a diff, not the whole files.")]
Write = Annotated[bool, typer.Option("--write", help="Write the files; what each was is kept beside it.")]


def compose(
    files: Files,
    target: Annotated[
        ComposeTarget, typer.Option("--target", help="Which Compose reads the files, and how it asks for GPUs.")
    ] = ComposeTarget.COMPOSE,
    diff: Diff = False,
    write: Write = False,
    json: Json = False,
) -> None:
    """Rewrite Compose files to requests for GPUs; of several files each overrides those before it."""
    from gpuctl.migrate.files import compose_files

    _rewrite("compose", lambda: compose_files(files, target), files, diff, write, json)


def k8s(
    files: Files,
    runtime_class: Annotated[
        str | None,
        typer.Option(
            "--runtime-class",
            metavar="NAME",
            parser=filled,
            help="The runtimeClassName of pods that ask for GPUs and have none.",
            show_default=False,
        ),
    ] = None,
    diff: Diff = False,
    write: Write = False,
    json: Json = False,
) -> None:
    """Rewrite Kubernetes manifests to whole limits of nvidia.com/gpu."""
    from gpuctl.migrate.files import k8s_files

    _rewrite("k8s", lambda: k8s_files(files, runtime_class), files, diff, write, json)


def _rewrite(
    name: str, migrate: Callable[[], tuple[FileMigration, ...]], paths: list[str], diff: bool, write: bool, json: bool
) -> None:
    from gpuctl.engines.yaml.places import NotAccepted
    from gpuctl.host.write.files import FileProblem
    from gpuctl.migrate.files import written
    from gpuctl.render.views.migrate_files import files_json, show_files

    if diff and json:
        raise typer.BadParameter("--diff and --json exclude each other: give one")
    if write and "-" in paths:
        raise typer.BadParameter("standard input cannot be written: name a file", param_hint="--write")
    if len(set(paths)) < len(paths):
        raise typer.BadParameter("a file is named twice", param_hint="FILE...")
    try:
        done = migrate()
        if write:
            done = written(done)
    except NotAccepted as error:
        raise _refused(error.at(paths[0])) from None
    except FileProblem as error:
        raise _refused(str(error)) from None
    if json:
        typer.echo(files_json(name, done))
    else:
        show_files(done, diff, write)
    raise typer.Exit(ExitCode.PROBLEM if any(one.migration.left for one in done) else ExitCode.GOOD)


def _refused(sentence: str) -> typer.Exit:
    from gpuctl.render.draw.text import plain

    typer.echo(plain(f"Error: {sentence}"), err=True)
    return typer.Exit(ExitCode.USAGE)


commands = (compose, k8s)
