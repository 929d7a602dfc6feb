"""Remedies that several checks give: the exact commands for this host's distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.command import Command, Shell, command, operands
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.knowledge.install_commands import (
    ROLLING_SUSE,
    PackageHost,
    compiler_note,
    driver_commands,
    install_commands,
    last_branch,
    off_branch,
    one_driver_serves,
)
from gpuctl.compat.knowledge.keepers import GUEST, NVIDIA, KeeperRow, keepers, way_beyond, way_of
from gpuctl.compat.knowledge.kernel_headers import headers_package
from gpuctl.compat.knowledge.lifetimes import by_codename, release_of
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.kernel import DkmsModule
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.packages import PREFERENCES, REPOSITORY, TOOLKIT
from gpuctl.facts.toolkit.toolkit import OPERATOR, Toolkit
from gpuctl.model import Disturbs, Remedy
from gpuctl.regex import regex

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
_OTHERS_BESIDE = ("rpm-fusion", "elrepo")
_OF_OTHERS = regex(
    r"nvidia-(?:driver|open|kmod-common).*|kmod-nvidia-(?:open|latest)-dkms|dkms-nvidia|nvidia-settings|cuda-drivers.*"
)
"""How NVIDIA's repository and negativo17's name what those two name otherwise: of two packagings no version is one.
Source: https://rpmfusion.org/Howto/CUDA"""
_SWITCHES_ON = {
    "prime-select": command("prime-select", "on-demand"),
    "system76-power": command("system76-power", "graphics", "hybrid"),
    "envycontrol": command("envycontrol", "-s", "hybrid"),
    "supergfxctl": command("supergfxctl", "--mode", "Hybrid"),
}
DOWNGRADES = 1000
"""Above this priority apt takes an older package in the place of a newer: apt_preferences(5)."""
INSTALLS = ("apt", "dnf", "yum", "zypper")
"""The package managers by which gpuctl installs the toolkit."""
NO_ONE_DRIVER = (
    "No one driver drives all of these GPUs together: take those out that need another one, or give them to virtual"
    " machines (vfio-pci)."
)
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


def switch_on(system: System, program: str) -> Remedy:
    """Returns the remedy by which a program that has switched NVIDIA's GPU off switches it on again, from the next boot
    on.
    """
    commands = as_root(system, _SWITCHES_ON[program], command("reboot"))
    return Remedy(f"{program} has switched NVIDIA's GPU off: switch it on, and reboot.", commands, Disturbs.HOST)


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


def install_driver(
    text: str,
    system: System,
    keeper: Keeper,
    gpus: Sequence[Gpu],
    version: str | None = None,
    branch: str | None = None,
) -> Remedy:
    """Returns the remedy that brings a driver for these GPUs by its keeper's way: never over another keeper's.

    `version`: of the module that runs, which libraries have to meet. `branch`: the one that `text` names; None: that
    which gpuctl recommends for the GPUs.
    """
    if not one_driver_serves(gpus):
        return Remedy(NO_ONE_DRIVER, (), Disturbs.HOST)
    row = kept_by_another(keeper)
    if row is not None:
        beyond = way_beyond(row, target(system).version, branch) if branch else None
        if beyond:
            return Remedy(f"{text} {beyond}", (), Disturbs.HOST)
        return unheld(
            _kept(text, row, system, keeper, gpus, version or "", module=False), system, keeper.packages.value or {}
        )
    recommended = None if branch or version else _recommended_branch(gpus)
    commands = driver_commands(gpus, target(system), branch or recommended)
    off, note = (
        off_branch(commands, branch) if branch else None,
        compiler_note(target(system)) if commands else None,
    )
    ended = package_may_be_gone(target(system)) if commands else None
    said = " ".join(filter(None, (text, off, f"Before it: {note}." if note else None, ended)))
    return unheld(Remedy(said, commands, Disturbs.HOST), system, keeper.packages.value or {})


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


