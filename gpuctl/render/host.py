"""A host in one line and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpuctl.facts.docker import Docker, State
from gpuctl.facts.driver import Driver
from gpuctl.facts.gather import Facts
from gpuctl.facts.pci import Pci
from gpuctl.facts.system import System


def host_json(facts: Facts) -> dict[str, Any]:
    """Returns the facts that place a report: null where absent or unknown."""
    system, pci, driver, docker = (facts[subject] for subject in (System, Pci, Driver, Docker))
    distribution = system.distribution.value if isinstance(system, System) else None
    daemon = docker.daemon.value if isinstance(docker, Docker) else None
    return {
        "distribution": f"{distribution.name} {distribution.version}".strip() if distribution else None,
        "kernel": system.kernel.value if isinstance(system, System) else None,
        "machine": system.machine.value if isinstance(system, System) else None,
        "gpus": len(pci.gpus.value or ()) if isinstance(pci, Pci) and pci.gpus.unknown is None else None,
        "driver": driver.version.value if isinstance(driver, Driver) else None,
        "docker": daemon.version if daemon else None,
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
    driver = facts[Driver]
    if not isinstance(driver, Driver) or driver.version.unknown is not None:
        return "driver unknown"
    return f"driver {driver.version.value}" if driver.version.value else "no driver"


_WITHOUT_VERSION: Mapping[State | None, str] = {
    State.ABSENT: "no Docker",
    State.STOPPED: "Docker stopped",
    State.ASLEEP: "Docker stopped",
    State.ELSEWHERE: "Docker elsewhere",
}


def _docker(facts: Facts) -> str:
    docker = facts[Docker]
    if not isinstance(docker, Docker):
        return "Docker unknown"
    if docker.daemon.value:
        return f"Docker {docker.daemon.value.version}"
    if docker.kind.value == "podman":
        return "Podman"
    if docker.state.value is State.ABSENT and docker.installed:
        endpoint = docker.endpoint.value
        return f"no Docker where {endpoint.origin} points" if endpoint and endpoint.chosen else "Docker stopped"
    return _WITHOUT_VERSION.get(docker.state.value, "Docker unknown")
