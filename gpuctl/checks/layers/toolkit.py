"""Is the NVIDIA Container Toolkit there, whole, and of a version that is safe?"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.engine_here import is_outside
from gpuctl.checks.layers.docker import none_starts
from gpuctl.checks.paths.engines import EnginePaths
from gpuctl.checks.paths.ways import BEHIND_THE_RUNTIME
from gpuctl.checks.remedies import as_root, install, install_toolkit, upgrade_toolkit
from gpuctl.command import command
from gpuctl.compat.knowledge.releases import toolkit_cves
from gpuctl.compat.versions import compare, leading
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.tegra import CSV_FOLDER, Tegra
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.logs import TOOLKIT
from gpuctl.facts.packages.packages import TOOLKIT as PACKAGES
from gpuctl.facts.packages.packages import Packages
from gpuctl.facts.toolkit.toolkit import Part, Toolkit
from gpuctl.model import ENGINES, Disturbs, Evidence, Fact, Remedy

WITHOUT_TOOLKIT = ("cos", "gke")
"""Keepers whose device plugin puts the driver into containers by itself."""


def _part(fact: Fact[Part]) -> Evidence:
    part = fact.value
    return Evidence(fact.source, f"{part.path} {part.version}".strip() if part else fact.unknown or "absent")


@check(
    "toolkit.installed",
    explains=("toolkit.hook", "toolkit.runtime", "toolkit.cli", "registration.runtime-path"),
)
def installed(toolkit: Toolkit, system: System, paths: EnginePaths, keeper: Keeper) -> Judgement | None:
    """The NVIDIA Container Toolkit puts the host's driver into containers. Its package is nvidia-container-toolkit.

    An engine that goes by a CDI specification does without, once that is written.
    """
    parts = (toolkit.ctk, toolkit.cli, toolkit.runtime, toolkit.hook)
    seen = [_part(part) for part in parts]
    if any(part.get() for part in parts):
        return passed("The NVIDIA Container Toolkit is installed", *seen)
    if keeper.driver.value in WITHOUT_TOOLKIT or paths.need_no_toolkit:
        return None
    if toolkit.cdi.value and paths.need_no_runtime:
        return passed("The engines here go by the CDI specification that is there", toolkit.cdi)
    also, way = none_starts(paths.toolkit.docker)
    remedy = install_toolkit(system, f"Install the toolkit.{way}")
    return failed(f"The NVIDIA Container Toolkit is not installed.{also}", *seen, remedy=remedy)


@check("toolkit.runtime", explains=("registration.runtime-path",))
def runtime(system: System, toolkit: Toolkit, paths: EnginePaths, keeper: Keeper) -> Judgement | None:
    """nvidia-container-runtime is what Docker calls for `--runtime=nvidia`: runc with the GPUs added."""
    if toolkit.runtime.get():
        return passed("nvidia-container-runtime is there", _part(toolkit.runtime))
    if keeper.driver.value in WITHOUT_TOOLKIT or paths.need_no_runtime:
        return None
    also, way = none_starts(paths.toolkit.docker)
    remedy = install_toolkit(system, f"Install the whole toolkit.{way}")
    return failed(f"nvidia-container-runtime is missing.{also}", _part(toolkit.runtime), remedy=remedy)


@check("toolkit.hook", explains=("registration.hook-visible",))
def hook(system: System, toolkit: Toolkit, paths: EnginePaths) -> Judgement | None:
    """nvidia-container-runtime-hook is what Docker calls for `--gpus`, before the container's program starts.

    From Docker 29.2 on it does without where there is a CDI specification; Podman, and just-in-time CDI, always do.
    """
    if toolkit.hook.get():
        return passed("nvidia-container-runtime-hook is there", _part(toolkit.hook))
    if paths.need_no_hook:
        return None
    remedy = install_toolkit(system, "Install the whole toolkit.")
    by_hook = next((name for name, path in paths.used.items() if path in BEHIND_THE_RUNTIME), "docker")
    lost = "--gpus" if by_hook == "docker" else f"the hook of {ENGINES[by_hook]}"
    return failed(
        f"nvidia-container-runtime-hook is missing: {lost} will not work.", _part(toolkit.hook), remedy=remedy
    )


@check("toolkit.cli")
def cli(system: System, toolkit: Toolkit, paths: EnginePaths) -> Judgement | None:
    """nvidia-container-cli (libnvidia-container) does the mounting in legacy mode, which the hook uses."""
    if toolkit.cli.get():
        return passed("nvidia-container-cli is there", _part(toolkit.cli))
    if paths.need_no_hook and not paths.jobs.by_toolkit:
        return None
    remedy = install_toolkit(system, "Install libnvidia-container-tools, which the toolkit's package brings.")
    return failed("nvidia-container-cli is missing: the hook cannot work.", _part(toolkit.cli), remedy=remedy)


@check("toolkit.csv")
def csv(system: System, toolkit: Toolkit, tegra: Tegra) -> Judgement | None:
    """On a Jetson nvidia-container-runtime gives containers what lists in a folder name: --runtime=nvidia, not --gpus.

    Source: https://github.com/NVIDIA/nvidia-container-toolkit, internal/modifier/csv.go
    """
    if not tegra.by_csv or toolkit.runtime.get() is None:
        return None
    if tegra.lists.get():
        return passed("Containers get the GPU with --runtime=nvidia, by JetPack's lists", tegra.lists)
    packages = command("apt-get", "install", "-y", "nvidia-container")
    remedy = Remedy("Install JetPack's packages for containers.", as_root(system, packages))
    message = "JetPack's lists of what containers get are missing: they get no GPU."
    return warned(message, Evidence(CSV_FOLDER, "no list"), remedy=remedy)


@check("toolkit.versions-agree", follows=TOOLKIT)
def versions_agree(system: System, toolkit: Toolkit, packages: Packages, tegra: Tegra) -> Judgement | None:
    """The toolkit's programs, its packages and libnvidia-container are released together; a hold, or a mix of
    repositories, leaves them apart. JetPack before 6 brings them so: https://repo.download.nvidia.com/jetson/, r35.

    Source: https://github.com/NVIDIA/nvidia-container-toolkit/issues/1091
    """
    ctk = toolkit.ctk.get()
    if ctk is None or not leading(ctk.version) or compare(leading(tegra.release.value or "") or "36", "36") < 0:
        return None
    parts = dict(_versions(toolkit, packages))
    newest = max(parts.values(), key=lambda version: tuple(map(int, version.split("."))))
    seen = [Evidence(TOOLKIT, f"{name} {version}") for name, version in parts.items()]
    older = [f"{name} is {version}" for name, version in parts.items() if compare(version, newest) != 0]
    if not older:
        return passed(f"All parts are version {ctk.version}", *seen)
    message = f"{' and '.join(older)}; the rest of the toolkit is {newest}."
    remedy = upgrade_toolkit(system, packages, "Take all parts from one repository.", toolkit)
    return warned(message, *seen, remedy=remedy)


def _versions(toolkit: Toolkit, packages: Packages) -> Iterator[tuple[str, str]]:
    """The version of each program that was asked for it, and of each package."""
    for part in (toolkit.ctk, toolkit.cli, toolkit.runtime, toolkit.hook):
        if part.value and leading(part.value.version):
            yield posixpath.basename(part.value.path), leading(part.value.version)
    for name, package in (packages.installed.value or {}).items():
        if name in PACKAGES and leading(package.version):
            yield name, leading(package.version)


@check("toolkit.version-safe")
def version_safe(system: System, toolkit: Toolkit, packages: Packages) -> Judgement | None:
    """Older toolkits let a hostile image out of its container (NVIDIA/nvidia-container-toolkit security advisories)."""
    ctk = toolkit.ctk.get()
    version = leading(ctk.version) if ctk else ""
    if not version:
        return None
    open_holes = [hole for hole in toolkit_cves() if compare(version, hole.fixed) < 0]
    if not open_holes:
        return passed(f"No known hole in toolkit {version}", _part(toolkit.ctk))
    newest = max(open_holes, key=lambda hole: tuple(int(part) for part in hole.fixed.split(".")))
    names = ", ".join(hole.id for hole in open_holes[:3]) + (" and more" if len(open_holes) > 3 else "")
    return warned(
        f"Toolkit {version} has known holes ({names}), closed in {newest.fixed}.",
        _part(toolkit.ctk),
        remedy=upgrade_toolkit(system, packages, "Upgrade the toolkit.", toolkit),
    )


@check("toolkit.runc")
def runc(system: System, docker: Docker, toolkit: Toolkit) -> Judgement | None:
    """nvidia-container-runtime hands every container on to runc (or crun), which must be on PATH.

    K3s and the like bring one of their own.
    """
    if not docker.installed or is_outside(docker, system):
        return None
    if toolkit.runc.get():
        return passed("runc is there", _part(toolkit.runc))
    remedy = install("runc", "Install runc.", system, Disturbs.NOTHING)
    return warned("runc is not on PATH.", _part(toolkit.runc), remedy=remedy)
