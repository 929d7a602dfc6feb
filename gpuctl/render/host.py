"""A host in one line and as JSON."""

from __future__ import annotations

from typing import Any

from gpuctl.facts.docker import Docker
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
    """Returns the host in one line: distribution, kernel, driver, Docker."""
    host = host_json(facts)
    parts = [
        host["distribution"],
        f"kernel {host['kernel']}" if host["kernel"] else None,
        f"driver {host['driver']}" if host["driver"] else "no driver",
        f"Docker {host['docker']}" if host["docker"] else "no Docker",
    ]
    return " · ".join(part for part in parts if part)
