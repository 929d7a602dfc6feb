"""`gpuctl doctor`: what is wrong on this host, worst first, each with its remedy."""

from __future__ import annotations

from typing import Annotated

import typer

from gpuctl.cli.options import From, Json
from gpuctl.cli.snapshots import host_at
from gpuctl.model import ExitCode, Report, Status


def command(
    only: Annotated[
        str | None, typer.Option("--only", metavar="LAYER|ID", help="Show one layer or one check.", show_default=False)
    ] = None,
    snapshot: From = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every check, with its evidence.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings and unknowns exit with 1.")] = False,
) -> None:
    """Say what keeps GPU containers from running on this host, and which command mends it."""
    from gpuctl.checks import diagnose, part, select
    from gpuctl.checks.engine import subjects
    from gpuctl.facts.gather import gather
    from gpuctl.render.progress import working

    if only is not None and not select(only):
        raise typer.BadParameter(f"no layer or check is called {only}", param_hint="--only")
    host = host_at(snapshot)
    with working("Looking at this host"):
        facts = gather(host, subjects())
    report = diagnose(facts)
    shown = part(report, only) if only else report
    if json:
        from gpuctl.render.json import doctor_json

        typer.echo(doctor_json(shown, facts))
    else:
        from gpuctl.render.doctor import report_text

        report_text(shown, facts, verbose).show()
    raise typer.Exit(exit_code(shown, strict))


def exit_code(report: Report, strict: bool) -> ExitCode:
    """Returns the exit code that a report stands for."""
    statuses = {finding.status for finding in report.findings}
    if Status.FAIL in statuses or (strict and statuses & {Status.WARN, Status.UNKNOWN}):
        return ExitCode.PROBLEM
    return ExitCode.UNDETERMINED if Status.UNKNOWN in statuses else ExitCode.GOOD