def package_may_be_gone(host: PackageHost) -> str | None:
    """Returns what to say of a package for a release whose support is over, as NVIDIA's for it may be; None for one
    that has support, or that no table knows.
    """
    release = release_of(host.distribution, host.version)
    if release is None or not release.ended:
        return None
    over = f"This distribution has had no support since {release.end_of_life}"
    return f"{over}: NVIDIA's repository may not have a package of that driver for it."


def _recommended_branch(gpus: Sequence[Gpu]) -> str | None:
    from gpuctl.compat.answer.driver_choice import recommended_branch  # with all rules, which few hosts' doctor needs

    found = recommended_branch(None, gpus)
    return found.branch if found else None


def install_module(text: str, system: System, keeper: Keeper, gpus: Sequence[Gpu]) -> Remedy:
    """Returns the remedy that brings the driver's module for the running kernel, by its keeper's way."""
    row = kept_by_another(keeper)
    if row is None:
        return install_driver(text, system, keeper, gpus)
    return unheld(
        _kept("" if row.module_way else text, row, system, keeper, gpus, "", module=True),
        system,
        keeper.packages.value or {},
    )


def enrol_key(system: System, keeper: Keeper, is_dkms: bool) -> Remedy:
    """Returns the remedy by which the firmware learns the key that signed the module: its keeper's, else that of DKMS.

    Without commands where the module is neither's, as one that a distribution signs itself.
    """
    text = "Enrol the key that signed the module, then confirm it in the blue screen at boot."
    row = kept_by_another(keeper)
    if row and row.signing_key:
        enrol = command("mokutil", "--import", row.signing_key)
        return Remedy(text, as_root(system, enrol, command("reboot")), Disturbs.HOST)
    return Remedy(text, install_commands("mok", target(system)) if is_dkms else (), Disturbs.HOST)


def _kept(
    text: str, row: KeeperRow, system: System, keeper: Keeper, gpus: Sequence[Gpu], version: str, module: bool
) -> Remedy:
    here = target(system)
    values = {
        "kernel": here.kernel,
        "headers": headers_package(here.manager, here.kernel),
        "upgrade": "dup" if here.distribution in ROLLING_SUSE else "update",
        "branch": keeper.branch.value or "",
        "version": version,
        "architecture": here.architecture,
    }
    way, commands = way_of(row, module, last_branch(gpus), system.euid.value == 0, values)
    strangers = _strangers(row, keeper)
    if not strangers or not commands:
        return Remedy(f"{text} {way}".strip(), commands, Disturbs.HOST)
    what = f"Before it packages that are not of it have to go, and to stay away: {', '.join(strangers)}."
    return Remedy(f"{text} {way} {what}".strip(), (*remove_packages(system, *strangers), *commands), Disturbs.HOST)


def _strangers(row: KeeperRow, keeper: Keeper) -> list[str]:
    """The driver's packages that are not this keeper's: a second packaging, or any where none of a guest's own fit."""
    names = sorted(keeper.packages.value or ())
    if row.keeper == GUEST:
        return names
    return [name for name in names if row.keeper in _OTHERS_BESIDE and _OF_OTHERS.fullmatch(name)]


def kept_by_another(keeper: Keeper) -> KeeperRow | None:
    """Returns who keeps the driver here and has a way of its own; None where NVIDIA's repository serves, or may."""
    row = keepers().get(keeper.driver.value or "")
    return row if row and row.keeper != NVIDIA else None


def driver_is_apart(keeper: Keeper) -> bool:
    """Returns whether the driver's libraries and programs lie where the host's own programs do not look."""
    row = keepers().get(keeper.driver.value or "")
    return row is not None and row.apart


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


def dkms_install(added: DkmsModule, release: str) -> Command:
    """Returns the command that builds a module for a kernel's release, and installs it."""
    return command("dkms", "install", f"{added.module}/{added.version}", "-k", release)
