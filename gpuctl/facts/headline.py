"""What the first line of a report tells of the driver and of Docker, by no more looks than that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from gpuctl.facts.docker.daemon import probe_daemon
from gpuctl.facts.docker.endpoint import is_users, probe_endpoint
from gpuctl.facts.docker.unit import waiting_socket
from gpuctl.facts.gpu.driver import probe_version
from gpuctl.facts.gpu.tegra import Tegra, probe_tegra
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.model import Fact

if TYPE_CHECKING:
    from gpuctl.facts.docker.docker import Docker


@dataclass(frozen=True)
class DriverVersion:
    """The same as the version in Driver; where that is absent, what tells a Jetson, whose driver JetPack brings."""

    version: Fact[str]
    otherwise: Optional[Tegra] = None


@dataclass(frozen=True)
class DockerMet:
    """The version of the daemon that answers; where none does, Docker from every side, which says why."""

    version: Optional[str]
    otherwise: Optional[Docker] = None


def probe_driver_version(host: Host) -> DriverVersion:
    """Returns the driver's version, or Tegra from every side: looked at only where there is no version."""
    version = probe_version(host)
    absent = version.value is None and version.unknown is None
    return DriverVersion(version, probe_tegra(host) if absent else None)


def probe_docker_met(host: Host) -> DockerMet:
    """Returns the daemon's version, or all of Docker: its program is asked only where no daemon answers."""
    endpoint = probe_endpoint(host).value
    if endpoint is not None and endpoint.local:
        waiting = waiting_socket(host, endpoint, is_users(host, endpoint))
        daemon = probe_daemon(host, endpoint, waiting).daemon.value
        if daemon:
            return DockerMet(daemon.version)
    from gpuctl.facts.docker.docker import probe_docker

    return DockerMet(None, probe_docker(host))
