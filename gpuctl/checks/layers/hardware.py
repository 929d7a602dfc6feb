"""Is there a GPU that this host may use?"""

from __future__ import annotations

from collections import Counter

from gpuctl.checks.driver_remedies import switch_on
from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.gpus import GIVEN_AWAY
from gpuctl.checks.remedies import remove_packages
from gpuctl.command import command, operands
from gpuctl.compat.tables.loader import pci_device
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.keeper import GUESTS, Keeper
from gpuctl.facts.gpu.pci import Pci, PciGpu
from gpuctl.facts.gpu.wsl import FOLDER as WSL_FOLDER
from gpuctl.facts.gpu.wsl import WslLibraries
from gpuctl.facts.machine.system import System
from gpuctl.model import Disturbs, Evidence, Remedy

_VENDORS = {"1002": "AMD", "1a03": "ASPEED", "8086": "Intel"}


@check("hardware.gpu-present", explains=("hardware.passthrough", "hardware.gpu-known"))
def gpu_present(system: System, pci: Pci, driver: Driver) -> Judgement:
    """An NVIDIA GPU has to be visible to this kernel: on the PCI bus, or to NVML where there is none (WSL, Jetson).

    A virtual machine sees only GPUs that its hypervisor passes through; a container's host decides what it sees.
    """
    gpus = pci.gpus.value or ()
    if gpus:
        return passed(f"{_count(len(gpus))} on the PCI bus: {_listed(gpus)}", _seen(pci.gpus.source, gpus))
    if driver.gpus.value:
        names = "; ".join(gpu.name or gpu.error or "nameless" for gpu in driver.gpus.value)
        return passed(f"NVML sees {_count(len(driver.gpus.value))}", Evidence(driver.gpus.source, names))
    if pci.tegra.value:
        return passed("This is a Jetson, whose GPU is part of the chip and on no bus", pci.tegra)
    pci.gpus.get()
    others = sorted({_VENDORS.get(gpu.vendor, f"vendor {gpu.vendor}") for gpu in pci.others.value or ()})
    only = f" (only {' and '.join(others)} graphics)" if others else ""
    if pci.switched_off.value:
        remedy = switch_on(system, pci.switched_off.value)
        return failed(
            f"No NVIDIA GPU is visible to this host{only}: it is switched off.", pci.switched_off, remedy=remedy
        )
    return failed(f"No NVIDIA GPU is visible to this host{only}.", pci.gpus, remedy=_find_a_gpu(system))


def _find_a_gpu(system: System) -> Remedy:
    machine = system.machine.value
    if machine == "vm":
        return Remedy("Pass a GPU through to this virtual machine in its hypervisor.", (), Disturbs.HOST)
    if machine in ("wsl1", "wsl2"):
        text = "Install NVIDIA's Windows driver, then update WSL from Windows."
        return Remedy(text, (command("wsl.exe", "--update"),), Disturbs.HOST)
    if machine == "container" and system.machine_detail.value in GUESTS:
        text = (
            "Pass the host's device nodes (/dev/nvidia0, nvidiactl, nvidia-uvm) on to this guest, in its configuration."
        )
        return Remedy(text, (), Disturbs.HOST)
    if machine == "container":
        return Remedy("Run gpuctl on the host, or give this container the GPUs (docker run --gpus all).", ())
    return Remedy("Check that the card is seated and powered, and enabled in the firmware setup.", (), Disturbs.HOST)


@check("hardware.gpu-known")
def gpu_known(pci: Pci) -> Judgement | None:
    """gpuctl knows a GPU's chip and architecture from its PCI device id, without a driver.

    A GPU that is missing from the table is newer than it, older than Fermi, or an engineering sample.
    """
    strangers = [gpu for gpu in pci.gpus.get() or () if pci_device(gpu.device) is None]
    if not pci.gpus.value:
        return None
    if strangers:
        names = ", ".join(f"10de:{gpu.device}" for gpu in strangers)
        return warned(f"gpuctl does not know the GPU {names}.", _seen(pci.gpus.source, strangers))
    return passed("Every GPU is in gpuctl's table", _seen(pci.gpus.source, pci.gpus.value))


