"""Are the files there that the driver and X go by, and do they fit this host's GPUs?"""

from __future__ import annotations

from gpuctl.checks.driver_remedies import driver_is_apart, install_driver
from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.gpus import compat_gpus
from gpuctl.command import command
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.firmware import Firmware
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.gpu.xorg import Xorg
from gpuctl.facts.machine.system import System
from gpuctl.model import Evidence, Remedy


@check("driver.gsp-firmware", explains=("driver.nvml", "driver.start-log", "driver.gpu-count"))
def gsp_firmware(system: System, keeper: Keeper, pci: Pci, driver: Driver, firmware: Firmware) -> Judgement | None:
    """The open kernel module starts no GPU without the GSP firmware of its own release, a package of its own on some
    distributions. GPUs that run already stay so until they are started anew.

    Source: https://github.com/NVIDIA/open-gpu-kernel-modules/blob/main/README.md
    """
    version, releases = driver.loaded_version.value, firmware.releases.value
    if version is None or not driver.open_module.value or releases is None:
        return None
    if system.machine.value in ("container", "wsl1", "wsl2") or driver_is_apart(keeper):
        return None
    if driver.file_version.value not in (None, version):
        return None  # the driver was changed under the module that runs, which is told as such
    seen = Evidence(firmware.releases.source, ", ".join(releases) or "empty")
    if version in releases:
        return passed(f"The GSP firmware of driver {version} is there", seen)
    text = "Install the driver again, with its firmware (firmware-nvidia-gsp, nvidia-firmware, nvidia-kernel-common)."
    remedy = install_driver(text, system, keeper, compat_gpus(pci, driver))
    if driver.gpus.value:
        message = f"The GSP firmware of driver {version} is missing: no GPU starts again without it."
        return warned(message, driver.loaded_version, seen, remedy=remedy)
    message = f"The open module of driver {version} lacks its GSP firmware, without which it starts no GPU."
    return failed(message, driver.loaded_version, seen, remedy=remedy)


@check("driver.xorg-bus-id")
def xorg_bus_id(pci: Pci, xorg: Xorg) -> Judgement | None:
    """X looks for a GPU only at the BusID that its configuration names: in decimal, where lspci shows hexadecimal.

    Source: https://www.x.org/releases/current/doc/man/man5/xorg.conf.5.xhtml
    """
    named, there = xorg.addresses.value, [gpu.address for gpu in pci.gpus.value or ()]
    if not named or not there:
        return None
    seen = Evidence(xorg.addresses.source, ", ".join(named))
    gone = [address for address in named if address not in there]
    if not gone:
        return passed("X's configuration names GPUs that are there", seen)
    where = ", ".join(f"{_bus_id(address)} ({address})" for address in there)
    message = f"X looks for a GPU at {_bus_id(gone[0])} ({gone[0]}), and there is none: NVIDIA's are at {where}."
    remedy = Remedy(
        f"Write the BusID of a GPU that is there into {xorg.addresses.source}, in decimal.",
        (command("nvidia-xconfig", "--query-gpu-info"),),
    )
    return warned(message, seen, remedy=remedy)


def _bus_id(address: str) -> str:
    """0000:5a:00.0 as X writes it: PCI:90:0:0."""
    domain, bus, place = address.split(":")
    device, _, function = place.partition(".")
    at = f"@{int(domain, 16)}" if int(domain, 16) else ""
    return f"PCI:{int(bus, 16)}{at}:{int(device, 16)}:{int(function, 16)}"
