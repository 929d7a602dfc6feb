"""All facts of a host, gathered concurrently; each subject is cut off at its deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Mapping, Optional

from gpuctl.facts.automatic_upgrades import AutomaticUpgrades, probe_automatic_upgrades
from gpuctl.facts.changes import Changes, probe_changes
from gpuctl.facts.configuration import Configuration, probe_configuration
from gpuctl.facts.containerd import Containerd, probe_containerd
from gpuctl.facts.crio import Crio, probe_crio
from gpuctl.facts.devices import Devices, probe_devices
from gpuctl.facts.disks import Disks, probe_disks
from gpuctl.facts.docker import Docker, probe_docker
from gpuctl.facts.docker_clients import DockerClients, probe_docker_clients
from gpuctl.facts.driver import Driver, probe_driver
from gpuctl.facts.isolation import Isolation, probe_isolation
from gpuctl.facts.kernel import Kernel, probe_kernel
from gpuctl.facts.logs import Logs, probe_logs
from gpuctl.facts.next_boot import NextBoot, probe_next_boot
from gpuctl.facts.package_history import PackageHistory, probe_package_history
from gpuctl.facts.packages import Packages, probe_packages
from gpuctl.facts.pci import Pci, probe_pci
from gpuctl.facts.podman import Podman, probe_podman
from gpuctl.facts.services import Services, probe_services
from gpuctl.facts.system import System, probe_system
from gpuctl.facts.toolkit import Toolkit, probe_toolkit
from gpuctl.facts.toolkit_settings import ToolkitSettings, probe_toolkit_settings
from gpuctl.host.deadline import DeadlineExceeded, start
from gpuctl.host.limits import limit_reached
from gpuctl.host.reading import Host

DEADLINE = 12.0

PROBES: Mapping[type, Callable[[Host], Any]] = {
    System: probe_system,
    Pci: probe_pci,
    Kernel: probe_kernel,
    Driver: probe_driver,
    Devices: probe_devices,
    Docker: probe_docker,
    Containerd: probe_containerd,
    Podman: probe_podman,
    Crio: probe_crio,
    Toolkit: probe_toolkit,
    Packages: probe_packages,
    Changes: probe_changes,
    Configuration: probe_configuration,
    DockerClients: probe_docker_clients,
    Isolation: probe_isolation,
    Logs: probe_logs,
    Services: probe_services,
    ToolkitSettings: probe_toolkit_settings,
    PackageHistory: probe_package_history,
    AutomaticUpgrades: probe_automatic_upgrades,
    NextBoot: probe_next_boot,
    Disks: probe_disks,
}


@dataclass(frozen=True)
class Missing:
    """A subject that no probe could describe, and why."""

    reason: str


Facts = Mapping[type, Any]


def gather(host: Host, subjects: Iterable[type] = PROBES, deadline: float = DEADLINE) -> Facts:
    """Returns each subject's facts by its type, or Missing. `deadline` in seconds, for all of them together."""
    end = time.monotonic() + deadline
    begun = {subject: _begin(host, subject) for subject in subjects}
    late = Missing("no answer within %g s" % deadline)
    return {subject: _seen(wait, max(0.0, end - time.monotonic()), late) for subject, wait in begun.items()}


def _begin(host: Host, subject: type) -> Callable[[Optional[float]], Any]:
    return start(lambda: PROBES[subject](host))


def _seen(wait: Callable[[Optional[float]], Any], seconds: float, late: Missing) -> Any:
    try:
        return wait(seconds)
    except DeadlineExceeded:
        return late
    except Exception as error:  # a probe that fails is one unknown subject, not the end of the report
        return Missing(limit_reached(error) or _failure(error))


def _failure(error: Exception) -> str:
    if isinstance(error, ImportError):  # of two threads that load one module where no file can be opened any more
        return "a part of gpuctl could not be loaded: %s" % error
    return "gpuctl failed to read it: %s: %s" % (type(error).__name__, error)
