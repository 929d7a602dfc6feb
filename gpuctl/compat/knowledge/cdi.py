"""What engines make of CDI: from which version on, and which versions of the specification."""

from __future__ import annotations

from enum import Enum
from functools import cache

from gpuctl.compat.knowledge.releases import docker_features
from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import docker_version, leading
from gpuctl.frozen import dataclass

PODMAN_SINCE = "4.1.0"
"""The first Podman that reads a released specification, as nvidia-ctk writes it; 3.2 and later read a draft of it
(https://github.com/cncf-tags/container-device-interface, README, "Podman configuration")."""

CONTAINERD_SINCE = "1.7.0"
"""https://github.com/containerd/containerd/pull/6654, https://github.com/containerd/containerd/releases/tag/v1.7.0."""

CRIO_SINCE = "1.24.0"
"""The release after https://github.com/cri-o/cri-o/pull/5571, which is of January 2022, when 1.23 was out."""

CONTAINERD_SINCE = "1.7.0"
"""https://github.com/containerd/containerd/pull/6654, by the notes of 1.7.0."""

PODMAN_ETC_ONLY = ("5.5", "5.6")
"""From the first of these Podmans to before the second, /var/run/cdi is not read without being asked for
(https://github.com/containers/podman/issues/26569)."""

TOOLKIT = "toolkit"
"""The NVIDIA Container Toolkit among the engines: its runtime in mode cdi, and `nvidia-ctk cdi list`."""
TOOLKIT_SINCE = "1.12.0"
"""The first with `nvidia-ctk cdi generate`
(https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/release-notes.html)."""


@dataclass(frozen=True)
class CdiVersion:
    """From `since` on an engine accepts specifications of version `cdi`; before, neither that nor any newer one.

    `since` None: no release is known to; `refused_by` is the newest that was seen to refuse it then. `backport` is the
    first release of an older branch that takes it as well.
    """

    engine: str
    cdi: str
    since: str | None
    source: str
    refused_by: str | None = None
    backport: str | None = None

    def refuses(self, version: str) -> bool:
        """Returns whether a version of the engine is known to refuse it. Raises ValueError for one that is none."""
        if self.since:
            return docker_version(version) < docker_version(self.since) and not self._is_backported(version)
        return docker_version(leading(version)) <= docker_version(self.refused_by or "0.0")

    def _is_backported(self, version: str) -> bool:
        if self.backport is None:
            return False
        branch = self.backport.rpartition(".")[0]
        return version.startswith(f"{branch}.") and docker_version(version) >= docker_version(self.backport)


@cache
def cdi_versions() -> tuple[CdiVersion, ...]:
    """Returns what is known of the versions of the specification that engines accept."""
    return load("cdi_versions", CdiVersion)


def refusal(engine: str, version: str, cdi: str) -> CdiVersion | None:
    """Returns the row by which an engine (one of ENGINES, or TOOLKIT) refuses a cdiVersion; None: none known.

    It is the newest that applies: what it takes to have that very version accepted.

    Raises ValueError for a version that is none.
    """
    rows = (row for row in reversed(cdi_versions()) if row.engine == engine)
    refused = (row for row in rows if docker_version(cdi) >= docker_version(row.cdi))
    return next((row for row in refused if row.refuses(version)), None)


class DockerCdi(Enum):
    """Whether a Docker takes CDI devices."""

    IMPOSSIBLE = "not possible"
    OPT_IN = "where features.cdi is set"
    BY_DEFAULT = "by default"


def docker_cdi(version: str) -> DockerCdi:
    """Returns whether a Docker of that version takes CDI devices. Raises ValueError for a version that is none."""
    found = docker_version(version)
    if found < docker_version(docker_features()["cdi-opt-in"].since):
        return DockerCdi.IMPOSSIBLE
    return (
        DockerCdi.BY_DEFAULT if found >= docker_version(docker_features()["cdi-by-default"].since) else DockerCdi.OPT_IN
    )
