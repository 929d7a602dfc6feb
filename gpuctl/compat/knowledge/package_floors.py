"""From which compute capability on the code of a package runs. From data/package_floors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import leading, parts
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class PackageFloor:
    """A package, by its normalized name, and since which version it needs which compute capability.

    `since` maps versions, oldest first, to the lowest compute capability for which its code is. What releases before
    the first of them need is not known.
    """

    package: str
    since: Mapping[str, str]
    source: str


@dataclass(frozen=True)
class Floor:
    """The lowest compute capability on which a release runs, and the document that says so."""

    capability: str
    source: str


def floor_of(package: str, version: str) -> Floor | None:
    """Returns from which compute capability on a release of a package runs; None where that is not known."""
    row = package_floors().get(package)
    reached = [since for since in row.since if parts(since) <= parts(leading(version))] if row else []
    return Floor(row.since[reached[-1]], row.source) if row and reached else None


@cache
def package_floors() -> dict[str, PackageFloor]:
    """Returns the packages by name."""
    return {row.package: row for row in load("package_floors", PackageFloor)}
