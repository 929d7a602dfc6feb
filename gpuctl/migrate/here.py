"""For what commands are rewritten where nobody says it: what this host's engine takes."""

from __future__ import annotations

from gpuctl.compat.knowledge.releases import docker_features
from gpuctl.compat.versions import docker_version
from gpuctl.facts.docker.clients import probe_compose
from gpuctl.facts.docker.daemon import Daemon, probe_daemon
from gpuctl.facts.docker.endpoint import is_users, probe_endpoint
from gpuctl.facts.docker.unit import waiting_socket
from gpuctl.host.look.reading import Host
from gpuctl.migrate.compose.target import ComposeTarget
from gpuctl.migrate.migration import Target
from gpuctl.migrate.survey import RUNTIME
from gpuctl.model import GPU_KIND


def target_here(host: Host) -> Target:
    """Returns what the engine of a host takes; where none tells, --gpus, as Docker has it."""
    endpoint = probe_endpoint(host).value
    if endpoint and endpoint.local:
        met = probe_daemon(host, endpoint, waiting_socket(host, endpoint, is_users(host, endpoint)))
        if met.kind.value == "podman":
            return Target.PODMAN
        if met.daemon.value:
            return _of_docker(met.daemon.value)
    return Target.PODMAN if host.which("podman").ok and not _has_docker(host) else Target.DOCKER


def compose_target_here(host: Host) -> ComposeTarget:
    """Returns what the Compose of a host reads; where there is none, what every newer one does."""
    version = probe_compose(host).value
    if version is None:
        return ComposeTarget.COMPOSE
    if docker_version(version) >= docker_version(docker_features()["compose-gpus"].since):
        return ComposeTarget.COMPOSE_2_30
    is_old = docker_version(version) < docker_version(docker_features()["compose-requests"].since)
    return ComposeTarget.RUNTIME if is_old else ComposeTarget.COMPOSE


def _has_docker(host: Host) -> bool:
    """Whether there is Docker's own client: that of the package podman-docker is a script that calls Podman."""
    client = host.which("docker")
    return client.ok and not ("podman" in (text := host.read(client.text).text) and text.startswith("#!"))


def _of_docker(daemon: Daemon) -> Target:
    """One that knows GPUs as CDI devices, and has no runtime for them, is asked by these."""
    try:
        if docker_version(daemon.version) < docker_version(docker_features()["gpus-flag"].since):
            return Target.DOCKER_18_09
    except ValueError:  # a build of somebody's own
        return Target.DOCKER
    by_cdi = any(name.startswith(f"{GPU_KIND}=") for name in daemon.cdi_devices)
    return Target.DOCKER_CDI if by_cdi and RUNTIME not in daemon.runtimes else Target.DOCKER
