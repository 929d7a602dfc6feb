"""Markdown for a ticket, as GitHub and GitLab read it: a table of what is wrong, then remedies and evidence.

Words of others stand in code spans and fenced blocks alone, where nothing is markup, a link or a mention:
https://github.github.com/gfm/#code-spans.
"""

from __future__ import annotations

import re

from gpuctl.command import Command
from gpuctl.model import Disturbs, Finding, Remedy, Report, Status
from gpuctl.render.draw.text import plain
from gpuctl.render.formats.standing import counted, standing

_TOLD = (Status.FAIL, Status.WARN, Status.UNKNOWN)


def report_markdown(report: Report, command: str, about: str) -> str:
    """Returns the report, `about` being what it is about in a line."""
    told = [finding for finding in report.findings if finding.status in _TOLD]
    parts = [f"## gpuctl {command}: {counted(report)}", code_span(about)]
    if told:
        parts.append("\n".join(("| status | check | finding |", "| --- | --- | --- |", *map(_row, told))))
    parts += [_details(one) for one in told if not one.waived and (one.remedy or one.evidence)]
    return "\n\n".join(parts) + "\n"


def _row(finding: Finding) -> str:
    accepted = f"; waived until {finding.waived.expires}: {table_cell(finding.waived.reason)}" if finding.waived else ""
    return f"| {standing(finding)} | {table_cell(finding.id)} | {table_cell(finding.message)}{accepted} |"


def _details(finding: Finding) -> str:
    remedy = _remedy(finding.remedy) if finding.remedy else ()
    seen = "\n".join(f"- {code_span(one.source)}: {code_span(one.text)}" for one in finding.evidence)
    return "\n\n".join(part for part in (f"### {code_span(finding.id)}", *remedy, seen) if part)


def _remedy(remedy: Remedy) -> tuple[str, str]:
    disturbs = "" if remedy.disturbs is Disturbs.NOTHING else f" (disturbs {remedy.disturbs.value})"
    return code_span(remedy.text) + disturbs if remedy.text else "", command_block(remedy.commands)


def table_cell(text: str) -> str:
    r"""Returns a code span for a table, where a bar ends the cell even in code, and readers differ on what `\\|` is."""
    return code_span(text.replace("\\|", "\\ |").replace("|", "\\|"))


def code_span(text: str) -> str:
    """Returns words of others as a code span, in which nothing is markup."""
    inside = plain(text).strip() or " "
    return f"{_fence(inside, 1)} {inside} {_fence(inside, 1)}" if "`" in inside else f"`{inside}`"


def command_block(commands: tuple[Command, ...] | tuple[str, ...]) -> str:
    """Returns commands to copy as a fenced block, "" where there is none."""
    lines = [str(command) for command in commands]
    fence = _fence("\n".join(lines), 3)
    return "\n".join((f"{fence}sh", *lines, fence)) if lines else ""


def _fence(inside: str, least: int) -> str:
    """Backticks in a number that does not occur inside."""
    return "`" * max((least, *(len(run) + 1 for run in re.findall("`+", inside))))
