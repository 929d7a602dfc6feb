"""What talks to Docker beside gpuctl, and Dockers beside the one at the endpoint."""

from __future__ import annotations

from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

COMPOSE = ("docker-compose", "--version")
COMPOSE_PLUGIN = ("docker", "compose", "version")
SNAP = "/snap/bin/docker"
_VERSION = regex(r"version v?(\d[\d.]*)")


@dataclass(frozen=True)
class DockerClients:
    """`compose`: the version of the docker-compose program; the plugin `docker compose` is younger than any fault."""

    compose: Fact[str]
    snap: Fact[bool]
    """Whether the snap of Docker is installed."""


def probe_docker_clients(host: Host) -> DockerClients:
    """Returns the clients and the other Docker."""
    snap = host.stat(SNAP)
    is_there = Fact(False, SNAP) if snap.outcome is Outcome.ABSENT else fact(snap, lambda _: True)
    return DockerClients(fact(host.run(COMPOSE), parse_compose), is_there)


def probe_compose(host: Host) -> Fact[str]:
    """Returns the version of the Compose that people call here: the plugin's, where there is none docker-compose's."""
    plugin = fact(host.run(COMPOSE_PLUGIN), parse_compose)
    return plugin if plugin.value else fact(host.run(COMPOSE), parse_compose)


def parse_compose(text: str) -> str:
    """Returns the version. Raises ValueError.

    docker-compose version 1.25.0, build unknown
    Docker Compose version v2.29.2
    """
    found = _VERSION.search(text)
    if not found:
        raise ValueError(text.strip() or "no output")
    return found.group(1)
