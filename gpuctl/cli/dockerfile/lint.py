"""`gpuctl dockerfile lint`: what is wrong with a Dockerfile for GPUs."""

# Not `from __future__ import annotations`: Typer evaluates the text of every option then, twice.

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gpuctl.cli.frame.endings import refused
from gpuctl.cli.frame.options import Json, ReadFile, driver_typed, read_once
from gpuctl.model import ExitCode

if TYPE_CHECKING:
    from gpuctl.dockerfile.lint import Linted
    from gpuctl.dockerfile.rules.engine import WhyNot


def lint(
    files: Annotated[list[str], typer.Argument(metavar="FILE [FILE]...", help="Dockerfiles, - for stdin.")],
    fix: Annotated[bool, typer.Option("--fix", help="Write what can be mended into the files.")] = False,
    build_arg: Annotated[
        list[str] | None,
        typer.Option(
            "--build-arg", metavar="NAME=VALUE", help="As docker build has it; repeatable.", show_default=False
        ),
    ] = None,
    driver: Annotated[
        str | None,
        typer.Option("--driver", metavar="VERSION", help="A driver that is to run the image.", show_default=False),
    ] = None,
    gpu: Annotated[
        list[str] | None,
        typer.Option("--gpu", metavar="NAME|CC", help="A GPU that is to; repeatable.", show_default=False),
    ] = None,
    hosts: Annotated[
        typer.FileBinaryRead | None,
        typer.Option(
            "--hosts",
            click_type=ReadFile(),
            metavar="FILE",
            help="Hosts that are to: CSV or JSON lines, - for stdin.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    format: Annotated[
        Literal["text", "json", "sarif"] | None,
        typer.Option("--format", help="What to print, instead of text.", show_default=False),
    ] = None,
) -> None:
    """Say what keeps a Dockerfile's image from running on GPU hosts, where, why, and what to write instead."""
    if json and format not in (None, "json"):
        raise typer.BadParameter("--json and --format exclude each other: give one")
    if fix and "-" in files:
        raise typer.BadParameter("standard input cannot be mended in its place: name a file with --fix")
    read_once(*files, *([hosts.name] if hosts else []))
    given = _build_args(build_arg or [])
    linted = _linted(files, fix, given, _why_not(driver, gpu or [], hosts))
    _show(linted, "json" if json else format or "text")
    raise typer.Exit(ExitCode.PROBLEM if any(one.problem for one in linted) else ExitCode.GOOD)


def _build_args(typed: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in typed]
    wrong = next((name + equals for name, equals, _ in pairs if not name or not equals), None)
    if wrong is not None:
        raise typer.BadParameter(f"{wrong!r} is no NAME=VALUE", param_hint="--build-arg")
    return {name: value for name, _, value in pairs}


def _why_not(driver: str | None, names: list[str], hosts: typer.FileBinaryRead | None) -> "WhyNot | None":
    """Returns what judges by the hosts that are named; None where none is, which loads nothing of theirs."""
    if driver is None and not names and hosts is None:
        return None
    from gpuctl.cli.frame.described import described_gpus
    from gpuctl.compat.ask.question import Machine
    from gpuctl.dockerfile.hosts import NoHosts, of_fleet, of_machine

    driver = driver_typed(driver)
    gpus = described_gpus(driver, names)
    if hosts is None:
        return of_machine(Machine(driver, gpus))
    if driver or names:
        raise typer.BadParameter("--hosts describes the hosts: --driver and --gpu do not go with it")
    try:
        return of_fleet(hosts)
    except NoHosts as error:
        raise typer.BadParameter(f"{hosts.name}: {error}") from None


def _linted(files: list[str], fix: bool, given: dict[str, str], why_not: "WhyNot | None") -> "list[Linted]":
    """Returns what was found in each file, once all of them could be read. Ends the run where one could not."""
    from gpuctl.dockerfile.lint import lint, mended
    from gpuctl.dockerfile.source import BadDockerfile
    from gpuctl.host.write.files import FileProblem, read_named

    done, changed = [], {}
    for path in files:
        try:
            raw = read_named(path)
            new, found = mended(raw, path, given, why_not) if fix else (raw, lint(raw, path, given, why_not))
        except (BadDockerfile, FileProblem) as error:
            told = f"{path}: {error}" if isinstance(error, BadDockerfile) else str(error)
            raise refused(told) from None
        done.append(found)
        if new != raw:
            changed[path] = new
    if changed:
        _write(changed)
    return done


def _write(changed: dict[str, bytes]) -> None:
    from gpuctl.host.write.output import FileProblem, write_whole
    from gpuctl.render.draw.text import say

    try:
        for path, new in changed.items():
            write_whole(path, new)
    except FileProblem as problem:
        say(str(problem))
        raise typer.Exit(ExitCode.PROBLEM) from None


def _show(linted: "list[Linted]", format: str) -> None:
    from gpuctl.render.views.dockerfile_lint import lint_json, lint_text

    if format == "text":
        lint_text(linted).show()
    elif format == "json":
        typer.echo(lint_json(linted))
    else:
        from gpuctl.render.formats.sarif import lint_sarif

        typer.echo(lint_sarif(linted))
