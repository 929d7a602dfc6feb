"""Which path gave a container its GPUs: by what it asked for, and by how its engine and the toolkit answer that."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from gpuctl.checks.gpus import understood
from gpuctl.checks.layers.docker import gpus_by_cdi
from gpuctl.compat.versions import docker_version
from gpuctl.documents import load_toml
from gpuctl.facts.docker.containers import Container, DeviceRequest
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.toolkit.toolkit import Toolkit

RUNTIME = "nvidia-container-runtime"
JIT_CDI_SINCE = "1.18.0"
"""From here on the mode auto is just-in-time CDI: https://github.com/NVIDIA/nvidia-container-toolkit/pull/910"""
_NOBODY = (None, "", "none", "void")
"""What NVIDIA_VISIBLE_DEVICES says where no GPU is asked for."""


class GpuPath(str, Enum):
    """A path, in the words of a report."""

    HOOK = "--gpus by the hook"
    LEGACY = "--runtime=nvidia in mode legacy"
    JIT_CDI = "--runtime=nvidia by just-in-time CDI"
    CDI = "CDI"
    CSV = "--runtime=nvidia by csv files"
    DEVICE = "--device"


BEHIND_THE_RUNTIME = (GpuPath.HOOK, GpuPath.LEGACY)
"""libnvidia-container opens the devices when runc has told systemd its rules: systemd never learns of them."""
_RULE = re.compile(r"[ca] (?:195|\*):(?:255|\*) r?w?")
_OF_MODE = {"legacy": GpuPath.LEGACY, "cdi": GpuPath.CDI, "jit-cdi": GpuPath.JIT_CDI, "csv": GpuPath.CSV}


_OF_PROGRAM = {f"{RUNTIME}.legacy": GpuPath.LEGACY, f"{RUNTIME}.cdi": GpuPath.CDI}
"""The toolkit's programs that have their mode in their name."""


@dataclass(frozen=True)
class Paths:
    """Which path a host's Docker takes for --gpus, and for each of NVIDIA's runtimes by the name that it has there."""

    flag: GpuPath
    runtimes: Mapping[str, GpuPath]

    def of(self, container: Container) -> GpuPath | None:
        """Returns the path that gave a container its GPUs, None where it has none."""
        asked = self._asked(container)
        given = asked or any(path.startswith("/dev/nvidia") for path in container.devices)
        return GpuPath.DEVICE if given and _opens_by_itself(container) else asked

    def _asked(self, container: Container) -> GpuPath | None:
        if any(request.driver == "cdi" and _names_gpus(request) for request in container.requests):
            return GpuPath.CDI
        flag = any(request.driver in ("", "nvidia") for request in container.requests)
        if container.runtime in self.runtimes and (flag or container.visible not in _NOBODY):
            return GpuPath.CDI if "=" in (container.visible or "") else self.runtimes[container.runtime]
        return self.flag if flag else None


def _names_gpus(request: DeviceRequest) -> bool:
    return any("nvidia.com/" in name for name in request.devices)


def _opens_by_itself(container: Container) -> bool:
    """Whether its own options allow what every program opens first, /dev/nvidiactl (195:255)."""
    ruled = any(_RULE.match(rule) for rule in container.rules)
    return container.privileged or ruled or "/dev/nvidiactl" in container.devices


def paths(docker: Docker, toolkit: Toolkit, pci: Pci) -> Paths:
    """Returns the paths of this host. Raises CannotTell."""
    registered = docker.daemon.value.runtimes if docker.daemon.value else {}
    programs = {name: posixpath.basename(path or "") for name, path in registered.items()}
    usual = _of_runtime(toolkit, pci)
    runtimes = {name: _OF_PROGRAM.get(told, usual) for name, told in programs.items() if told.startswith(RUNTIME)}
    return Paths(GpuPath.CDI if gpus_by_cdi(docker, toolkit) else GpuPath.HOOK, {"nvidia": usual, **runtimes})


def _of_runtime(toolkit: Toolkit, pci: Pci) -> GpuPath:
    """An old nvidia-container-runtime does not tell its version, and knows no just-in-time CDI."""
    mode, version = _mode(toolkit), toolkit.runtime.value.version if toolkit.runtime.value else ""
    if mode != "auto":
        return _OF_MODE.get(mode, GpuPath.LEGACY)
    if pci.tegra.value:
        return GpuPath.CSV
    is_jit = bool(version) and understood(docker_version, version) >= docker_version(JIT_CDI_SINCE)
    return GpuPath.JIT_CDI if is_jit else GpuPath.LEGACY


def _mode(toolkit: Toolkit) -> str:
    """What config.toml says; no container is given GPUs by one that is no TOML."""
    try:
        section = load_toml(toolkit.settings.value or "").get(RUNTIME)
    except ValueError:
        return "auto"
    mode = section.get("mode") if isinstance(section, dict) else None
    return mode if isinstance(mode, str) and mode else "auto"
