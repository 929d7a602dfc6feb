"""For what commands are rewritten where nobody says it: what this host's engine takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gpuctl.compat.knowledge.releases import docker_features
from gpuctl.compat.versions import docker_version
from gpuctl.facts.docker.daemon import Daemon
from gpuctl.facts.docker.docker import RUNTIME
from gpuctl.facts.gather import Facts
from gpuctl.facts.headline import DockerMet
from gpuctl.facts.podman import Podman
from gpuctl.facts.toolkit.cdi_document import GPU_KIND
from gpuctl.migrate.migration import Target


def target_here(look: Callable[[Iterable[type]], Facts]) -> Target:
    """Returns what the engine takes of the host that is looked at; where none tells, --gpus, as Docker has it."""
    met = look((DockerMet,)).get(DockerMet)
    if met and met.kind == "podman":
        return Target.PODMAN
    if met and met.daemon:
        return _of_docker(met.daemon)
    if met and met.otherwise and not met.otherwise.client.value and look((Podman,)).known(Podman).program.value:
        return Target.PODMAN
    return Target.DOCKER


def _of_docker(daemon: Daemon) -> Target:
    """One that knows GPUs as CDI devices, and has no runtime for them, is asked by these."""
    try:
        if docker_version(daemon.version) < docker_version(docker_features()["gpus-flag"].since):
            return Target.DOCKER_18_09
    except ValueError:  # a build of somebody's own
        return Target.DOCKER
    by_cdi = any(name.startswith(f"{GPU_KIND}=") for name in daemon.cdi_devices)
    return Target.DOCKER_CDI if by_cdi and RUNTIME not in daemon.runtimes else Target.DOCKER
