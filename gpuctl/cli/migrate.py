"""`gpuctl migrate`: from drivers that are mapped into containers by hand to what engines do today."""

# Not `from __future__ import annotations`: Typer evaluates the text of every option then, twice.

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.options import Json, filled, read_once
from gpuctl.cli.frame.snapshots import host_at
from gpuctl.cli.frame.streams import nobody_writes
from gpuctl.migrate.compose.target import ComposeTarget
from gpuctl.migrate.migration import Target
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.migrate.files import FileMigration
    from gpuctl.migrate.migration import Migration
    from gpuctl.migrate.run_command import RunCommand

HELP = "Rewrite commands and files that map the driver into containers by hand."
To = Annotated[
    Target | None,
    typer.Option("--target", help="What it is for; without it, what this host's engine takes.", show_default=False),
]
Diff = Annotated[bool, typer.Option("--diff", help="Print what changes, as a diff.")]
Files = Annotated[list[str], typer.Argument(metavar="FILE [FILE]...", parser=filled, help="The files, - for stdin.")]
Write = Annotated[bool, typer.Option("--write", help="Write the files; what each was is kept beside it.")]


def run(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- COMMAND…|LINE|SCRIPT]",
            help="A docker run, as words behind -- or as one shell line, or a script, - for stdin.",
            show_default=False,
        ),
    ] = None,
    target: To = None,
    diff: Diff = False,
    write: Annotated[bool, typer.Option("--write", help="Write the script; what it was is kept beside it.")] = False,
    json: Json = False,
) -> None:
    """Print the modern form of `docker run` commands. Exit codes: 0 all done or nothing to do, 1 something is left."""
    from gpuctl.migrate.run import migrated, migrated_to_unit, run_commands
    from gpuctl.shell import NotShell

    if diff and json:
        raise typer.BadParameter("--diff and --json exclude each other: give one")
    name, text = _read(words or [])
    if write and name in (None, "-"):
        raise typer.BadParameter("a script is written: name it", param_hint="--write")
    if write and target is Target.QUADLET:
        raise typer.BadParameter("a unit is no script: write it where systemd looks, > NAME.container")
    try:
        if name is None:
            _check_typed(run_commands(text))
        done = migrated_to_unit(text) if target is Target.QUADLET else migrated(text, _targets(target))
    except NotShell as why:
        raise typer.BadParameter(f"{_called(name)}: {why}") from None
    if write and name:
        _write(name, done, diff, json)
    else:
        _show(done, name or "command", diff, json)
    raise typer.Exit(ExitCode.PROBLEM if done.left else ExitCode.GOOD)


def container(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Running containers.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every running container.")] = False,
    target: To = None,
    json: Json = False,
) -> None:
    """Show which running containers map the driver by hand, and their modern command. Exit codes: 0 none, 1 some."""
    from gpuctl.migrate.containers import audit
    from gpuctl.model import CannotTell
    from gpuctl.render.draw.progress import working
    from gpuctl.render.draw.text import say
    from gpuctl.render.views.migrate import audit_json, audit_text

    if bool(names) == everything:
        raise typer.BadParameter("name containers, or give --all", param_hint="NAME")
    if target is Target.QUADLET:
        raise typer.BadParameter("give its command to gpuctl migrate run for a unit", param_hint="--target")
    try:
        with working("Asking Docker for its containers"):
            found = audit(host_at(None), names or (), _targets(target))
    except CannotTell as why:
        say(f"Docker's containers could not be looked at: {why}.")
        raise typer.Exit(ExitCode.UNDETERMINED) from None
    if found.missing:
        raise typer.BadParameter(f"no container runs that is called {', '.join(found.missing)}", param_hint="NAME")
    if json:
        typer.echo(audit_json(found))
    else:
        audit_text(found).show()
    raise typer.Exit(ExitCode.PROBLEM if any(one.is_legacy for one in found.containers) else ExitCode.GOOD)


def compose(
    files: Files,
    target: Annotated[
        ComposeTarget | None,
        typer.Option(
            "--target",
            metavar="NAME",
            help="Who reads the files, if not this host's: compose, compose-2.30, compose-cdi, compose-runtime, swarm.",
            show_default=False,
        ),
    ] = None,
    resource: Annotated[
        str | None,
        typer.Option(
            "--generic-resource",
            metavar="KIND",
            parser=filled,
            help="What the nodes of a swarm call their GPUs: services ask for so many of these.",
            show_default=False,
        ),
    ] = None,
    diff: Diff = False,
    write: Write = False,
    json: Json = False,
) -> None:
    """Rewrite Compose files to requests for GPUs; of several files each overrides those before it."""
    from gpuctl.migrate.files import compose_files

    if resource and target not in (None, ComposeTarget.SWARM):
        raise typer.BadParameter("generic resources are a swarm's: --target swarm", param_hint="--generic-resource")
    _rewrite("compose", lambda: compose_files(files, target, _compose_here, resource or ""), files, diff, write, json)


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


