"""One finding for people: its mark, its sentence, its remedy."""

from __future__ import annotations

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


def finding_text(finding: Finding, verbose: bool) -> Styled:
    """Returns a finding; `verbose` adds what it asks for, what was seen, and ways by hand."""
    mark, style = MARKS[finding.status]
    counts = finding.status in LOUD and finding.waived is None
    text = Styled(f"{mark}  ", "dim" if finding.waived else style)
    text.append(plain(finding.message), "bold" if counts else "").append(f"  {finding.id}\n", "dim")
    if finding.waived:
        text.append(f"{_INDENT}{waived_until(finding.waived)}\n")
    if verbose and finding.action is not Action.NOTHING_NOW:
        text.append(f"{_INDENT}action: {finding.action.value}\n", "dim")
    if finding.remedy and (verbose or not finding.waived):
        text.append(remedy_lines(finding.remedy, _INDENT, verbose))
        if counts and not finding.remedy.commands:
            text.append(f"{_INDENT}No command does that on every host: it is work for a person.\n", "dim")
    for seen in finding.evidence if verbose else ():
        text.append(f"{_INDENT}{plain(seen.source)}: {one_line(seen.text)}\n", "dim")
    return text
