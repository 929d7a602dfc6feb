"""A host in one line and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuctl.facts.docker.docker import State
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.headline import DockerMet, DriverVersion
from gpuctl.facts.machine.system import System

SUBJECTS = (System, Pci, DriverVersion, DockerMet)
"""What has to be gathered."""


def host_json(facts: Facts) -> dict[str, Any]:
    """Returns the facts that place a report: null where absent or unknown."""
    system, pci = facts.get(System), facts.get(Pci)
    driver, docker = facts.get(DriverVersion), facts.get(DockerMet)
    distribution = system.distribution.value if system else None
    return {
        "distribution": f"{distribution.name} {distribution.version}".strip() if distribution else None,
        "kernel": system.kernel.value if system else None,
        "machine": system.machine.value if system else None,
        "gpus": len(pci.gpus.value or ()) if pci and pci.gpus.unknown is None else None,
        "driver": driver.version.value if driver else None,
        "docker": docker.version if docker else None,
    }


def host_summary(facts: Facts) -> str:
    """Returns the host in one line: distribution, kernel, driver, Docker. What could not be looked at is unknown."""
    host = host_json(facts)
    parts = [
        host["distribution"],
        f"kernel {host['kernel']}" if host["kernel"] else None,
        _driver(facts),
        _docker(facts),
    ]
    return " · ".join(part for part in parts if part)


def _driver(facts: Facts) -> str:
    driver = facts.get(DriverVersion)
    if not driver or driver.version.unknown is not None:
        return "driver unknown"
    return f"driver {driver.version.value}" if driver.version.value else "no driver"


_WITHOUT_VERSION: Mapping[State | None, str] = {
    State.ABSENT: "no Docker",
    State.STOPPED: "Docker stopped",
    State.ASLEEP: "Docker stopped",
    State.ELSEWHERE: "Docker elsewhere",
}


def _docker(facts: Facts) -> str:
    met = facts.get(DockerMet)
    if met and met.version:
        return f"Docker {met.version}"
    docker = met.otherwise if met else None
    if docker is None:
        return "Docker unknown"
    if docker.kind.value == "podman":
        return "Podman"
    if docker.state.value is State.ABSENT and docker.installed:
        endpoint = docker.endpoint.value
        return f"no Docker where {endpoint.origin} points" if endpoint and endpoint.chosen else "Docker stopped"
    return _WITHOUT_VERSION.get(docker.state.value, "Docker unknown")
