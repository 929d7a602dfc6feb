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
    the first of them need is not known. `also`: packages whose releases are numbered with it.
    """

    package: str
    since: Mapping[str, str]
    source: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Floor:
    """The lowest compute capability on which a release runs, and the document that says so."""

    capability: str
    source: str


def floor_of(package: str, version: str | None) -> Floor | None:
    """Returns from which compute capability on a release (None: the newest) of a package runs; None: not known."""
    row = package_floors().get(package)
    if row is None:
        return None
    reached = [since for since in row.since if version is None or parts(since) <= parts(leading(version))]
    return Floor(row.since[reached[-1]], row.source) if reached else None


@cache
def package_floors() -> dict[str, PackageFloor]:
    """Returns the packages by name, those too that are numbered with another."""
    return {name: row for row in load("package_floors", PackageFloor) for name in (row.package, *row.also)}
