"""A doctor's report on one screen: worst first, each problem with its remedy."""

from __future__ import annotations

from gpuctl.checks.engine import LAYERS
from gpuctl.facts.gather import Facts
from gpuctl.model import Action, Finding, Report, Status
from gpuctl.render.draw.text import Styled, plain, remedy_lines
from gpuctl.render.formats.standing import counted, waived_until
from gpuctl.render.views.host import host_summary

MARKS = {
    Status.FAIL: ("FAIL", "bold red"),
    Status.WARN: ("WARN", "yellow"),
    Status.UNKNOWN: ("????", "magenta"),
    Status.PASS: ("pass", "green"),
    Status.SKIP: ("skip", "dim"),
}
_LOUD = (Status.FAIL, Status.WARN, Status.UNKNOWN)
_INDENT = "      "


def report_text(report: Report, facts: Facts, verbose: bool) -> Styled:
    """Returns the report; `verbose` adds what passed, what was skipped, and every finding's evidence."""
    text = Styled(f"{plain(host_summary(facts))}\n\n", "bold")
    for finding in report.findings:
        if verbose or finding.status in _LOUD:
            text.append(_finding(finding, verbose)).append("\n" if finding.status in _LOUD else "")
    return text.append(_layers(report)).append(_closing(report, verbose))


def _finding(finding: Finding, verbose: bool) -> Styled:
    mark, style = MARKS[finding.status]
    counts = finding.status in _LOUD and finding.waived is None
    text = Styled(f"{mark}  ", "dim" if finding.waived else style)
    text.append(plain(finding.message), "bold" if counts else "").append(f"  {finding.id}\n", "dim")
    if finding.waived:
        text.append(f"{_INDENT}{waived_until(finding.waived)}\n")
    if verbose and finding.action is not Action.NOTHING_NOW:
        text.append(f"{_INDENT}action: {finding.action.value}\n", "dim")
    if finding.remedy and (verbose or not finding.waived):
        text.append(remedy_lines(finding.remedy, _INDENT))
    for seen in finding.evidence if verbose else ():
        text.append(f"{_INDENT}{plain(seen.source)}: {plain(seen.text)}\n", "dim")
    return text


def _layers(report: Report) -> Styled:
    """The layers, each with the worst of what was found in it and is not waived."""
    line = Styled()
    for layer in LAYERS:
        statuses = [finding.status for finding in report.findings if finding.layer == layer and not finding.waived]
        told = [status for status in statuses if status is not Status.SKIP] or statuses
        if told:
            line.append(f"{layer} ").append(*MARKS[min(told, key=list(Status).index)]).append("   ")
    return line.append("\n")


def _closing(report: Report, verbose: bool) -> Styled:
    """The counts, and how to see more."""
    return Styled(f"{counted(report)}.{'' if verbose else ' More with -v.'}\n", "dim")
