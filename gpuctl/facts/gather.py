"""All facts of a host, gathered concurrently in one look; each subject is cut off at its deadline."""

from __future__ import annotations

import sys
import time
from types import FrameType, TracebackType
from typing import Any, Callable, Iterable, Literal, Mapping, Optional, Type, TypeVar, Union

from gpuctl.facts.containerd.containerd import Containerd, probe_containerd
from gpuctl.facts.crio import Crio, probe_crio
from gpuctl.facts.docker.clients import DockerClients, probe_docker_clients
from gpuctl.facts.docker.containers import DockerContainers, probe_docker_containers
from gpuctl.facts.docker.docker import Docker, probe_docker
from gpuctl.facts.gpu.devices import Devices, probe_devices
from gpuctl.facts.gpu.driver import Driver, probe_driver
from gpuctl.facts.gpu.keeper import Keeper, probe_keeper
from gpuctl.facts.gpu.licence import Licence, probe_licence
from gpuctl.facts.gpu.pci import Pci, probe_pci
from gpuctl.facts.gpu.tegra import Tegra, probe_tegra
from gpuctl.facts.gpu.wsl import WslLibraries, probe_wsl_libraries
from gpuctl.facts.headline import DockerMet, DriverVersion, probe_docker_met, probe_driver_version
from gpuctl.facts.job_runtimes import JobRuntimes, probe_job_runtimes
from gpuctl.facts.kubelet.kubelet import Kubelet, probe_kubelet
from gpuctl.facts.machine.disks import Disks, probe_disks
from gpuctl.facts.machine.identity import Identity, probe_identity
from gpuctl.facts.machine.isolation import Isolation, probe_isolation
from gpuctl.facts.machine.kernel import Kernel, probe_kernel
from gpuctl.facts.machine.logs import Logs, probe_logs
from gpuctl.facts.machine.next_boot import NextBoot, probe_next_boot
from gpuctl.facts.machine.scopes import Scopes, probe_scopes
from gpuctl.facts.machine.services import Services, probe_services
from gpuctl.facts.machine.system import System, probe_system
from gpuctl.facts.own.configuration import Configuration, probe_configuration
from gpuctl.facts.own.journal import Changes, probe_changes
from gpuctl.facts.packages.automatic_upgrades import AutomaticUpgrades, probe_automatic_upgrades
from gpuctl.facts.packages.history import PackageHistory, probe_package_history
from gpuctl.facts.packages.packages import Packages, probe_packages
from gpuctl.facts.podman import Podman, probe_podman
from gpuctl.facts.toolkit.settings import ToolkitSettings, probe_toolkit_settings
from gpuctl.facts.toolkit.toolkit import Toolkit, probe_toolkit
from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import DeadlineExceeded, start
from gpuctl.host.look.limits import limit_reached
from gpuctl.host.look.reading import Host
from gpuctl.host.record.memory import remembering
from gpuctl.model import CannotTell
from gpuctl.regex import regex

T = TypeVar("T")

DEADLINE = 12.0

PROBES: Mapping[type, Callable[[Host], Any]] = {
    System: probe_system,
    Pci: probe_pci,
    Tegra: probe_tegra,
    Kernel: probe_kernel,
    Driver: probe_driver,
    Devices: probe_devices,
    Keeper: probe_keeper,
    Licence: probe_licence,
    WslLibraries: probe_wsl_libraries,
    Docker: probe_docker,
    Containerd: probe_containerd,
    Podman: probe_podman,
    JobRuntimes: probe_job_runtimes,
    Crio: probe_crio,
    Toolkit: probe_toolkit,
    Packages: probe_packages,
    Changes: probe_changes,
    Configuration: probe_configuration,
    DockerClients: probe_docker_clients,
    DockerContainers: probe_docker_containers,
    Isolation: probe_isolation,
    Logs: probe_logs,
    Services: probe_services,
    Scopes: probe_scopes,
    ToolkitSettings: probe_toolkit_settings,
    PackageHistory: probe_package_history,
    AutomaticUpgrades: probe_automatic_upgrades,
    NextBoot: probe_next_boot,
    Disks: probe_disks,
    Kubelet: probe_kubelet,
    Identity: probe_identity,
}
HEADLINE: Mapping[type, Callable[[Host], Any]] = {
    DriverVersion: probe_driver_version,
    DockerMet: probe_docker_met,
}
"""What Driver and Docker tell as well, for a report that needs no more of them."""


