"""Which path gave a container its GPUs: by what it asked for, and by how its engine and the toolkit answer that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

from gpuctl.checks.layers.docker import gpus_by_cdi
from gpuctl.checks.ways import Way, bound_mode, in_force, is_nvidias
from gpuctl.facts.docker.containers import Container, DeviceRequest
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.toolkit.settings import MODE, ToolkitSettings
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.frozen import dataclass
from gpuctl.model import CannotTell

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


def paths(docker: Docker, toolkit: Toolkit, settings: ToolkitSettings, driver: Driver) -> Paths:
    """Returns the paths of this host. Raises CannotTell."""
    registered = docker.daemon.value.runtimes if docker.daemon.value else {}
    programs = {name: program for name, program in registered.items() if is_nvidias(program)}
    chosen = {program: _of_runtime(program, toolkit, settings, driver) for program in (None, *programs.values())}
    runtimes = {name: chosen[program] for name, program in programs.items()}
    return Paths(GpuPath.CDI if gpus_by_cdi(docker, toolkit) else GpuPath.HOOK, {"nvidia": chosen[None], **runtimes})


def _of_runtime(program: str | None, toolkit: Toolkit, settings: ToolkitSettings, driver: Driver) -> GpuPath:
    """One that does not tell its version is old, and knows no other mode than legacy."""
    try:
        here = in_force(toolkit, settings, driver)
    except CannotTell:
        return GpuPath.LEGACY
    mode = bound_mode(program) or here.value(MODE)
    chosen = mode if mode in _OF_MODE else here.paths(Way("nvidia-container-runtime", "runtime"))[-1]
    return _OF_MODE.get(chosen, GpuPath.LEGACY)
