"""By which path each engine here gives GPUs: what a path does not use is not asked for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from gpuctl.checks.layers.docker import gpus_by_cdi
from gpuctl.checks.ways import Way, in_force
from gpuctl.facts.containerd.containerd import Containerd
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.podman import Podman
from gpuctl.facts.toolkit.settings import ToolkitSettings
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.model import CannotTell


class Path(str, Enum):
    """How an engine gives GPUs."""

    HOOK = "hook"
    JIT_CDI = "just-in-time CDI"
    CDI = "CDI specification"
    CSV = "csv"


_CHOSEN: Mapping[str, Path] = {"legacy": Path.HOOK, "jit-cdi": Path.JIT_CDI, "cdi": Path.CDI, "csv": Path.CSV}


def paths(
    docker: Docker,
    containerd: Containerd,
    crio: Crio,
    podman: Podman,
    toolkit: Toolkit,
    tegra: Tegra,
    settings: ToolkitSettings,
    driver: Driver,
) -> Mapping[str, Path | None]:
    """Returns the path of each engine that runs containers here, None where it cannot be told."""
    found: dict[str, Path | None] = {}
    if docker.installed and docker.kind.value != "podman":
        found["docker"] = _of_docker(docker, toolkit, tegra)
    if podman.program.value:
        found["podman"] = _of_podman(podman, tegra)
    if containerd.process.value and containerd.flavour.value not in (None, "docker"):
        found["containerd"] = _of_runtime(toolkit, settings, driver)
    if crio.process.value:
        found["crio"] = _of_runtime(toolkit, settings, driver)
    return found


def _of_docker(docker: Docker, toolkit: Toolkit, tegra: Tegra) -> Path:
    if tegra.by_csv:
        return Path.CSV
    try:
        return Path.CDI if gpus_by_cdi(docker, toolkit) else Path.HOOK
    except CannotTell:  # a build of somebody's own, whose version tells nothing
        return Path.HOOK


def _of_podman(podman: Podman, tegra: Tegra) -> Path:
    if tegra.by_csv and not podman.hooks.value:
        return Path.CSV
    return Path.HOOK if podman.hooks.value else Path.CDI


def _of_runtime(toolkit: Toolkit, settings: ToolkitSettings, driver: Driver) -> Path | None:
    """That of nvidia-container-runtime, which Kubernetes' engines call."""
    try:
        taken = in_force(toolkit, settings, driver).paths(Way("the runtime nvidia", "runtime"))
    except CannotTell:
        return None
    return _CHOSEN.get(taken[-1])
