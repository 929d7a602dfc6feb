"""What differs between two snapshots: as text and as JSON."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from gpuctl.checks.compare.comparison import Comparison, Difference, FindingDifference
from gpuctl.engines.text_diff import text_diff
from gpuctl.host.record.archive import Snapshot
from gpuctl.model import Finding
from gpuctl.render.draw.text import Styled, one_line, plain
from gpuctl.render.formats.json import document
from gpuctl.render.views.changes import diff_text
from gpuctl.render.views.finding import MARKS


def diff_json(found: Comparison, old: Snapshot, new: Snapshot) -> str:
    """Returns the comparison as JSON; null for what was not there."""
    body = {
        "equal": found.equal,
        "old": _about(old),
        "new": _about(new),
        "findings": [_finding(one) for one in found.findings],
        "facts": [{"fact": one.name, "old": one.old, "new": one.new} for one in found.facts],
        "files": [{"path": one.name, "change": _word(one), "diff": _diff(one)} for one in found.files],
    }
    return document("diff", body)


def comparison_text(found: Comparison, old: Snapshot, new: Snapshot) -> Styled:
    """Returns the comparison on a screen: findings, then facts, then the files' diffs."""
    text = Styled(f"{_at(old):%Y-%m-%d %H:%M} UTC → {_at(new):%Y-%m-%d %H:%M} UTC\n\n", "bold")
    for finding in found.findings:
        text.append(_finding_line(finding))
    for one in found.facts:
        text.append(f"{plain(one.name)}: {one_line(one.old or 'absent')} → {one_line(one.new or 'absent')}\n")
    for one in found.files:
        text.append(diff_text(_diff(one)))
    return text.append("Nothing differs.\n") if found.equal else text


def _finding_line(change: FindingDifference) -> Styled:
    line, shown = Styled(f"{_word(change):<9}", "dim"), change.new or change.old
    if shown:
        mark, style = MARKS[shown.status]
        line.append(f"{mark}  ", style).append(plain(shown.message), "bold")
    return line.append(f"  {change.id}\n", "dim")


def _word(change: Difference | FindingDifference) -> str:
    return "appeared" if change.old is None else "went" if change.new is None else "changed"


def _diff(change: Difference) -> str:
    return text_diff(change.name, change.old, change.new)


def _about(snapshot: Snapshot) -> dict[str, Any]:
    return {"at": _at(snapshot).isoformat(timespec="seconds"), "gpuctl": snapshot.gpuctl}


def _finding(change: FindingDifference) -> dict[str, Any]:
    return {"id": change.id, "change": _word(change), "old": _said(change.old), "new": _said(change.new)}


def _said(finding: Finding | None) -> dict[str, Any] | None:
    return {"status": finding.status, "message": finding.message} if finding else None


def _at(snapshot: Snapshot) -> datetime:
    return datetime.fromtimestamp(snapshot.at, timezone.utc)
