"""What has changed between two reports of one host."""

from __future__ import annotations

from collections.abc import Iterator

from gpuctl.frozen import dataclass
from gpuctl.model import Finding, Report, Status

_LOUD = (Status.FAIL, Status.WARN, Status.UNKNOWN)


@dataclass(frozen=True)
class Changed:
    """A finding that says something else now. `was` is what the same check said before, None where nothing was."""

    was: Finding | None
    now: Finding


def changed(before: Report | None, now: Report) -> Iterator[Changed]:
    """Yields what has changed and matters: that a check speaks up, says something else, or has stopped to.

    Before the first report nothing was wrong.
    """
    said = {one.id: one for one in before.findings} if before else {}
    for finding in now.findings:
        was = said.get(finding.id)
        if _heard(finding) != _heard(was):
            yield Changed(was, finding)


def _heard(finding: Finding | None) -> tuple[object, ...]:
    """What a person hears of a finding: of one that has passed or was skipped, nothing."""
    if finding is None or finding.status not in _LOUD:
        return ()
    return finding.status, finding.message, finding.waived
