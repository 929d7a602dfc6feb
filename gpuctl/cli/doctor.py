"""`gpuctl doctor`: what is wrong on this host, worst first, each with its remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli.options import Json
from gpuctl.model import ExitCode, Report, Status

if TYPE_CHECKING:
    from gpuctl.facts.gather import Facts


def command(
    only: Annotated[
        str | None, typer.Option("--only", metavar="LAYER|ID", help="Show one layer or one check.", show_default=False)
    ] = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every check, with its evidence.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings and unknowns exit with 1.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be undone, then look again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --fix: print what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: do not ask about new containers.")] = False,
) -> None:
    """Say what keeps GPU containers from running on this host, and which command mends it."""
    from gpuctl.checks import diagnose, part, select
    from gpuctl.checks.engine import subjects
    from gpuctl.facts.gather import gather
    from gpuctl.host.local import LocalHost
    from gpuctl.render.progress import working

    if only is not None and not select(only):
        raise typer.BadParameter(f"no layer or check is called {only}", param_hint="--only")
    if (dry_run or yes) and not fix:
        raise typer.BadParameter("--dry-run and --yes go with --fix", param_hint="--fix")

    def look() -> tuple[Facts, Report]:
        with working("Looking at this host"):
            facts = gather(LocalHost(), subjects())
        report = diagnose(facts)
        return facts, part(report, only) if only else report

    if fix:
        from gpuctl.cli.mend import fix_host

        seen, ended = fix_host(look, dry_run, yes, json, verbose)
        raise typer.Exit(ended if ended > ExitCode.UNDETERMINED else exit_code(seen.report, strict))
    facts, shown = look()
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
