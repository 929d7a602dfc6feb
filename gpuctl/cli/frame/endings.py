"""How a run ends: the exit code of a verdict and of a report, and a refusal in one sentence."""

from __future__ import annotations

import typer

from gpuctl.model import ExitCode, Report, Status, Verdict

CODES = {
    Verdict.COMPATIBLE: ExitCode.GOOD,
    Verdict.LIMITED: ExitCode.GOOD,
    Verdict.NEEDS_PACKAGE: ExitCode.PROBLEM,
    Verdict.INCOMPATIBLE: ExitCode.PROBLEM,
    Verdict.UNKNOWN: ExitCode.UNDETERMINED,
}


def exit_code(report: Report, strict: bool) -> ExitCode:
    """Returns the exit code that a report stands for; what is waived does not count."""
    statuses = {finding.status for finding in report.findings if not finding.waived}
    if Status.FAIL in statuses or (strict and statuses & {Status.WARN, Status.UNKNOWN}):
        return ExitCode.PROBLEM
    return ExitCode.UNDETERMINED if Status.UNKNOWN in statuses else ExitCode.GOOD


def refused(sentence: str, code: ExitCode = ExitCode.USAGE) -> typer.Exit:
    """Says a sentence on stderr. Returns what ends the run."""
    from gpuctl.render.draw.text import say

    say(f"Error: {sentence}")
    return typer.Exit(code)
