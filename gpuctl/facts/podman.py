"""Podman: where it is, and which version."""

from __future__ import annotations

from dataclasses import dataclass

from gpuctl.facts.docker.docker import parse_client_version
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact


@dataclass(frozen=True)
class Podman:
    """Podman has no daemon: it reads its configuration, and CDI specifications, for every container anew."""

    program: Fact[str]
    version: Fact[str]


def probe_podman(host: Host) -> Podman:
    """Returns what Podman says of its version. `podman info` is not asked: it makes Podman's directories."""
    return Podman(fact(host.which("podman"), str), fact(host.run(("podman", "--version")), parse_client_version))