@dataclass(frozen=True)
class Missing:
    """A subject that no probe could describe, and why. It is false, where a subject's facts are true."""

    reason: str

    def __bool__(self) -> Literal[False]:
        return False


@dataclass(frozen=True)
class Facts:
    """What a look has found, by subject. One that was not looked at is missing too."""

    found: Mapping[type, Any]

    def get(self, subject: Type[T]) -> Union[T, Missing]:
        """Returns a subject's facts, or Missing."""
        found: Union[T, Missing] = self.found.get(subject, _NOT_LOOKED_AT)
        return found

    def known(self, subject: Type[T]) -> T:
        """Returns a subject's facts. Raises CannotTell, with the reason alone, where they are missing."""
        found = self.get(subject)
        if isinstance(found, Missing):
            raise CannotTell(found.reason)
        return found

    def __or__(self, later: Facts) -> Facts:
        """Returns these facts with those of a later look, which count where both have a subject."""
        return Facts({**self.found, **later.found})


_LACKING = regex(r"module '([\w.]+)' has no attribute '(\w+)'")
_NOT_LOOKED_AT = Missing("gpuctl did not look at it")


def gather(host: Host, subjects: Iterable[type] = PROBES, deadline: float = DEADLINE) -> Facts:
    """Returns each subject's facts, or that it is missing. `deadline` in seconds, for all of them together.

    Nothing is looked at twice, so that the facts agree with each other. Another call looks anew, unless the host itself
    remembers what it has seen.
    """
    memory = remembering(host)
    end = time.monotonic() + deadline
    begun = {subject: _begin(memory, subject) for subject in subjects}
    late = Missing("no answer within %g s" % deadline)
    return Facts({subject: _seen(wait, max(0.0, end - time.monotonic()), late) for subject, wait in begun.items()})


def _begin(host: Host, subject: type) -> Callable[[Optional[float]], Any]:
    probe = PROBES.get(subject) or HEADLINE[subject]
    return start(lambda: probe(host))


def _seen(wait: Callable[[Optional[float]], Any], seconds: float, late: Missing) -> Any:
    try:
        return wait(seconds)
    except DeadlineExceeded:
        return late
    except Exception as error:  # a probe that fails is one unknown subject, not the end of the report
        return Missing(limit_reached(error) or _failure(error))


def _failure(error: Exception) -> str:
    if isinstance(error, ImportError) or _is_half_loaded(error):
        return "a part of gpuctl could not be loaded: %s" % error
    return "gpuctl failed to read it: %s: %s" % (type(error).__name__, error)


def _is_half_loaded(error: Exception) -> bool:
    """Whether an error is about a module that could not be loaded, in a thread that had waited for another to load it.

    The other's error is an ImportError or an OSError, as where no file can be opened any more; the waiting thread gets
    the module as far as it came (CPython 3.11's _find_and_load), which sys.modules no longer has. It lacks a name, or a
    function of it does.
    """
    if isinstance(error, NameError) and error.__traceback__:
        names = _innermost(error.__traceback__).f_globals
        return vars(sys.modules.get(names["__name__"], object)) is not names
    lacking = _LACKING.search(str(error)) if isinstance(error, AttributeError) else None
    return lacking is not None and (lacking[1] not in sys.modules or hasattr(sys.modules[lacking[1]], lacking[2]))


def _innermost(trace: TracebackType) -> FrameType:
    """The frame in which an error was raised."""
    return _innermost(trace.tb_next) if trace.tb_next else trace.tb_frame
