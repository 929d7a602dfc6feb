"""Which commands install what, by package manager and distribution: knowledge from data/install_commands.jsonl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from gpuctl.command import Command
from gpuctl.compat.judge.by_gpu import serving_modules
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.knowledge.kernel_headers import headers_package
from gpuctl.compat.tables.command_rows import Words, filled, names_in, parse_commands
from gpuctl.compat.tables.loader import architectures, load
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

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
_SUSE_16 = ("sles", "opensuse-leap")
"""From 16 on they have one repository: https://sndirsch.github.io/nvidia/2026/02/22/nvidia-drivers-g07.html"""
ROLLING_SUSE = ("opensuse-tumbleweed", "opensuse-slowroll")
"""Those that are upgraded by `zypper dup` alone: https://en.opensuse.org/SDB:Tumbleweed"""
_WHOLE_VERSION = {"ubuntu"}
_OPEN_MODULES_ONLY = {"azurelinux", "mariner"}
_IN_NAME = regex(r"[A-Za-z0-9]([A-Za-z0-9._+~-]*[A-Za-z0-9_+~])?")
"""What may stand in a package's name: in anything else apt and dnf see options, patterns or what to remove."""
_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "sbsa"}


@dataclass(frozen=True)
class InstallRow:
    """The commands that install one thing with one package manager.

    No distributions: it serves all that have it; no versions (major ones), no part of a kernel's release: all theirs.
    """

    what: str
    manager: str
    distributions: tuple[str, ...]
    commands: tuple[Command, ...]
    source: str
    versions: tuple[str, ...] = ()
    kernels: str = ""
    note: str | None = None


@cache
def install_rows() -> tuple[InstallRow, ...]:
    """Returns the table, the rows for particular distributions before the general ones."""
    return load("install_commands", _row)


def _row(commands: Sequence[Words], **fields: Any) -> InstallRow:
    return InstallRow(commands=parse_commands(commands), **fields)


@dataclass(frozen=True)
class PackageRepository:
    """NVIDIA's repository of the toolkit's packages for one package manager.

    `url` has the manager's variable for the architecture, `key` is where its public key lies, `fingerprint` that key's,
    `file` the configuration that NVIDIA publishes.
    """

    manager: str
    url: str
    key: str
    fingerprint: str
    file: str
    source: str


@cache
def package_repositories() -> dict[str, PackageRepository]:
    """Returns the repositories by package manager."""
    return {row.manager: row for row in load("package_repositories", PackageRepository)}


@dataclass(frozen=True)
class PackageHost:
    """The host that a command is for: its package manager and os-release id and version, kernel, architecture."""

    manager: str
    distribution: str
    version: str
    kernel: str
    architecture: str
    root: bool


def install_commands(what: str, target: PackageHost, **values: str) -> tuple[Command, ...]:
    """Returns the exact commands that install `what` on the target: docker, docker-client, toolkit, runc, driver,
    nvidia-smi, fabric-manager, headers, compiler (the kernel's, where that is not the system's), kernel-compiler (a
    release of gcc, which becomes the system's); or that put it into
    force: initramfs, mok (the key that signs modules).

    The driver is the newest that NVIDIA's repository has; `driver-branch` stays on one branch of it, and so does
    `driver-branch-proprietary`, which has the proprietary kernel module.

    Empty where gpuctl knows none for it: better none than a wrong one.
    """
    toolkit = package_repositories().get(target.manager)
    names = {
        "kernel": target.kernel,
        "headers": headers_package(target.manager, values.get("kernel", target.kernel)),
        "major": target.version.partition(".")[0],
        "architecture": target.architecture,
        "repository": driver_repository(target),
        **values,
    }
    places = {
        "toolkit_repository": toolkit.url if toolkit else "",
        "toolkit_key": toolkit.key if toolkit else "",
        "toolkit_file": toolkit.file if toolkit else "",
        "repository_architecture": _ARCHITECTURES.get(target.architecture, ""),
        **{name: value for name, value in names.items() if _IN_NAME.fullmatch(value)},
    }
    commands = next((row.commands for row in install_rows() if _serves(row, what, target)), ())
    return filled_commands(commands, places, target.root)


def filled_commands(commands: Sequence[Command], values: Mapping[str, str], root: bool) -> tuple[Command, ...]:
    """Returns the commands with their values, as `root` or another types them; none where one value is not known."""
    if not all(values.get(name) for command in commands for name in names_in(command)):
        return ()
    told = (filled(command, values) for command in commands)
    return tuple(command.for_root() if root else command for command in told)


