"""How findings stand, in every format alike: by their status, or waived."""

from __future__ import annotations

from gpuctl.model import Finding, Report, Status, Waiver
from gpuctl.render.draw.text import plain

WAIVED = "waived"
STANDINGS = (*(status.value for status in Status), WAIVED)
_COUNTED = {"fail": "failed", "warn": "warned", "pass": "passed", "skip": "skipped"}


def waived_until(waiver: Waiver) -> str:
    """Returns a waiver in words, which cannot steer a terminal."""
    return f"waived until {waiver.expires}: {plain(waiver.reason)}"


def counted(report: Report) -> str:
    """Returns how many findings have each status, and how many are waived, in words."""
    return ", ".join(f"{count} {_COUNTED.get(name, name)}" for name, count in counts(report).items() if count)


def counts(report: Report) -> dict[str, int]:
    """Returns how many findings have each status; those that are waived count as `waived` alone."""
    standings = [standing(finding) for finding in report.findings]
    return {name: standings.count(name) for name in STANDINGS}


def standing(finding: Finding) -> str:
    """Returns a finding's status, or `waived`."""
    return WAIVED if finding.waived else finding.status.value
