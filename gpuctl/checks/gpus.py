"""This host's GPUs and driver as the compatibility rules take them: facts joined with knowledge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from gpuctl.compat.knowledge.gpus.gpus import Gpu, find_gpu, gpu_of_device, gpu_of_nvml
from gpuctl.compat.knowledge.jetpack import product_of_board
from gpuctl.compat.tables.loader import architectures
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.pci import Pci, PciGpu
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.kernel import Kernel
from gpuctl.model import CannotTell

T = TypeVar("T")
GIVEN_AWAY = ("vfio-pci", "nvgrace-gpu-vfio-pci", "pciback")
"""The kernel drivers that hold a function for a virtual machine. Sources:
https://docs.kernel.org/driver-api/vfio.html, https://wiki.xenproject.org/wiki/Xen_PCI_Passthrough"""


def usable_gpus(gpus: Iterable[PciGpu] | None) -> list[PciGpu]:
    """Returns those that this host may use: a virtual machine's are none of its own."""
    return [gpu for gpu in gpus or () if gpu.driver not in GIVEN_AWAY]


def compat_gpus(pci: Pci, driver: Driver) -> tuple[Gpu, ...]:
    """Returns the GPUs that NVML reports, else those on the PCI bus that the table knows, set aside ones left out.

    Raises CannotTell when neither could be looked at.
    """
    told = [gpu for gpu in driver.gpus.value or () if gpu.name]
    if told:
        return tuple(gpu_of_nvml(gpu.name or "", gpu.compute_capability, gpu.brand) for gpu in told)
    usable = usable_gpus(pci.gpus.get())
    return tuple(known for gpu in usable if (known := gpu_of_device(gpu.device)) is not None)


def gpus_here(pci: Pci, driver: Driver) -> tuple[Gpu, ...]:
    """Returns the GPUs that NVML reports, and those on the PCI bus that it leaves out, set aside ones as well.

    Raises CannotTell when neither could be looked at.
    """
    told = driver.gpus.value or ()
    usable = usable_gpus(pci.gpus.value)
    if not told or len(told) >= len(usable):
        return compat_gpus(pci, driver)
    addresses = {gpu.pci for gpu in told}
    missed = (gpu_of_device(gpu.device) for gpu in usable if gpu.address not in addresses)
    return (*compat_gpus(pci, driver), *filter(None, missed))


def silent_gpus(pci: Pci, driver: Driver) -> tuple[Gpu, ...]:
    """Returns the GPUs that are here and that nothing is known of: those that do not answer, and unheard-of ones.

    Raises CannotTell when neither NVML nor the PCI bus could be looked at.
    """
    told = driver.gpus.value or ()
    if any(gpu.name for gpu in told):
        return tuple(_unknown(f"GPU {gpu.index}, which does not answer") for gpu in told if not gpu.name)
    usable = usable_gpus(pci.gpus.get())
    return tuple(_unknown(f"{gpu.vendor}:{gpu.device}") for gpu in usable if gpu_of_device(gpu.device) is None)


def gpu_of_board(tegra: Tegra) -> Gpu | None:
    """Returns the GPU of a Jetson by its board's name; None where that tells no product."""
    product = product_of_board(tegra.model.value or "")
    return find_gpu(product) if product else None


def by_nvgpu(tegra: Tegra, kernel: Kernel) -> bool:
    """Returns whether nvgpu drives all GPUs here: on a Jetson up to Orin, where the module nvidia is for the display
    alone, and nothing has nvidia-uvm.

    Source: https://docs.nvidia.com/jetson/archives/r39.2/DeveloperGuide/SD/Kernel/DisplayConfigurationAndBringUp/NvLoadDisplayModulesService.html
    """
    return tegra.by_csv and "nvgpu" in (kernel.modules.value or ())


def _unknown(name: str) -> Gpu:
    return Gpu(name, "", "unknown")


def wanting(gpus: Iterable[Gpu], open_module: str) -> tuple[str, ...]:
    """Returns the architectures among the GPUs whose stance to the open kernel module is `open_module`.

    "no": they need the proprietary one; "required": they run on the open one only.
    """
    rows = (architectures().get(gpu.compute_capability) for gpu in gpus)
    return tuple(sorted({row.architecture for row in rows if row and row.open_module == open_module}))


def understood(parse: Callable[[str], T], text: str) -> T:
    """Returns a version in comparable form. Raises CannotTell where the host reports one that is no version."""
    try:
        return parse(text)
    except ValueError as error:
        raise CannotTell(str(error)) from None
