"""By which path each engine here gives GPUs: what a path does not use is not asked for."""

from __future__ import annotations

from collections.abc import Mapping

from gpuctl.checks.engine import together
from gpuctl.checks.engine_here import is_engine, is_outside, within_container
from gpuctl.checks.layers.docker import has_cdi_gpus, only_cdi_devices, sets_up_itself
from gpuctl.checks.paths.ways import BEHIND_THE_RUNTIME, GpuPath, ToolkitInUse
from gpuctl.facts.job_runtimes import JobRuntimes
from gpuctl.facts.machine.system import System
from gpuctl.facts.podman import Podman
from gpuctl.frozen import dataclass
from gpuctl.model import CannotTell


@together
@dataclass(frozen=True)
class EnginePaths:
    """The engines here, and the toolkit by which they may give GPUs."""

    toolkit: ToolkitInUse
    podman: Podman
    jobs: JobRuntimes
    system: System

    @property
    def used(self) -> Mapping[str, GpuPath | None]:
        """The path of each engine here, None where it cannot be told; of one that is outside it is not asked."""
        here, found = self.toolkit, dict[str, GpuPath | None]()
        if is_engine(here.docker) and not is_outside(here.docker, self.system):
            found["docker"] = self._of_docker()
        if self.podman.program.value:
            found["podman"] = self._of_podman()
        if here.containerd.process.value and here.containerd.flavour.value not in (None, "docker"):
            found["containerd"] = self._of_runtime()
        if here.crio.process.value:
            found["crio"] = GpuPath.HOOK if here.crio.hooks.value else self._of_runtime()
        return found

    @property
    def need_no_hook(self) -> bool:
        """Whether it is told what runs containers, and none gives GPUs behind the runtime's back."""
        return self._is_told and not any(path in BEHIND_THE_RUNTIME for path in self.used.values())

    @property
    def need_no_runtime(self) -> bool:
        """Whether it is told what runs containers, and all go by a CDI specification themselves."""
        return self._is_told and set(self.used.values()) <= {GpuPath.CDI}

    @property
    def need_no_toolkit(self) -> bool:
        """Whether all that runs containers here brings GPUs in without NVIDIA's toolkit on the host."""
        if self.jobs.by_toolkit:
            return False
        if sets_up_itself(self.toolkit.docker, self.system):
            return self.used.keys() <= {"docker"}
        return self._is_told and not self.used

    @property
    def _is_told(self) -> bool:
        """Whether it is told what runs containers: engines, jobs, or for a container its host."""
        outside = within_container(self.system) or sets_up_itself(self.toolkit.docker, self.system)
        return outside or bool(self.used or self.jobs.programs.value)

    def _of_docker(self) -> GpuPath:
        here = self.toolkit
        if sets_up_itself(here.docker, self.system):
            return GpuPath.CDI
        if here.tegra.by_csv:
            return GpuPath.CSV
        try:
            by_cdi = has_cdi_gpus(here.docker, here.toolkit) or only_cdi_devices(here.docker, here.toolkit)
            return GpuPath.CDI if by_cdi else GpuPath.HOOK
        except CannotTell:  # a build of somebody's own, whose version tells nothing
            return GpuPath.HOOK

    def _of_podman(self) -> GpuPath:
        return GpuPath.HOOK if self.podman.hooks.value else GpuPath.CDI

    def _of_runtime(self) -> GpuPath | None:
        """That of nvidia-container-runtime, which Kubernetes' engines call."""
        try:
            return self.toolkit.settings.runtime_path()
        except CannotTell:
            return None
