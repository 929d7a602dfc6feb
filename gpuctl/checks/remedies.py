"""Remedies that several checks give: the exact commands for this host's distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.command import Command, Shell, command, operands
from gpuctl.compat.knowledge.install_commands import (
    PackageHost,
    install_commands,
)
from gpuctl.compat.knowledge.keepers import keepers
from gpuctl.compat.knowledge.lifetimes import by_codename
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.packages import PREFERENCES, REPOSITORY, TOOLKIT
from gpuctl.facts.toolkit.toolkit import OPERATOR, Toolkit
from gpuctl.model import Disturbs, Remedy

if TYPE_CHECKING:
    from gpuctl.facts.containerd.containerd import Containerd
    from gpuctl.facts.docker.docker import Docker
    from gpuctl.facts.packages.packages import Package, Packages

_BRING = ("apt-get", "dnf", "yum", "zypper", "ubuntu-drivers")
"""The programs that leave held packages as they are."""
_UNHOLDS = {
    "apt": ("apt-mark", "unhold"),
    "dnf": ("dnf", "versionlock", "delete"),
    "yum": ("yum", "versionlock", "delete"),
    "zypper": ("zypper", "removelock"),
}
"""apt-mark(8), dnf-versionlock(8), yum-versionlock(1), zypper(8)."""
DOWNGRADES = 1000
"""Above this priority apt takes an older package in the place of a newer: apt_preferences(5)."""
INSTALLS = ("apt", "dnf", "yum", "zypper")
"""The package managers by which gpuctl installs the toolkit."""
_REMOVES = {"apt": "apt-get", "dnf": "dnf", "yum": "yum", "zypper": "zypper"}


def install(what: str, text: str, system: System, disturbs: Disturbs, **values: str) -> Remedy:
    """Returns the remedy that installs `what` here; without commands where gpuctl knows none for this host.

    Onto a system that comes as an image it says how things get there.
    """
    image = keepers().get(system.image.value or "")
    said = " ".join(filter(None, (text, image.packages if image else None)))
    return Remedy(said, install_commands(what, target(system), **values), disturbs)


def remove_packages(system: System, *names: str) -> tuple[Command, ...]:
    """Returns the command that removes packages here; none where gpuctl knows no such manager."""
    program = _REMOVES.get(system.package_manager.value or "")
    return as_root(system, command(program, "remove", "-y", *operands(*names))) if program else ()


def install_toolkit(system: System, text: str) -> Remedy:
    """Returns the remedy that brings NVIDIA's toolkit where it is missing: gpuctl's own command, where it can do it."""
    remedy = install("toolkit", text, system, Disturbs.NOTHING)
    if not remedy.commands or system.package_manager.value not in INSTALLS:
        return remedy
    return own_first(remedy, system, command("gpuctl", "install-runtime", "--install"))


def upgrade_toolkit(system: System, packages: Packages, text: str, toolkit: Toolkit | None = None) -> Remedy:
    """Returns the remedy that brings all of NVIDIA's toolkit to its newest release: what keeps packages of it back goes
    first, a hold, or that apt puts another's before NVIDIA's.

    So it is one remedy for whatever a newer release mends. The GPU Operator's toolkit is changed by the operator.
    """
    if toolkit and toolkit.ctk.value and toolkit.ctk.value.path.startswith(OPERATOR):
        way = "The GPU Operator brings it: upgrade the operator, or set toolkit.version in its ClusterPolicy."
        return Remedy(f"{text} {way}")
    parts = {name: one for name, one in (packages.installed.value or {}).items() if name in TOOLKIT}
    upgrade = unheld(install("toolkit", text, system, Disturbs.NOTHING), system, parts)
    first = packages.policy.value.before_nvidias if packages.policy.value else None
    if first is None or not upgrade.commands:
        return upgrade
    prefer = as_root(system, *_prefer_nvidias(max(first.priority, DOWNGRADES) + 1))
    said = f"{upgrade.text} First have apt prefer NVIDIA's packages to those of priority {first.priority}."
    return replace(upgrade, text=said, commands=(*prefer, *upgrade.commands))


def _prefer_nvidias(priority: int) -> tuple[Command, ...]:
    """What names packages counts before what names none: apt_preferences(5)."""
    lines = (f"Package: {' '.join(TOOLKIT)}", f"Pin: origin {REPOSITORY.rstrip('/')}", f"Pin-Priority: {priority}")
    file = f"{PREFERENCES[1]}/nvidia-container-toolkit"
    return (command("printf", "%s\\n", *lines, Shell.PIPE, Shell.SUDO, "tee", file),)


def own_first(remedy: Remedy, system: System, own: Command) -> Remedy:
    """Returns the remedy with gpuctl's own command first; what a person would type is kept."""
    return replace(remedy, commands=as_root(system, own), by_hand=remedy.commands)