OPEN_DRIVER = "nvidia-open"
"""The package of the newest driver with the open kernel module."""


def driver_commands(gpus: Sequence[Gpu], target: PackageHost, branch: str | None = None) -> tuple[Command, ...]:
    """Returns the exact commands that install the driver for these GPUs: of a branch where they can, else the newest.

    Empty where gpuctl knows none: for the target, or because no kernel module drives all of these GPUs.
    """
    package = driver_package(gpus)
    if not one_driver_serves(gpus) or open_modules_only(gpus, target):
        return ()
    pinned = install_commands(
        _of_branch(gpus), target, driver_package=package, branch=branch or last_branch(gpus) or ""
    )
    commands = pinned or install_commands("driver", target, driver_package=package)
    if not pinned and not any(package in str(command) for command in commands):
        return ()
    return (*install_commands("epel", target), *commands)


def compiler_note(target: PackageHost) -> str | None:
    """Returns what DKMS has to be told before it builds for the target's kernel; None where the system's compiler does.

    That of the kernel is another one where a row of the table says so.
    """
    return next((row.note for row in install_rows() if _serves(row, "compiler", target)), None)


def open_modules_only(gpus: Sequence[Gpu], target: PackageHost) -> bool:
    """Returns whether the target has packages of the open kernel modules only, and these do not drive the GPUs.

    Source: https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/595/advanced-options.html
    """
    return target.distribution in _OPEN_MODULES_ONLY and "open" not in serving_modules(gpus)


def _of_branch(gpus: Sequence[Gpu]) -> str:
    """What stays on one branch: the package with the open kernel module, or that with the proprietary one."""
    return "driver-branch" if driver_package(gpus) == OPEN_DRIVER else "driver-branch-proprietary"


def off_branch(commands: Sequence[Command], branch: str) -> str | None:
    """Returns what to say where commands install the newest driver, and know no way to stay on a branch."""
    if not commands or any(branch in str(command) for command in commands):
        return None
    return f"The commands install NVIDIA's newest driver: lock the packages to stay on branch {branch}."


def driver_package(gpus: Sequence[Gpu]) -> str:
    """Returns the package of NVIDIA's driver repository for these GPUs: the open module wherever all of them run it.

    Older GPUs need the proprietary module, of the last branch that still drives them.
    Source: https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/
    """
    known = [row for gpu in gpus if (row := architectures().get(gpu.compute_capability))]
    if all(row.open_module != "no" for row in known):
        return OPEN_DRIVER
    last = last_branch(gpus)
    return f"cuda-drivers-{last}" if last else "cuda-drivers"


def last_branch(gpus: Sequence[Gpu]) -> str | None:
    """Returns the last branch that drives all of these GPUs; None where the newest does, as far as is known."""
    rows = (architectures().get(gpu.compute_capability) for gpu in gpus)
    ends = [int(row.last_driver_branch) for row in rows if row and row.last_driver_branch]
    return str(min(ends)) if ends else None


def one_driver_serves(gpus: Sequence[Gpu]) -> bool:
    """Returns whether there is one driver for all of these GPUs: a module of one flavour, and a branch, that drive all.

    As far as is known: of a GPU that no table has nothing is known against it.
    """
    rows = (architectures().get(gpu.compute_capability) for gpu in gpus)
    firsts = [int(row.first_driver_branch) for row in rows if row and row.first_driver_branch]
    last = last_branch(gpus)
    return bool(serving_modules(gpus)) and (last is None or int(last) >= max(firsts, default=0))


def driver_repository(target: PackageHost) -> str:
    """Returns the directory name of NVIDIA's driver repository for the target ("ubuntu2204"), or ""."""
    name = _REPOSITORIES.get(target.distribution, "")
    if not name or not target.version:
        return ""
    if target.distribution in _SUSE_16 and target.version.partition(".")[0] >= "16":
        name = "suse"
    version = target.version if target.distribution in _WHOLE_VERSION else target.version.partition(".")[0]
    return name + version.replace(".", "")


def _serves(row: InstallRow, what: str, target: PackageHost) -> bool:
    right_distribution = not row.distributions or target.distribution in row.distributions
    right_version = not row.versions or target.version.partition(".")[0] in row.versions
    serves_kernel = row.kernels in target.kernel
    return row.what == what and row.manager == target.manager and right_distribution and right_version and serves_kernel
