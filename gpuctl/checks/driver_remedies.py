"""Remedies that bring a driver, or its module: by the way of its keeper, never over another keeper's."""

from __future__ import annotations

from collections.abc import Sequence

from gpuctl.checks.remedies import as_root, remove_packages, target, unheld
from gpuctl.command import Command, command
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
from gpuctl.compat.knowledge.lifetimes import release_of
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.machine.kernel import DkmsModule
from gpuctl.facts.machine.system import System
from gpuctl.model import Disturbs, Remedy
from gpuctl.regex import regex

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
NO_ONE_DRIVER = (
    "No one driver drives all of these GPUs together: take those out that need another one, or give them to virtual"
    " machines (vfio-pci)."
)


def switch_on(system: System, program: str) -> Remedy:
    """Returns the remedy by which a program that has switched NVIDIA's GPU off switches it on again, from the next boot
    on.
    """
    commands = as_root(system, _SWITCHES_ON[program], command("reboot"))
    return Remedy(f"{program} has switched NVIDIA's GPU off: switch it on, and reboot.", commands, Disturbs.HOST)


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
        kept = _kept(text, row, system, keeper, gpus, version or "", module=False)
        return with_holds_lifted(kept, system, keeper)
    recommended = None if branch or version else _recommended_branch(gpus)
    commands = driver_commands(gpus, target(system), branch or recommended)
    off, note = (
        off_branch(commands, branch) if branch else None,
        compiler_note(target(system)) if commands else None,
    )
    ended = package_may_be_gone(target(system)) if commands else None
    said = " ".join(filter(None, (text, off, f"Before it: {note}." if note else None, ended)))
    return with_holds_lifted(Remedy(said, commands, Disturbs.HOST), system, keeper)


def with_holds_lifted(remedy: Remedy, system: System, keeper: Keeper) -> Remedy:
    """Returns the remedy with the holds on the driver's packages lifted first, where a package manager brings it."""
    return unheld(remedy, system, keeper.packages.value or {})


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
    kept = _kept("" if row.module_way else text, row, system, keeper, gpus, "", module=True)
    return with_holds_lifted(kept, system, keeper)


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


def dkms_install(added: DkmsModule, release: str) -> Command:
    """Returns the command that builds a module for a kernel's release, and installs it."""
    return command("dkms", "install", f"{added.module}/{added.version}", "-k", release)