def unheld(remedy: Remedy, system: System, packages: Mapping[str, Package]) -> Remedy:
    """Returns the remedy with the holds on these packages lifted first, where a package manager brings newer ones.

    Some held and others not are how a driver's parts come apart, or the toolkit's.
    """
    held = sorted(name for name, one in packages.items() if one.held)
    lift = _UNHOLDS.get(system.package_manager.value or "")
    if not held or lift is None or not any(word in _BRING for one in remedy.commands for word in one.words):
        return remedy
    names = ", ".join(held)
    text = (
        f"{remedy.text} Held packages stay as they are ({names}): lift the holds first; hold all of them then, or none."
    )
    return replace(remedy, text=text, commands=(*as_root(system, command(*lift, *operands(*held))), *remedy.commands))


def install_runtime(system: System, text: str, *options: str) -> Remedy:
    """Returns the remedy by which gpuctl itself registers the runtime; words where nobody edits the engines' files."""
    image = keepers().get(system.image.value or "")
    if image and image.settings:
        return Remedy(f"{text} {image.settings}", (), Disturbs.NOTHING)
    return Remedy(text, as_root(system, command("gpuctl", "install-runtime", *options)), Disturbs.NOTHING)


def register_with_k0s(system: System, containerd: Containerd) -> Remedy:
    """Returns the remedy by which k0s' containerd learns of the runtime: k0s writes its other files anew.

    Source: https://docs.k0sproject.io/stable/runtime/ (k0s managed dynamic runtime configuration, from 1.27.1 on)
    """
    cgroup = containerd.process.value.cgroup if containerd.process.value else ""
    unit = "k0scontroller" if "/k0scontroller.service" in cgroup else "k0sworker"
    file = "/etc/k0s/containerd.d/nvidia.toml"
    own = command("gpuctl", "install-runtime", "--engine", "containerd", "--config", file)
    text = "k0s takes up what lies in that folder when it starts: write the runtime there, and restart it."
    return Remedy(text, as_root(system, own, command("systemctl", "restart", unit)), Disturbs.NEW_CONTAINERS)


def target(system: System) -> PackageHost:
    """Returns what the install commands need to know of this host; "" for what is unknown.

    A relative of Ubuntu or Debian that names their release takes what is for that: Mint 22 what is for Ubuntu 24.04.
    Source: https://github.com/linuxmint/mintdrivers (of archive.ubuntu.com)
    """
    distribution = system.distribution.value
    base = by_codename().get(distribution.base) if distribution else None
    packages = base or distribution
    return PackageHost(
        manager=system.package_manager.value or "",
        distribution=packages.id if packages else "",
        version=packages.version if packages else "",
        kernel=system.kernel.value or "",
        architecture=system.architecture.value or "",
        root=system.euid.value == 0,
    )


def as_root(system: System, *commands: Command) -> tuple[Command, ...]:
    """Returns the commands, which are root's, as this person has to type them."""
    return tuple(one.for_root() if system.euid.value == 0 else one.for_others() for one in commands)


def generate_cdi(tegra: Tegra, path: str, *options: str) -> Command:
    """Returns the command that writes a CDI specification."""
    return command("nvidia-ctk", "cdi", "generate", *cdi_mode(tegra), *options, f"--output={path}")


def cdi_mode(tegra: Tegra) -> tuple[str, ...]:
    """Returns the option by which nvidia-ctk generates from JetPack's lists where NVML tells no devices, on a Jetson.

    Source: https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html
    """
    return ("--mode=csv",) if tegra.by_csv else ()


def service(system: System, docker: Docker, *verb: str) -> tuple[Command, ...]:
    """Returns the command by which this Docker's service is told to start, to restart and the like.

    None where the daemon runs and no service is known to run it: somebody started it by hand.
    """
    unit = docker.unit.value
    name = unit.name.rpartition(".")[0] if unit else "docker"
    if unit and docker.kind.value == "rootless":
        return (command("systemctl", "--user", *verb, *operands(name)),)
    if unit or (system.systemd.value and docker.process.value is None):
        return as_root(system, command("systemctl", *verb, *operands(name)))
    return () if docker.process.value or system.systemd.value else as_root(system, command("service", name, *verb))


def start(system: System, docker: Docker) -> tuple[Command, ...]:
    """Returns the commands that start Docker now and at every boot, and show its log, as far as systemd keeps it."""
    if not system.systemd.value:
        return service(system, docker, "start")
    log = as_root(system, command("journalctl", "-u", "docker", "-n", "20", "--no-pager"))
    return (*service(system, docker, "enable", "--now"), *log)


def kernel_log(*pattern: str) -> Command:
    """Returns the command that looks through the kernel's log, by grep's option and pattern."""
    return command("dmesg", Shell.PIPE, "grep", *pattern)


def reset(gpu: int | str) -> Command:
    """Returns the command that resets a GPU, named by its index or address."""
    return command("nvidia-smi", "--gpu-reset", "-i", str(gpu))