commands = ("run", "container", "compose", "k8s")


def _read(words: list[str]) -> tuple[str | None, str]:
    """The name of the script, None for a command that was typed, and the text of either."""
    from gpuctl.migrate.run import decoded, line_of
    from gpuctl.shell import NotShell

    if len(words) > 1 or (words and any(letter.isspace() for letter in words[0])):
        return None, line_of(words) if len(words) > 1 else words[0]
    if words == [""] or (not words and nobody_writes()):
        raise typer.BadParameter("nothing to rewrite: give a command behind --, a script, or pipe one into it")
    from gpuctl.host.write.files import FileProblem, read_named

    name = words[0] if words else "-"
    try:
        return name, decoded(read_named(name))
    except FileProblem as problem:
        raise refused(str(problem)) from None
    except NotShell as why:
        raise typer.BadParameter(f"{_called(name)}: {why}") from None


def _check_typed(runs: "tuple[RunCommand, ...]") -> None:
    if not runs:
        raise typer.BadParameter("this starts no container: give a docker run, or create, of docker or podman")
    cut_off = next((run for run in runs if run.is_cut_off), None)
    if cut_off:
        raise typer.BadParameter(f"this starts no container: {cut_off.doubt}")


def _called(name: str | None) -> str:
    return "standard input" if name == "-" else name or "the command"


def _targets(chosen: Target | None) -> Callable[[str], Target]:
    """For what a command of an engine is rewritten: Podman's for Podman, where nothing else was asked for."""
    from functools import cache

    @cache
    def of_docker() -> Target:
        from gpuctl.migrate.here import target_here
        from gpuctl.render.draw.progress import working

        with working("Asking which engine is here"):
            return target_here(host_at(None))

    return lambda engine: chosen or (Target.PODMAN if engine == "podman" else of_docker())


def _compose_here() -> ComposeTarget:
    from gpuctl.migrate.here import compose_target_here
    from gpuctl.render.draw.progress import working

    with working("Asking which Compose is here"):
        return compose_target_here(host_at(None))


def _show(done: "Migration", name: str, diff: bool, json: bool) -> None:
    from gpuctl.render.views.migrate import code_text, diff_of, migration_json, reasons_text

    if json:
        typer.echo(migration_json("migrate-run", done))
        return
    if diff:
        from gpuctl.render.views.changes import diff_text

        diff_text(diff_of(name, done)).show()
    elif sys.stdout.isatty():
        code_text(done.after).show()
    else:  # byte for byte
        sys.stdout.buffer.write(done.after.encode())
        sys.stdout.buffer.flush()
    if not done.after.endswith("\n") and not diff:
        typer.echo()
        sys.stdout.flush()
    reasons_text(done).show(sys.stderr)


def _write(path: str, done: "Migration", diff: bool, json: bool) -> None:
    from gpuctl.host.write.files import FileProblem
    from gpuctl.migrate.files import script_file, written
    from gpuctl.render.views.migrate import migration_json
    from gpuctl.render.views.migrate_files import show_files

    try:
        (file,) = written((script_file(path, done),))
    except FileProblem as error:
        raise refused(str(error), ExitCode.PROBLEM) from None
    if json:
        typer.echo(migration_json("migrate-run", done, file.backup))
    else:
        show_files((file,), diff, written=True)


def _rewrite(
    name: str, migrate: "Callable[[], tuple[FileMigration, ...]]", paths: list[str], diff: bool, write: bool, json: bool
) -> None:
    from gpuctl.engines.yaml.places import NotAccepted
    from gpuctl.host.write.files import FileProblem
    from gpuctl.migrate.files import written
    from gpuctl.render.views.migrate_files import files_json, show_files

    if diff and json:
        raise typer.BadParameter("--diff and --json exclude each other: give one")
    if write and "-" in paths:
        raise typer.BadParameter("standard input cannot be written: name a file", param_hint="--write")
    read_once(*paths)
    if len(set(paths)) < len(paths):
        raise typer.BadParameter("a file is named twice", param_hint="FILE")
    try:
        done = migrate()
    except NotAccepted as error:
        raise refused(error.at(paths[0])) from None
    except FileProblem as error:
        raise refused(str(error)) from None
    try:
        done = written(done) if write else done
    except FileProblem as error:
        raise refused(str(error), ExitCode.PROBLEM) from None
    if json:
        typer.echo(files_json(name, done))
    else:
        show_files(done, diff, write)
    raise typer.Exit(ExitCode.PROBLEM if any(one.migration.left for one in done) else ExitCode.GOOD)