@check(
    "hardware.passthrough",
    explains=("kernel.module-loaded", "driver.gpu-count", "docker.installed", "docker.reachable"),
)
def passthrough(system: System, pci: Pci) -> Judgement | None:
    """A GPU that is bound to vfio-pci belongs to virtual machines: no container of this host can use it.

    Xen calls that pciback, and Grace Hopper has a driver of its own for it. A host all of whose GPUs are given away is
    a hypervisor, of which no engine is asked: what uses them is looked at inside of the virtual machine.
    Source: https://docs.kernel.org/driver-api/vfio.html, https://wiki.xenproject.org/wiki/Xen_PCI_Passthrough
    """
    gpus = pci.gpus.get() or ()
    taken = [gpu for gpu in gpus if gpu.driver in GIVEN_AWAY]
    if not gpus:
        return None
    if not taken:
        return passed("No GPU is set aside for virtual machines", _seen(pci.gpus.source, gpus))
    seen = _seen(pci.gpus.source, taken)
    if len(taken) < len(gpus):
        return warned(f"{len(taken)} of {len(gpus)} GPUs are set aside for virtual machines ({taken[0].driver}).", seen)
    text = (
        "Run gpuctl inside of the virtual machine that has it. Or give it back to this host: remove its id from the"
        " kernel command line and modprobe.d, then reboot."
    )
    commands = (command("grep", "-rsn", *operands(gpus[0].device, "/etc/modprobe.d", "/proc/cmdline")),)
    return failed(
        f"Every GPU is set aside for virtual machines ({taken[0].driver}).",
        seen,
        remedy=Remedy(text, commands, Disturbs.HOST),
    )


@check("hardware.wsl-libraries", explains=("hardware.gpu-present",))
def wsl_libraries(system: System, driver: Driver, libraries: WslLibraries, keeper: Keeper) -> Judgement | None:
    """Under WSL the driver is Windows', whose libraries lie in /usr/lib/wsl/lib: one of Linux beside them shadows them.

    With it NVML and CUDA find no GPU, for there is no module of Linux' to talk to.
    Source: https://docs.nvidia.com/cuda/wsl-user-guide/index.html
    """
    first, other = libraries.first.value, libraries.other.get()
    if first is None and other is None:
        return None
    taken = first is not None and not first.startswith(WSL_FOLDER)
    other = other or (first if taken else None)
    if other is None:
        return passed("Windows' libraries are the only ones of a driver in here", libraries.first)
    packages = sorted({*filter(None, (libraries.package.value,)), *(keeper.packages.value or ())})
    commands = remove_packages(system, *packages) if packages else ()
    what = ", ".join(packages) or "the Linux driver, and what came with it,"
    text = f"Remove {what} from in here: the driver is Windows'."
    message = f"A Linux driver's {other} lies beside the one of Windows' driver"
    seen, remedy = (libraries.other, libraries.first, libraries.package), Remedy(text, commands, Disturbs.HOST)
    if taken or driver.nvml_version.value is None:
        return failed(f"{message}, and shadows it.", *seen, remedy=remedy)
    return warned(f"{message}, and may shadow it.", *seen, remedy=remedy)


@check("hardware.environment")
def environment(system: System) -> Judgement:
    """What kind of machine this is decides where a fault is mended: WSL 1 has no GPUs, a container only its host's."""
    machine = system.machine.get() or "unknown"
    detail = f" ({system.machine_detail.value})" if system.machine_detail.value else ""
    if machine == "wsl1":
        convert = command("wsl.exe", "--set-version", "DISTRIBUTION", "2")
        remedy = Remedy("Turn this distribution into WSL 2, from Windows.", (convert,))
        return failed("This is WSL 1, which has no GPUs.", system.machine, remedy=remedy)
    if machine == "container":
        return warned(f"gpuctl runs in a container{detail}: it sees what its host lets through.", system.machine)
    return passed(f"Kind of machine: {machine}{detail}", system.machine)


def _count(number: int) -> str:
    return "1 NVIDIA GPU" if number == 1 else f"{number} NVIDIA GPUs"


def _listed(gpus: tuple[PciGpu, ...]) -> str:
    names = [_name(gpu) for gpu in gpus]
    return ", ".join(f"{times}x {name}" if times > 1 else name for name, times in Counter(names).items())


def _name(gpu: PciGpu) -> str:
    known = pci_device(gpu.device)
    return f"{known.product} ({known.architecture})" if known else f"10de:{gpu.device}"


def _seen(source: str, gpus: tuple[PciGpu, ...] | list[PciGpu]) -> Evidence:
    shown = (f"{gpu.address} {gpu.vendor}:{gpu.device} driver={gpu.driver or 'none'}" for gpu in gpus)
    return Evidence(source, "; ".join(shown))
