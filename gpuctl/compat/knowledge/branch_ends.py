"""A branch of the driver as its first and its last known release: what both run, every release between them runs."""

from __future__ import annotations

from functools import lru_cache

from gpuctl.compat.tables.loader import driver_branch, toolkits
from gpuctl.compat.versions import parts
from gpuctl.model import Reason


@lru_cache(maxsize=1024)
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


def releases_meant(driver: str) -> tuple[str, ...]:
    """Returns the releases that a driver stands for as it was typed: itself, or the ends of a branch, oldest first."""
    return tuple(dict.fromkeys(branch_ends(driver) or (driver,)))


def driver_words(driver: str) -> str:
    """Returns a driver for people: 535.104.05, or 535 (535.54.03 to 535.288.01)."""
    ends = branch_ends(driver)
    return f"{driver} ({' to '.join(dict.fromkeys(ends))})" if ends else driver


def branch_reason(driver: str, fares: str = "the one that fares worse counts") -> Reason | None:
    """Returns that a driver is a branch, by which releases it is judged, and how these fare; None for a release."""
    ends = branch_ends(driver)
    row = driver_branch(driver)
    if ends is None or row is None:
        return None
    first, last = ends
    by = f"the first and the last release of it in gpuctl's tables, {first} and {last}: {fares}"
    if first == last:
        by = f"the one release of it in gpuctl's tables, {first}"
    return Reason("driver.branch-ends", f"{driver} is a branch of the driver, judged by {by}.", row.source)
