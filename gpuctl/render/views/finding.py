"""One finding for people: its mark, its sentence, its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gpuctl.command import Command
from gpuctl.model import Action, Finding, Status
from gpuctl.render.draw.text import Styled, one_line, plain, remedy_lines
from gpuctl.render.formats.standing import waived_until

MARKS = {
    Status.FAIL: ("FAIL", "bold red"),
    Status.WARN: ("WARN", "yellow"),
    Status.UNKNOWN: ("????", "magenta"),
    Status.PASS: ("pass", "green"),
    Status.SKIP: ("skip", "dim"),
}
LOUD = (Status.FAIL, Status.WARN, Status.UNKNOWN)
_INDENT = "      "


def each_once(findings: Iterable[Finding]) -> Iterator[tuple[Finding, str]]:
    """Yields findings, each with the id of an earlier one whose commands mend it too; "" where it has its own."""
    first: dict[tuple[Command, ...], str] = {}
    for finding in findings:
        commands = finding.remedy.commands if finding.remedy and _counts(finding) else ()
        shown_at = first.setdefault(commands, finding.id) if commands else finding.id
        yield finding, "" if shown_at == finding.id else shown_at


def _counts(finding: Finding) -> bool:
    return finding.status in LOUD and finding.waived is None


def finding_text(finding: Finding, verbose: bool, shown_at: str = "") -> Styled:
    """Returns a finding; `verbose` adds what it asks for, what was seen, and ways by hand.

    `shown_at` is the finding that has its commands.
    """
    mark, style = MARKS[finding.status]
    counts = _counts(finding)
    text = Styled(f"{mark}  ", "dim" if finding.waived else style)
    text.append(plain(finding.message), "bold" if counts else "").append(f"  {finding.id}\n", "dim")
    if finding.waived:
        text.append(f"{_INDENT}{waived_until(finding.waived)}\n")
    if verbose and finding.action is not Action.NOTHING_NOW:
        text.append(f"{_INDENT}action: {finding.action.value}\n", "dim")
    if finding.remedy and (verbose or not finding.waived):
        remedy = replace(finding.remedy, commands=(), by_hand=()) if shown_at else finding.remedy
        text.append(remedy_lines(remedy, _INDENT, verbose))
        if shown_at:
            text.append(f"{_INDENT}The same mends it as {shown_at}.\n", "dim")
        if counts and not finding.remedy.commands:
            text.append(f"{_INDENT}No command does that on every host: it is work for a person.\n", "dim")
    for seen in finding.evidence if verbose else ():
        text.append(f"{_INDENT}{plain(seen.source)}: {one_line(seen.text)}\n", "dim")
    return text
