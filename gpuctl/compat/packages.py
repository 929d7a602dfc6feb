"""Which commands install what, by package manager and distribution: knowledge from data/install_commands.jsonl."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from gpuctl.compat.gpu_rules import serving_modules
from gpuctl.compat.gpus import Gpu
from gpuctl.compat.tables import architectures, load

# The names under which NVIDIA's driver repository keeps the distributions; relatives use their elder's packages.
# Source: https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/
_REPOSITORIES = {
    "debian": "debian",
    "ubuntu": "ubuntu",
    "fedora": "fedora",
    "amzn": "amzn",
    "rhel": "rhel",
    "centos": "rhel",
    "rocky": "rhel",
    "almalinux": "rhel",
    "ol": "rhel",
    "sles": "sles",
    "opensuse-leap": "opensuse",
}
_WHOLE_VERSION = {"ubuntu"}
_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "sbsa"}


@dataclass(frozen=True)
class InstallRow:
    """The commands that install one thing with one package manager.

    No distributions: it serves all that have it; no versions (major ones): it serves all of theirs.
    """

    what: str
    manager: str
    distributions: tuple[str, ...]
    commands: tuple[str, ...]
    source: str
    versions: tuple[str, ...] = ()
    note: str | None = None


@cache
def install_rows() -> tuple[InstallRow, ...]:
    """Returns the table, the rows for particular distributions before the general ones."""
    return load("install_commands", InstallRow)


@dataclass(frozen=True)
class PackageRepository:
    """NVIDIA's repository of the toolkit's packages for one package manager.

    `url` has the manager's variable for the architecture, `key` is where its public key lies, `file` the configuration
    that NVIDIA publishes.
    """

    manager: str
    url: str
    key: str
    file: str
    source: str


@cache
def package_repositories() -> dict[str, PackageRepository]:
    """Returns the repositories by package manager."""
    return {row.manager: row for row in load("package_repositories", PackageRepository)}


@dataclass(frozen=True)
class Target:
    """The host that a command is for: its package manager and os-release id and version, kernel, architecture."""

    manager: str
    distribution: str
    version: str
    kernel: str
    architecture: str
    root: bool


def install_commands(what: str, target: Target, **values: str) -> tuple[str, ...]:
    """Returns the exact commands that install `what` on the target: docker, docker-client, toolkit, runc, driver,
    nvidia-smi, headers; or that put it into force: initramfs, mok (the key that signs modules).

    The driver is the newest that NVIDIA's repository has; `driver-branch` stays on one branch of it.

    Empty where gpuctl knows none for it: better none than a wrong one.
    """
    toolkit = package_repositories().get(target.manager)
    places = {
        "toolkit_repository": toolkit.url if toolkit else "",
        "toolkit_key": toolkit.key if toolkit else "",
        "toolkit_file": toolkit.file if toolkit else "",
        "sudo": "" if target.root else "sudo ",
        "kernel": target.kernel,
        "repository": driver_repository(target),
        "repository_architecture": _ARCHITECTURES.get(target.architecture, ""),
        **values,
    }
    commands = next((row.commands for row in install_rows() if _serves(row, what, target)), ())
    used = [name for name in places if any("{" + name + "}" in command for command in commands)]
    if any(not places[name] for name in used if name != "sudo"):
        return ()
    return tuple(_filled(command, places) for command in commands)


OPEN_DRIVER = "nvidia-open"
"""The package of the newest driver with the open kernel module."""


def driver_commands(gpus: Sequence[Gpu], target: Target, branch: str | None = None) -> tuple[str, ...]:
    """Returns the exact commands that install the driver for these GPUs: of a branch where they can, else the newest.

    Empty where gpuctl knows none: for the target, or because no kernel module drives all of these GPUs.
    """
    package = driver_package(gpus)
    if not serving_modules(gpus):
        return ()
    if package == OPEN_DRIVER and branch:
        pinned = install_commands("driver-branch", target, driver_package=package, branch=branch)
        if pinned:
            return pinned
    commands = install_commands("driver", target, driver_package=package)
    return commands if any(package in command for command in commands) else ()


def driver_package(gpus: Iterable[Gpu]) -> str:
    """Returns the package of NVIDIA's driver repository for these GPUs: the open module wherever all of them run it.

    Older GPUs need the proprietary module, of the last branch that still drives them.
    Source: https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/
    """
    known = [row for gpu in gpus if (row := architectures().get(gpu.compute_capability))]
    if all(row.open_module != "no" for row in known):
        return OPEN_DRIVER
    last = [int(row.last_driver_branch) for row in known if row.last_driver_branch]
    return f"cuda-drivers-{min(last)}" if last else "cuda-drivers"


def driver_repository(target: Target) -> str:
    """Returns the directory name of NVIDIA's driver repository for the target ("ubuntu2204"), or ""."""
    name = _REPOSITORIES.get(target.distribution, "")
    if not name or not target.version:
        return ""
    version = target.version if target.distribution in _WHOLE_VERSION else target.version.partition(".")[0]
    return name + version.replace(".", "")


def _serves(row: InstallRow, what: str, target: Target) -> bool:
    right_distribution = not row.distributions or target.distribution in row.distributions
    right_version = not row.versions or target.version.partition(".")[0] in row.versions
    return row.what == what and row.manager == target.manager and right_distribution and right_version


def _filled(command: str, places: dict[str, str]) -> str:
    # Not str.format: the commands hold shell text such as $(ARCH) and braces of their own.
    for name, value in places.items():
        command = command.replace("{" + name + "}", value)
    return command
