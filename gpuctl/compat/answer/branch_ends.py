"""A branch of the driver as its first and its last known release: what both run, every release between them runs."""

from __future__ import annotations

from dataclasses import replace

from gpuctl.compat.answer.answer import Compatibility
from gpuctl.compat.judge.rulings import SEVERITY
from gpuctl.compat.tables.loader import driver_branch, toolkits
from gpuctl.compat.versions import parts
from gpuctl.model import Reason


def branch_ends(driver: str) -> tuple[str, str] | None:
    """Returns the first and the last known release of a branch that was typed as a driver ("535"); None for a version,
    and for a branch of which no release is known.
    """
    branch = driver_branch(driver) if driver.isdecimal() else None
    if branch is None:
        return None
    named = (
        release
        for toolkit in toolkits()
        for release in (toolkit.min_driver, toolkit.table_min_driver, toolkit.bundled_driver, branch.newest_version)
        if release and release.partition(".")[0] == driver
    )
    known = sorted(named, key=parts)
    return (known[0], known[-1]) if known else None


def of_branch(branch: str, first: Compatibility, last: Compatibility) -> Compatibility:
    """Returns the worse of the two answers, and says what the other end of the branch does."""
    worse = max(first, last, key=lambda one: SEVERITY.index(one.verdict))
    other = last if worse is first else first
    if first.driver == last.driver:
        words = f"judged by its one known release, {first.driver}."
    elif first.verdict is last.verdict:
        words = f"judged by its first and its last known release, {first.driver} and {last.driver}: the same answer."
    else:
        words = (
            f"judged by the release that fares worst, {worse.driver}: with {other.driver} it is {other.verdict.value}."
        )
    row = driver_branch(branch)
    reason = Reason("driver.branch-ends", f"{branch} is a branch of the driver, {words}", row.source if row else branch)
    return replace(worse, reasons=(reason, *worse.reasons))
