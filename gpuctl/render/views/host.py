"""A host in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from gpuctl.checks.engine_here import engine_here, title_of
from gpuctl.facts.docker.daemon import State
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.headline import DockerMet, DriverVersion
from gpuctl.facts.machine.system import System
from gpuctl.facts.toolkit.toolkit import Toolkit

_TIMES = "\N{MULTIPLICATION SIGN}"
SUMMARY = (System, Pci, DriverVersion, DockerMet)
"""What has to be gathered."""


def host_summary(facts: Facts) -> str:
    """Returns the host in one line: distribution, kernel, GPUs, driver, engine, toolkit.

    What could not be looked at is unknown.
    """
    system = facts.get(System)
    kernel = system.kernel.value if system else None
    parts = [
        system.distribution.value.title if system and system.distribution.value else None,
        f"kernel {kernel}" if kernel else None,
        _gpus(facts),
        _driver(facts),
        _engine(facts),
        _toolkit(facts),
    ]
    return " · ".join(part for part in parts if part)


def _gpus(facts: Facts) -> str | None:
    """By name as far as NVML tells, else how many there are."""
    driver, pci = facts.get(Driver), facts.get(Pci)
    names = Counter(gpu.name for gpu in driver.gpus.value or ()) if driver else Counter[str | None]()
    if names and None not in names:
        shown = (f"{count} {_TIMES} {(name or '').removeprefix('NVIDIA ')}" for name, count in names.items())
        return " and ".join(shown)
    count = len(pci.gpus.value or ()) if pci else 0
    return f"{count} GPU{'' if count == 1 else 's'}" if count else None


def _toolkit(facts: Facts) -> str | None:
    toolkit = facts.get(Toolkit)
    if not toolkit:
        return None
    part = next((one.value for one in (toolkit.ctk, toolkit.cli, toolkit.runtime) if one.value), None)
    return f"toolkit {part.version}".strip() if part else "no toolkit"


def _engine(facts: Facts) -> str:
    """Docker; another engine where that runs containers here."""
    engine = engine_here(facts)
    if engine in ("", "docker"):
        return _docker(facts)
    from gpuctl.facts.containerd.containerd import Containerd
    from gpuctl.facts.crio import Crio
    from gpuctl.facts.podman import Podman

    found = {"containerd": facts.get(Containerd), "crio": facts.get(Crio), "podman": facts.get(Podman)}[engine]
    version = found.version.value if found else None
    return f"{title_of(engine, facts)} {version or ''}".strip()


def _driver(facts: Facts) -> str:
    driver = facts.get(DriverVersion)
    if not driver or driver.version.unknown is not None:
        return "driver unknown"
    if driver.version.value:
        return f"driver {driver.version.value}"
    jetson = driver.otherwise.release.value if driver.otherwise else None
    return f"Jetson Linux {jetson}" if jetson else "no driver"


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
