"""`gpuctl doctor`: what is wrong on this host, worst first, each with its remedy."""

# Not `from __future__ import annotations`: Typer evaluates the text of every option then, twice.

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gpuctl.cli.frame.asked import DoctorRequest
from gpuctl.cli.frame.defaults import configured, wrong_default
from gpuctl.cli.frame.endings import exit_code
from gpuctl.cli.frame.formats import FormatName, OutputFiles, Outputs, deliver, outputs
from gpuctl.cli.frame.known import known_checks, names_in, why_unknown
from gpuctl.cli.frame.options import From, Json, seconds
from gpuctl.cli.frame.snapshots import origin
from gpuctl.model import ExitCode
from gpuctl.render.formats.formats import Format

if TYPE_CHECKING:
    from gpuctl.facts.gather import Facts
    from gpuctl.model import Defaults, Report

BETWEEN_LOOKS = 10.0
"""Seconds."""
BETWEEN_TRIES = 2.0
"""Seconds between two looks of --until-ready: a script waits for it, and a look costs half a second."""


def command(
    between: Annotated[
        float | None,
        typer.Argument(parser=seconds, metavar="[SECONDS]", help="Between two looks of --watch.", show_default=False),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="LAYER|ID", help="Show a layer or a check, or a,b; repeatable.", show_default=False
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", metavar="LAYER|ID", help="Leave it out; repeatable.", show_default=False),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on looking, and show what changes.")] = False,
    snapshot: From = None,
    json: Json = False,
    format: FormatName = None,
    output: OutputFiles = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every check, with its evidence.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print only what is wrong, if anything is.")] = False,
    until_ready: Annotated[
        float | None,
        typer.Option(
            "--until-ready",
            parser=seconds,
            metavar="SECONDS",
            help="Look again until nothing is wrong, for so long at most.",
            show_default=False,
        ),
    ] = None,
    strict: Annotated[
        bool | None,
        typer.Option("--strict/--no-strict", help="Warnings and unknowns exit with 1.", show_default=False),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be undone, then look again.")] = False,
    drain: Annotated[
        Literal["slurm"] | None,
        typer.Option(
            "--drain",
            help="Drain this node where it is to be taken out of service; resume it when that is over.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fix or --drain: print what would be done.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: do not ask about new containers.")] = False,
) -> None:
    """Say what keeps GPU containers from running on this host, and which command mends it."""
    defaults = configured()
    told = outputs(format, json, output, Format.TEXT.value if quiet else defaults.format)
    asked = _asked(defaults, only, skip, told, verbose, quiet, strict)
    if quiet and (verbose or watch or fix or asked.outputs.shown is not Format.TEXT):
        raise typer.BadParameter("-q is for the text of one look: -v, --watch, --fix and formats do not go with it")
    _check_looks(until_ready is not None, bool(drain), watch or fix or snapshot is not None)
    if watch:
        if snapshot is not None:
            raise typer.BadParameter("nothing changes in a snapshot: --watch and --from exclude each other")
        if format not in (None, Format.TEXT, Format.JSON):
            raise typer.BadParameter("--watch prints text or JSON; other formats go into files, with -o")
        from gpuctl.cli.watch import watch_host

        raise typer.Exit(watch_host(asked, between or BETWEEN_LOOKS))
    if between is not None:
        raise typer.BadParameter("SECONDS goes with --watch")
    if (dry_run and not (fix or drain)) or (yes and not fix):
        raise typer.BadParameter("--dry-run goes with --fix or --drain, and --yes with --fix", param_hint="--fix")
    if drain:
        raise typer.Exit(_drain(asked, dry_run))
    if fix:
        raise typer.Exit(_fix(asked, snapshot, dry_run, yes))
    facts, report = _ready(asked, until_ready) if until_ready is not None else asked.look(snapshot)
    raise typer.Exit(deliver(asked.outputs, asked.render(report, facts, origin(snapshot)), asked.code(report)))


def _check_looks(until_ready: bool, drain: bool, others: bool) -> None:
    if until_ready and others:
        raise typer.BadParameter("--until-ready looks at this host: --watch, --fix and --from do not go with it")
    if drain and (others or until_ready):
        raise typer.BadParameter("--drain goes by one look: --watch, --fix, --from and --until-ready do not go with it")


def _ready(asked: DoctorRequest, longest: float) -> "tuple[Facts, Report]":
    """Returns the first look that finds nothing wrong, else the last one within `longest` seconds."""
    end = time.monotonic() + longest
    facts, report = asked.look(None)
    while exit_code(report, asked.strict) and time.monotonic() < end:
        time.sleep(min(BETWEEN_TRIES, max(0.0, end - time.monotonic())))
        facts, report = asked.look(None)
    return facts, report


def _drain(asked: DoctorRequest, dry_run: bool) -> int:
    """Drains or resumes the node by what is found, and tells the report; the exit code is the report's."""
    from gpuctl.host.look.local import LocalHost
    from gpuctl.provision.slurm import drain_by
    from gpuctl.render.draw.text import Styled, say

    facts, report = asked.look(None)
    drained = drain_by(LocalHost(), report, dry_run)

    def render(format: Format) -> Styled:
        if format is not Format.JSON:
            return asked.render(report, facts)(format)
        from gpuctl.render.views.drain import drained_json

        return drained_json(report, facts, drained, dry_run)

    code = deliver(asked.outputs, render, asked.code(report))
    failed = drained.outcome == "failed"
    say(f"{'Error: ' if failed else ''}{drained.message}")
    return code or (ExitCode.UNDETERMINED if failed else code)


def _fix(asked: DoctorRequest, snapshot: str | None, dry_run: bool, yes: bool) -> int:
    if snapshot is not None:
        raise typer.BadParameter("a snapshot cannot be mended: --fix and --from exclude each other")
    if asked.outputs.shown not in (Format.TEXT, Format.JSON) or asked.outputs.files:
        raise typer.BadParameter("--fix prints text or JSON: leave out --format and -o")
    from gpuctl.cli.mend import fix_host

    everything = replace(asked, only=(), skip=())  # what mends one finding may need more than the finding does

    def judged() -> "tuple[Facts, Report]":
        facts, _ = everything.look(None)
        return facts, asked.judge(facts)

    seen, ended = fix_host(judged, dry_run, yes, asked.outputs.shown is Format.JSON, asked.verbose)
    return ended if ended > ExitCode.UNDETERMINED else exit_code(seen.report, asked.strict)


def _asked(
    defaults: "Defaults",
    only: list[str] | None,
    skip: list[str] | None,
    outputs: Outputs[Format],
    verbose: bool,
    quiet: bool,
    strict: bool | None,
) -> DoctorRequest:
    chosen_only, chosen_skip = _names("only", only, defaults.only), _names("skip", skip, defaults.skip)
    if chosen_only or chosen_skip:
        from gpuctl.checks.select import chosen

        if not chosen(chosen_only, chosen_skip):
            raise typer.BadParameter("nothing is left to judge: --skip takes all of it out", param_hint="--skip")
    return DoctorRequest(
        chosen_only, chosen_skip, outputs, verbose, quiet, bool(defaults.strict) if strict is None else strict
    )


def _names(option: str, typed: Iterable[str] | None, default: Iterable[str] | None) -> tuple[str, ...]:
    """Returns the layers and checks that are named. Ends the run where one is none, typed or in a configuration."""
    if typed is not None:
        return known_checks(typed, f"--{option}")
    names = names_in(default)
    why = why_unknown(names)
    if why:
        raise wrong_default(option, f"{option}: {why}")
    return names
