"""What works today, and what is going to end that: each finding names its trigger or its date, and none fails."""

from __future__ import annotations

from gpuctl.checks.driver_remedies import dkms_install
from gpuctl.checks.engine import Judgement, check, passed, warned
from gpuctl.checks.remedies import as_root, install
from gpuctl.command import Command, command, operands
from gpuctl.compat.knowledge.images import cuda_images, parse_tag
from gpuctl.compat.knowledge.lifetimes import ending, release_of
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.disks import Disks, FileSystem
from gpuctl.facts.machine.kernel import Kernel
from gpuctl.facts.machine.next_boot import NextBoot, by_release
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.automatic_upgrades import AutomaticUpgrades
from gpuctl.facts.packages.logs import KERNEL
from gpuctl.model import Disturbs, Evidence, Remedy

GIB = 1 << 30
BOOT_ROOM = 150 << 20
"""Bytes: what an initramfs with the driver's modules takes while a new one is written beside it."""
IMAGE_ROOM = 20 * GIB
"""Bytes: a framework image with CUDA is 5 to 10 GiB, and is packed and unpacked at the same time while it is pulled."""


@check("outlook.automatic-upgrade")
def automatic_upgrade(system: System, upgrades: AutomaticUpgrades) -> Judgement | None:
    """An upgrade of the driver's packages under the loaded module breaks NVML until the next boot, at night too.

    It comes with the first update of the driver that the repository offers. A hold, or unattended-upgrades' blacklist,
    leaves the driver to a person.
    """
    by, packages = upgrades.by.get(), upgrades.packages.get() or ()
    if by is None:
        return passed("Nothing upgrades packages by itself", upgrades.by)
    if not packages:
        return passed(f"{by} does not upgrade the driver", upgrades.by, upgrades.packages)
    seen = [Evidence(upgrades.packages.source, f"{one.name} {one.version} {one.kept}".rstrip()) for one in packages]
    kept = next((one for one in packages if one.kept), None)
    if kept:
        return passed(f"{by} leaves the driver as it is ({kept.name}: {kept.kept})", upgrades.by, *seen)
    names = [one.name for one in packages]
    remedy = Remedy("Keep the driver as it is, until you upgrade it and reboot.", _hold(system, names))
    message = f"{by} will replace {names[0]} under the loaded module as soon as a newer one is offered: no hold is set."
    return warned(message, upgrades.by, *seen, remedy=remedy)


def _hold(system: System, names: list[str]) -> tuple[Command, ...]:
    known = {"apt": ("apt-mark", "hold"), "zypper": ("zypper", "addlock")}
    program = known.get(system.package_manager.value or "", ("dnf", "versionlock", "add"))
    return as_root(system, command(*program, *operands(*names)))


@check("outlook.next-kernel", follows=KERNEL)
def next_kernel(system: System, kernel: Kernel, boot: NextBoot) -> Judgement | None:
    """Boot loaders take the newest kernel: where it has no NVIDIA module, the next boot is without a driver."""
    if system.machine.value not in ("bare-metal", "vm") or kernel.module_file.value is None:
        return None  # a container's kernel is its host's, WSL's is Windows'
    running, newest = system.kernel.get(), boot.kernel.get()
    if running is None or newest is None:
        return None
    if by_release(newest) <= by_release(running):
        return passed("The newest kernel is the running one", boot.kernel)
    if boot.module.get():
        return passed(f"The next kernel, {newest}, has the NVIDIA module", boot.kernel, boot.module)
    message = f"At the next boot the kernel is {newest}, for which there is no NVIDIA module."
    return warned(message, boot.kernel, boot.module, remedy=_build(system, kernel, boot, newest))


def _build(system: System, kernel: Kernel, boot: NextBoot, release: str) -> Remedy:
    if not kernel.dkms.value:
        return Remedy(f"Install the driver's module for {release} as you did for {system.kernel.value}.")
    newest = kernel.dkms.value[-1]
    headers = () if boot.headers.value else install("headers", "", system, Disturbs.NOTHING, kernel=release).commands
    build = as_root(system, dkms_install(newest, release))
    return Remedy("Build the module for it before you reboot.", (*headers, *build))


@check("outlook.distribution")
def distribution(system: System, tegra: Tegra) -> Judgement | None:
    """Distributions close security holes until a date; after it, new drivers and engines soon come without packages.

    A Jetson's is a part of JetPack, and is not upgraded by itself.
    """
    here = system.distribution.get()
    release = release_of(here.id, here.version) if here and not tegra.release.value else None
    if here is None or release is None:
        return None
    seen = Evidence(release.source, f"{release.id} {release.version}: until {release.end_of_life}")
    end = ending(release.end_of_life)
    if end is None:
        return passed(f"{here.name} {here.version} has support until {release.end_of_life}", seen)
    remedy = Remedy("Plan the upgrade to a newer release.", (), Disturbs.HOST)
    return warned(f"{here.name} {here.version} {end}.", seen, remedy=remedy)


@check("outlook.images")
def images(docker: Docker) -> Judgement | None:
    """NVIDIA deletes tags of nvidia/cuda whose CUDA version is no longer supported: then they cannot be pulled again.

    Source: https://gitlab.com/nvidia/container-images/cuda, doc/support-policy.md
    """
    daemon = docker.daemon.get()
    tags = {image: tag for image in (daemon.images if daemon else ()) if (tag := parse_tag(image))}
    if not tags:
        return None
    rows = {(row.cuda, row.os): row for row in cuda_images() if row.status in ("unsupported", "delisted")}
    doomed = {image: rows[tag.cuda, tag.os] for image, tag in tags.items() if (tag.cuda, tag.os) in rows}
    if not doomed:
        return passed(f"No nvidia/cuda image here is past its support ({len(tags)})", docker.daemon)
    seen = (Evidence(row.source, f"{image}: {row.status} since {row.as_of}") for image, row in doomed.items())
    name, row = next(iter(doomed.items()))
    choose = command("gpuctl", "image")
    remedy = Remedy("Move to one that is supported, or keep a copy in a registry of your own.", (choose,))
    message = f"{name} is past its support ({row.status}, by {row.as_of}): once removed, it may not be pulled again."
    return warned(message, *seen, remedy=remedy)


@check("outlook.disk-space")
def disk_space(docker: Docker, disks: Disks) -> Judgement | None:
    """A full /boot stops the upgrade of kernel and driver half-way; Docker's full disk stops pulls and containers."""
    daemon = docker.daemon.value
    wanted = [("/boot", BOOT_ROOM), *([(daemon.root_dir, IMAGE_ROOM)] if daemon else [])]
    known = [(path, room, place) for path, room in wanted if (place := disks.holding(path)) is not None]
    if not known:  # df is missing, or cannot tell
        return None
    full = [(path, place) for path, room, place in known if place.free < room and place.free < place.size / 10]
    if not full:
        return passed("There is room on the disks", *(_room(path, place) for path, _, place in known))
    path, place = full[0]
    look = command("docker", "system", "df") if path != "/boot" else command("ls", "-lh", "/boot")
    remedy = Remedy("Make room: remove what nothing uses any more.", (look,))
    stops = "a kernel's or driver's upgrade" if path == "/boot" else "pulls of large images"
    message = f"{path} is nearly full ({place.free / GIB:.1f} GiB free): {stops} will stop half-way."
    return warned(message, *(_room(*one) for one in full), remedy=remedy)


def _room(path: str, place: FileSystem) -> Evidence:
    return Evidence("df", f"{path} on {place.mount}: {place.free / GIB:.1f} of {place.size / GIB:.1f} GiB free")
