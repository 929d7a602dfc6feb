"""Which path gave a container its GPUs: by what it asked for, and by how its engine and the toolkit answer that."""

from __future__ import annotations

from collections.abc import Mapping

from gpuctl.checks.engine import together
from gpuctl.checks.layers.docker import gpus_by_cdi, only_cdi_devices
from gpuctl.checks.paths.ways import OF_MODE, GpuPath, Way, bound_mode, docker_ways, in_force, is_nvidias
from gpuctl.facts.docker.containers import Container, DeviceRequest
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.toolkit.settings import MODE, ToolkitSettings
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.frozen import dataclass
from gpuctl.model import CannotTell
from gpuctl.regex import regex

_NOBODY = (None, "", "none", "void")
"""What NVIDIA_VISIBLE_DEVICES says where no GPU is asked for."""


_RULE = regex(r"[ca] (?:195|\*):(?:255|\*) r?w?")


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
        flag = asks_by_flag(container)
        if container.runtime in self.runtimes and (flag or container.visible not in _NOBODY):
            return GpuPath.CDI if "=" in (container.visible or "") else self.runtimes[container.runtime]
        return self.flag if flag else None


def asks_by_flag(container: Container) -> bool:
    """Returns whether it was started with --gpus."""
    return any(request.driver in ("", "nvidia") for request in container.requests)


def _names_gpus(request: DeviceRequest) -> bool:
    return any("nvidia.com/" in name for name in request.devices)


def _opens_by_itself(container: Container) -> bool:
    """Whether its own options allow what every program opens first, /dev/nvidiactl (195:255)."""
    ruled = any(_RULE.match(rule) for rule in container.rules)
    return container.privileged or ruled or "/dev/nvidiactl" in container.devices


@together
@dataclass(frozen=True)
class DockerPaths:
    """Docker, and the toolkit by which it gives GPUs."""

    docker: Docker
    toolkit: Toolkit
    found: ToolkitSettings
    tegra: Tegra

    @property
    def paths(self) -> Paths:
        """The paths of this Docker. Raises CannotTell."""
        registered = self.docker.daemon.value.runtimes if self.docker.daemon.value else {}
        runtimes = {name: self._of(program) for name, program in registered.items() if is_nvidias(program)}
        by_cdi = gpus_by_cdi(self.docker, self.toolkit) or only_cdi_devices(self.docker, self.toolkit)
        flag = GpuPath.CDI if by_cdi else GpuPath.HOOK
        return Paths(flag, {"nvidia": self._of(None), **runtimes})

    @property
    def hook_refuses(self) -> bool:
        """Whether --gpus comes to nothing, as the hook refuses to be called in the mode in force: csv on a Jetson."""
        try:
            here = in_force(self.toolkit, self.found, self.tegra)
            ways = docker_ways(self.docker, self.toolkit)
            return any(way.start == "hook" and here.fault(MODE, way) is not None for way in ways)
        except CannotTell:
            return False

    def of_the_next(self, default_runtime: str) -> GpuPath | None:
        """Returns the path of a container that is started with GPUs now, where that is its default runtime: by --gpus,
        or by --runtime=nvidia where that comes to nothing; None where both do. Raises CannotTell.
        """
        paths, works = self.paths, [way for way in docker_ways(self.docker, self.toolkit) if self._works(way)]
        if not works:
            return None
        by_runtime = works[0].start == "runtime"
        return paths.runtimes.get(default_runtime, paths.runtimes["nvidia"] if by_runtime else paths.flag)

    def _works(self, way: Way) -> bool:
        """Whether its program is there, and no setting spoils it."""
        program = {"hook": self.docker.hook_file, "runtime": self.docker.runtime_file}.get(way.start)
        if program is not None and program.unknown is None and program.value is None:
            return False
        try:
            return not in_force(self.toolkit, self.found, self.tegra).spoilt((way,))
        except CannotTell:
            return True

    def _of(self, program: str | None) -> GpuPath:
        """One that does not tell its version is old, and knows no other mode than legacy."""
        try:
            here = in_force(self.toolkit, self.found, self.tegra)
            return OF_MODE.get(bound_mode(program) or here.value(MODE)) or here.runtime_path(program) or GpuPath.LEGACY
        except CannotTell:
            return GpuPath.LEGACY
