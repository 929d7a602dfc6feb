"""What releases of Docker and of the NVIDIA Container Toolkit brought, and the toolkit's known holes."""

from __future__ import annotations

from functools import cache

from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class Cve:
    """A hole in the NVIDIA Container Toolkit: every release before `fixed` has it."""

    id: str
    fixed: str
    text: str
    source: str
    note: str | None = None


@cache
def toolkit_cves() -> tuple[Cve, ...]:
    """Returns the toolkit's known holes."""
    return load("toolkit_cves", Cve)


@dataclass(frozen=True)
class ToolkitRelease:
    """A release of the NVIDIA Container Toolkit that changed something a host notices."""

    version: str
    released: str | None
    change: str
    source: str


@cache
def toolkit_releases() -> tuple[ToolkitRelease, ...]:
    """Returns the toolkit's releases, oldest first."""
    return load("toolkit_releases", ToolkitRelease)


@dataclass(frozen=True)
class DockerFeature:
    """Something that Docker can do since a version."""

    feature: str
    since: str
    text: str
    source: str
    note: str | None = None


@cache
def docker_features() -> dict[str, DockerFeature]:
    """Returns the features by name: gpus-flag, validate, cdi-opt-in, cdi-by-default, gpus-through-cdi and more."""
    return {row.feature: row for row in load("docker_features", DockerFeature)}
