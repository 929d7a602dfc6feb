"""Since when, and by what: the last change of packages that explains a finding."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from gpuctl.facts.gather import Facts
from gpuctl.facts.packages.history import PackageHistory
from gpuctl.facts.packages.logs import DRIVER, ENGINE, KERNEL, TOOLKIT, PackageEvent
from gpuctl.model import CannotTell, Evidence, Finding

_TITLES = {DRIVER: "The driver", KERNEL: "The kernel", ENGINE: "The engine", TOOLKIT: "The toolkit"}


def dated(finding: Finding, subject: str, facts: Facts) -> Finding:
    """Returns the finding with the last change of what it is about: driver, kernel, engine or toolkit.

    As it was where the packages' logs tell of none, or could not be read.
    """
    history = facts.get(PackageHistory)
    change = history.last(subject) if history else None
    if change is None:
        return finding
    seen = Evidence("package history", f"{change.at} {change.package} {change.action} {_versions(change)}".rstrip())
    message = f"{finding.message} {_sentence(change)}"
    return replace(finding, message=message, evidence=(*finding.evidence, seen))


def changed_at(change: PackageEvent, history: PackageHistory) -> float:
    """Returns the beginning of the minute of a change, in seconds since the epoch. Raises CannotTell without a zone."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        zone = ZoneInfo(history.zone.get() or "UTC")
        return datetime.strptime(change.at, "%Y-%m-%d %H:%M").replace(tzinfo=zone).timestamp()
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise CannotTell(f"{history.zone.source}: {error}") from None


def _sentence(change: PackageEvent) -> str:
    """The change in words: "The driver was upgraded on 2026-11-20 by unattended-upgrade (535.183 → 535.216)."."""
    by = f" by {change.by}" if change.by else ""
    user = f" for {change.user}" if change.user else ""
    versions = f" ({_versions(change)})" if _versions(change) else ""
    return f"{_TITLES[change.subject]} was {change.action} on {change.at[:10]}{by}{user}{versions}."


def _versions(change: PackageEvent) -> str:
    return " → ".join(filter(None, (change.before, change.after)))
