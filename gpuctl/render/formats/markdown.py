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
    parts = [f"## gpuctl {command}: {counted(report)}", _code(about)]
    if told:
        parts.append("\n".join(("| status | check | finding |", "| --- | --- | --- |", *map(_row, told))))
    parts += [_details(one) for one in told if not one.waived and (one.remedy or one.evidence)]
    return "\n\n".join(parts) + "\n"


def _row(finding: Finding) -> str:
    accepted = f"; waived until {finding.waived.expires}: {_cell(finding.waived.reason)}" if finding.waived else ""
    return f"| {standing(finding)} | {_cell(finding.id)} | {_cell(finding.message)}{accepted} |"


def _details(finding: Finding) -> str:
    remedy = _remedy(finding.remedy) if finding.remedy else ()
    seen = "\n".join(f"- {_code(one.source)}: {_code(one.text)}" for one in finding.evidence)
    return "\n\n".join(part for part in (f"### {_code(finding.id)}", *remedy, seen) if part)


def _remedy(remedy: Remedy) -> tuple[str, str]:
    disturbs = "" if remedy.disturbs is Disturbs.NOTHING else f" (disturbs {remedy.disturbs.value})"
    return _code(remedy.text) + disturbs if remedy.text else "", _block(remedy.commands)


def _cell(text: str) -> str:
    r"""A code span in a table, where a bar ends the cell even in code, and readers differ on what `\\|` is."""
    return _code(text.replace("\\|", "\\ |").replace("|", "\\|"))


def _code(text: str) -> str:
    inside = plain(text).strip() or " "
    return f"{_fence(inside, 1)} {inside} {_fence(inside, 1)}" if "`" in inside else f"`{inside}`"


def _block(commands: tuple[Command, ...]) -> str:
    lines = [str(command) for command in commands]
    fence = _fence("\n".join(lines), 3)
    return "\n".join((f"{fence}sh", *lines, fence)) if lines else ""


def _fence(inside: str, least: int) -> str:
    """Backticks in a number that does not occur inside."""
    return "`" * max((least, *(len(run) + 1 for run in re.findall("`+", inside))))
