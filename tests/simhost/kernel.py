"""What a host's kernel shows of its GPUs and their driver: sysfs, procfs and device nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .bed import Gpu, Profile

NVIDIA_MODULES = ("nvidia_uvm", "nvidia_drm", "nvidia_modeset", "nvidia")
PCI_DRIVERS = {"nvidia": "nvidia", "nouveau": "nouveau", "vfio_pci": "vfio-pci"}
_PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Thu Aug  8 15:35:46 CDT 2019\n"
_OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build"
    "  (dvs-builder@U16-I3-B03-4-3)  Tue Jun 25 01:26:03 UTC 2024\n"
)
_GCC = "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"


@dataclass(frozen=True)
class PciFunction:
    """A function on the PCI bus, ids in hexadecimal digits as sysfs has them, without 0x. `driver` is bound to it."""

    address: str
    vendor: str
    device: str
    device_class: str
    driver: str | None = None
    subsystem: str = "0000"


@dataclass(frozen=True)
class Node:
    """A character device below /dev; `name` may hold a slash."""

    name: str
    major: int
    minor: int
    mode: int = 0o666


def bound_driver(modules: Sequence[str]) -> str | None:
    """The PCI driver that the first module of a GPU's driver binds."""
    return next((PCI_DRIVERS[name] for name in modules if name in PCI_DRIVERS), None)


def profile_pci(profile: Profile | None, driver: str | None) -> list[PciFunction]:
    """A host bridge, a server's VGA, the profile's GPUs, and the audio function that a display GPU has beside it."""
    functions = [
        PciFunction("0000:00:00.0", "8086", "2020", "060000"),
        PciFunction("0000:02:00.0", "1a03", "2000", "030000", driver="ast"),
    ]
    for gpu in profile.gpus if profile else ():
        functions.append(
            PciFunction(gpu.address, gpu.vendor, gpu.device, gpu.device_class, driver, subsystem=gpu.subsystem)
        )
        if gpu.device_class == "030000":
            functions.append(_audio(gpu))
    return functions


def _audio(gpu: Gpu) -> PciFunction:
    return PciFunction(gpu.address[:-1] + "1", "10de", "1aef", "040300", "snd_hda_intel", gpu.subsystem)


def pci_attributes(function: PciFunction) -> dict[str, str]:
    """The files of a function's directory in sysfs."""
    return {
        "vendor": f"0x{function.vendor}\n",
        "device": f"0x{function.device}\n",
        "class": f"0x{function.device_class}\n",
        "subsystem_vendor": f"0x{function.vendor}\n",
        "subsystem_device": f"0x{function.subsystem}\n",
    }


def driver_nodes(count: int) -> list[Node]:
    """The device nodes that a loaded driver has for `count` GPUs."""
    gpus = [Node(f"nvidia{index}", 195, index) for index in range(count)]
    return [*gpus, Node("nvidiactl", 195, 255), Node("nvidia-uvm", 508, 0), Node("nvidia-uvm-tools", 508, 1)]


def kernel_files(profile: Profile | None, modules: Sequence[str], open_module: bool) -> dict[str, str]:
    """What procfs and sysfs show of the loaded modules."""
    lines = [f"{name} 16384 0 - Live 0x0000000000000000 (POE)\n" for name in modules]
    files = {"/proc/modules": "".join(lines)}
    files.update({f"/sys/module/{name}/initstate": "live\n" for name in modules})
    devices = Path("/proc/devices").read_text()
    if profile and "nvidia" in modules:
        wording = _OPEN if open_module else _PROPRIETARY
        files["/proc/driver/nvidia/version"] = wording.format(profile.module) + _GCC
        files["/sys/module/nvidia/version"] = profile.module + "\n"
        majors = "195 nvidia-frontend\n" + ("508 nvidia-uvm\n" if "nvidia_uvm" in modules else "")
        devices = devices.replace("Character devices:\n", "Character devices:\n" + majors)
        for index, gpu in enumerate(profile.gpus):
            files[f"/proc/driver/nvidia/gpus/{gpu.address}/information"] = (
                f"Model: \t\t {gpu.name}\nGPU UUID: \t {gpu.uuid}\n"
                f"Bus Location: \t {gpu.address}\nDevice Minor: \t {index}\n"
            )
    return {**files, "/proc/devices": devices}
