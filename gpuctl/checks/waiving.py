"""What is accepted on this host: its configuration's waivers put to the findings that they name."""

from __future__ import annotations

import time
from dataclasses import replace
from fnmatch import fnmatchcase

from gpuctl.facts.gather import Facts
from gpuctl.facts.own.configuration import EVERY_HOST, Configuration, WrittenWaiver
from gpuctl.model import CannotTell, Finding, Report, Status, Waiver

_WAIVABLE = (Status.FAIL, Status.WARN)
_LOUD = (*_WAIVABLE, Status.UNKNOWN)


def waive(report: Report, facts: Facts, day: str | None = None) -> Report:
    """Returns the report with what is waived marked as such, and behind what counts.

    `day` is today's, YYYY-MM-DD. A configuration that could not be read waives nothing.
    """
    try:
        waivers = waivers_here(facts.known(Configuration))
    except CannotTell:
        return report
    valid = {one.id: _waiver(one) for one in reversed(waivers) if is_complete(one) and not has_expired(one, day)}
    findings = (replace(one, waived=valid.get(one.id)) if _may_be_waived(one) else one for one in report.findings)
    return Report(tuple(sorted(findings, key=lambda one: (one.status not in _LOUD, one.waived is not None))))


def waivers_here(configuration: Configuration) -> tuple[WrittenWaiver, ...]:
    """Returns the waivers that are meant for this host. Raises CannotTell where its name decides and is not known."""
    waivers = configuration.waivers
    if all(one.host == EVERY_HOST for one in waivers):
        return waivers
    name = configuration.hostname.get() or ""
    return tuple(one for one in waivers if fnmatchcase(name, one.host))


def is_complete(waiver: WrittenWaiver) -> bool:
    """Returns whether a waiver names a check, a reason and a date."""
    return bool(waiver.id.strip() and waiver.reason.strip() and waiver.expires)


def has_expired(waiver: WrittenWaiver, day: str | None = None) -> bool:
    """Returns whether its last day is over on a day (YYYY-MM-DD; None: today)."""
    return waiver.expires is not None and waiver.expires.isoformat() < (day or time.strftime("%Y-%m-%d"))


def _waiver(written: WrittenWaiver) -> Waiver:
    return Waiver(written.reason, written.expires.isoformat() if written.expires else "")


def _may_be_waived(finding: Finding) -> bool:
    return finding.status in _WAIVABLE and finding.layer != "waivers"
