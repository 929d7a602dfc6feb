"""Do the clients of this Docker fit it, and is it the only one?"""

from __future__ import annotations

from gpuctl.checks.engine import Judgement, check, passed, warned
from gpuctl.checks.gpus import understood
from gpuctl.checks.layers.docker import GPUS_FLAG_SINCE, at_least, daemon_of
from gpuctl.checks.remedies import as_root, install
from gpuctl.command import command
from gpuctl.compat.knowledge.releases import docker_features
from gpuctl.compat.versions import docker_version
from gpuctl.facts.docker.clients import DockerClients
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.machine.system import System
from gpuctl.model import Disturbs, Evidence, Remedy
from gpuctl.regex import regex

CLONE3_SINCE = "20.10.10"
"""Docker lets clone3 through from here on: https://docs.docker.com/engine/release-notes/20.10/"""
_NEW_GLIBC = regex(r"ubuntu2[2-9]|debian1[2-9]|bookworm|trixie|jammy|noble|(?:ubi|rockylinux|almalinux)(?:9|1\d)")
"""Tags of images whose glibc, 2.34 or later, starts threads by clone3."""


@check("docker.client-version")
def client_version(system: System, docker: Docker) -> Judgement | None:
    """The docker program must know --gpus (19.03) and speak an API that the daemon takes: Docker 29 begins at 1.44."""
    daemon, told = daemon_of(docker), docker.client_version.value
    if daemon is None or told is None or docker.kind.value == "podman":
        return None
    version, least = understood(docker_version, told), docker_features().get(f"api-{daemon.min_api_version}")
    seen = Evidence(
        docker.client_version.source, f"client {told}; the daemon takes API {daemon.min_api_version} and later"
    )
    remedy = install("docker-client", "Upgrade Docker's client.", system, Disturbs.NOTHING)
    if least and version < docker_version(least.since):
        message = f"The docker program {told} is too old for this daemon, which takes {least.since} and later."
        return warned(message, seen, remedy=remedy)
    if at_least(daemon, GPUS_FLAG_SINCE) and version < docker_version(GPUS_FLAG_SINCE):
        return warned(f"The docker program {told} does not know --gpus, though the daemon does.", seen, remedy=remedy)
    return passed(f"The docker program {told} fits the daemon", seen)


@check("docker.compose")
def compose(clients: DockerClients) -> Judgement | None:
    """docker-compose reserves GPUs from 1.28 on; the plugin `docker compose` always did."""
    told = clients.compose.get()
    if told is None:
        return None
    if understood(docker_version, told) >= docker_version(docker_features()["compose-requests"].since):
        return passed(f"docker-compose {told} reserves GPUs", clients.compose)
    remedy = Remedy("Use the plugin: docker compose (package docker-compose-plugin or docker-compose-v2).")
    return warned(
        f"docker-compose {told} refuses GPU reservations: they came with 1.28.", clients.compose, remedy=remedy
    )


@check("docker.several")
def several(system: System, docker: Docker, clients: DockerClients) -> Judgement | None:
    """A Docker from a snap beside the packages' one takes its place at times, and sees neither driver nor toolkit."""
    kind = docker.kind.value
    if kind not in ("engine", "rootless"):
        return None
    if not clients.snap.get():
        return passed("There is no second Docker from a snap", clients.snap)
    commands = as_root(system, command("snap", "stop", "--disable", "docker"))
    remedy = Remedy("Stop the snap, if nobody needs its containers.", commands, Disturbs.RUNNING_CONTAINERS)
    return warned(
        "A second Docker is installed, from a snap: it may take this one's place.", clients.snap, remedy=remedy
    )


@check("docker.clone3")
def clone3(system: System, docker: Docker) -> Judgement | None:
    """Docker before 20.10.10 forbids clone3, by which new images start threads: "pthread_create failed"."""
    daemon = daemon_of(docker)
    if daemon is None:
        return None
    hit = next((image for image in daemon.images if _NEW_GLIBC.search(image)), None)
    if hit is None or at_least(daemon, CLONE3_SINCE):
        return passed(
            "No image here needs what this Docker forbids", Evidence(docker.daemon.source, f"Docker {daemon.version}")
        )
    remedy = install("docker", "Upgrade Docker to 20.10.10 or later.", system, Disturbs.RUNNING_CONTAINERS)
    message = f"Docker {daemon.version} forbids clone3, without which {hit} starts no threads."
    return warned(message, Evidence(docker.daemon.source, hit), remedy=remedy)
