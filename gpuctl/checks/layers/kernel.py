"""Does the kernel run NVIDIA's module, and if not, why?"""

from __future__ import annotations

from gpuctl.checks.driver_remedies import (
    dkms_install,
    enrol_key,
    install_driver,
    install_module,
    kept_by_another,
    switch_on,
)
from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.gpus import by_nvgpu, compat_gpus, gpus_here, wanting
from gpuctl.checks.mendable import TOOLKIT
from gpuctl.checks.remedies import as_root, install
from gpuctl.command import Shell, command
from gpuctl.compat.knowledge.keepers import OPERATOR
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.kernel import Kernel
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.logs import KERNEL
from gpuctl.model import Disturbs, Evidence, Remedy

OWN_DRIVERS = {"nouveau": ("nouveau", "nouveau"), "NovaCore": ("nova", "nova_core")}
"""The kernel's own drivers as PCI names them: what they are called, and their module."""
PROPRIETARY = "NVIDIA"
"""The licence of the proprietary module; the open one's is "Dual MIT/GPL"."""
REFUSES = ("kernel.module-loaded", "kernel.secure-boot", "kernel.nouveau")
"""What is so where the module takes none of the GPUs, and is no cause of it: modprobe would be refused again."""


def _runs(driver: Driver, kernel: Kernel) -> bool:
    """Whether a driver answers, whatever /proc/modules says: WSL has none of that name, and Jetson has nvgpu."""
    of_tegra = "nvgpu" in (kernel.modules.value or ())
    return driver.loaded_version.value is not None or driver.nvml_version.value is not None or of_tegra


@check(
    "kernel.driver-installed",
    explains=("kernel.nouveau", "kernel.module-built", "kernel.module-loaded", "kernel.secure-boot"),
)
def driver_installed(system: System, pci: Pci, kernel: Kernel, driver: Driver, keeper: Keeper) -> Judgement:
    """A GPU needs NVIDIA's driver on the host: a kernel module, libnvidia-ml and nvidia-smi. CUDA is not needed.

    Its packages keep nouveau from loading.
    """
    known = _runs(driver, kernel) or kernel.module_file.value or kernel.dkms.value or driver.library_version.value
    if known or driver.smi.value:
        keeps = kept_by_another(keeper)
        kept = f", and kept by {keeps.title}" if keeps else ""
        return passed(f"The NVIDIA driver is installed{kept}", driver.version, kernel.module_file)
    kernel.module_file.get()
    remedy = install_driver("Install the driver.", system, keeper, compat_gpus(pci, driver))
    seen = (kernel.module_file, driver.smi, keeper.driver)
    return failed("No NVIDIA driver is installed.", *seen, remedy=remedy)


@check(
    "kernel.packages-whole",
    explains=(
        *("kernel.driver-installed", "kernel.module-built", "kernel.module-loaded", "kernel.secure-boot"),
        *("driver.version-agrees", "driver.nvml", "driver.nvidia-smi", "packages.dpkg-whole"),
    ),
)
def packages_whole(system: System, driver: Driver, keeper: Keeper) -> Judgement | None:
    """Where dpkg was interrupted within the driver's packages, its parts are those of the one before, or none: dpkg(1).

    Those that work all the same are told of with all other packages.
    """
    if system.package_manager.value != "apt":
        return None
    cut = sorted(name for name, one in (keeper.packages.value or {}).items() if not one.whole)
    if not cut or driver.nvml_version.value is not None:
        return passed(
            "The driver's packages are whole, or work", Evidence(keeper.packages.source, f"{len(cut)} cut off")
        )
    seen = Evidence(keeper.packages.source, ", ".join(cut))
    ends = command("dpkg", "--configure", "-a"), command("apt-get", "-f", "install", "-y"), command("reboot")
    remedy = Remedy("Let dpkg and apt end what they began.", as_root(system, *ends), Disturbs.HOST)
    return failed(f"dpkg was interrupted within the driver's packages: {seen.text}.", seen, remedy=remedy)


@check(
    "kernel.operator-driver",
    explains=(
        "kernel.driver-installed",
        "kernel.module-built",
        "kernel.module-loaded",
        *TOOLKIT,
        "registration.containerd",
        "registration.crio",
    ),
)
def operator_driver(system: System, keeper: Keeper) -> Judgement | None:
    """On a node whose driver is a container of the GPU Operator's, nothing works before that is ready.

    Its pod says why it is not: kernel headers that it cannot get, nouveau, a kernel without a precompiled image. What
    else the operator brings, as the toolkit, waits for it. Source: https://github.com/NVIDIA/gpu-operator/issues/564
    """
    if keeper.driver.value != OPERATOR:
        return None
    if not keeper.is_awaited:
        return passed("The GPU Operator's driver container has brought its driver", keeper.driver)
    pods = command("kubectl", "get", "pods", "-A", "-o", "wide", "-l", "app=nvidia-driver-daemonset")
    log = command("kubectl", "logs", "-n", "gpu-operator", "-l", "app=nvidia-driver-daemonset", "--tail=30")
    text = "See this node's pod, and its log: it says what the container lacks. Install no driver on the node."
    return failed("The GPU Operator's driver container is not ready.", keeper.driver, remedy=Remedy(text, (pods, log)))


@check("kernel.nouveau", explains=("kernel.module-loaded",))
def nouveau(system: System, pci: Pci, kernel: Kernel) -> Judgement:
    """nouveau or nova, the kernel's own drivers, take the GPU at boot and keep NVIDIA's module from it.

    Source: https://docs.kernel.org/gpu/nova/index.html
    """
    bound = [gpu for gpu in pci.gpus.value or () if gpu.driver in OWN_DRIVERS]
    if not bound:
        loaded = "nouveau" in (kernel.modules.get() or ())
        return passed("nouveau is loaded but holds no GPU" if loaded else "nouveau is not loaded", kernel.modules)
    own = bound[0].driver or ""
    name, module = OWN_DRIVERS[own]
    file = f"/etc/modprobe.d/blacklist-{name}.conf"
    blacklist = command("echo", f"blacklist {module}", Shell.PIPE, Shell.SUDO, "tee", file)
    rebuild = install("initramfs", "", system, Disturbs.HOST).commands
    remedy = Remedy(
        f"Keep {name} from loading, rebuild the initramfs, reboot.",
        (*as_root(system, blacklist), *rebuild, *as_root(system, command("reboot"))),
        Disturbs.HOST,
    )
    places = ", ".join(gpu.address for gpu in bound)
    return failed(f"{name} holds the GPU {places}.", Evidence(pci.gpus.source, f"driver={own}"), remedy=remedy)


@check("kernel.secure-boot", explains=("kernel.module-loaded",))
def secure_boot(system: System, kernel: Kernel, driver: Driver, keeper: Keeper) -> Judgement | None:
    """With Secure Boot on, the kernel loads only signed modules: one that DKMS built needs its key enrolled (MOK).

    akmods has a key of its own, and so have images that bring the module.
    """
    if _runs(driver, kernel):
        return passed("The kernel took the module", kernel.secure_boot)
    if not kernel.secure_boot.get():
        return passed("Secure Boot is off", kernel.secure_boot)
    if kernel.module_file.value is None:
        return None
    remedy = enrol_key(system, keeper, is_dkms=bool(kernel.dkms.value) or "/dkms/" in kernel.module_file.value)
    return failed(
        "Secure Boot is on and the NVIDIA module is not loaded.", kernel.secure_boot, kernel.module_file, remedy=remedy
    )


@check("kernel.module-built", explains=("kernel.module-loaded", "kernel.secure-boot"), follows=KERNEL)
def module_built(system: System, pci: Pci, kernel: Kernel, driver: Driver, keeper: Keeper) -> Judgement | None:
    """The module has to exist for the kernel that runs now: without its headers, DKMS could not build one."""
    if _runs(driver, kernel):
        return passed("The module matches the running kernel", kernel.module_file)
    if kernel.module_file.get():
        return passed("A module is installed for the running kernel", kernel.module_file)
    if system.machine.value == "container":  # the modules are the host's, and not to be seen from here
        return None
    message = f"The driver has no module for the running kernel {system.kernel.value}"
    if kernel.with_modules.value and system.kernel.value not in kernel.with_modules.value:
        remedy = Remedy("Reboot into the kernel that is installed.", as_root(system, command("reboot")), Disturbs.HOST)
        return failed(f"{message}, of which none are left.", kernel.with_modules, remedy=remedy)
    if not kernel.dkms.value:
        remedy = install_module("Install the driver again, whole.", system, keeper, compat_gpus(pci, driver))
        return failed(f"{message}.", kernel.module_file, kernel.dkms, keeper.driver, remedy=remedy)
    newest = kernel.dkms.value[-1]
    build = as_root(system, dkms_install(newest, system.kernel.value or ""), command("modprobe", "nvidia"))
    headers = () if kernel.headers.value else install("headers", "", system, Disturbs.NOTHING).commands
    why = "" if kernel.headers.value else ", and its headers are missing"
    return failed(
        f"{message}{why}.",
        kernel.module_file,
        kernel.headers,
        remedy=Remedy("Build the module for this kernel.", (*headers, *build), Disturbs.NOTHING),
    )


@check("kernel.module-loaded")
def module_loaded(system: System, pci: Pci, kernel: Kernel, driver: Driver) -> Judgement:
    """Without NVIDIA's module in the kernel, NVML, nvidia-smi and the toolkit all fail, each in its own words."""
    if _runs(driver, kernel):
        return passed("The NVIDIA module is loaded", driver.loaded_version)
    if "nvidia" in (kernel.modules.get() or ()):
        return passed("The NVIDIA module is loaded", kernel.modules)
    commands = as_root(system, command("modprobe", "nvidia"), command("dmesg", Shell.PIPE, "tail", "-n", "20"))
    seen = (kernel.modules, driver.loaded_version, pci.switched_off)
    if pci.switched_off.value:
        remedy = switch_on(system, pci.switched_off.value)
        return failed("The NVIDIA kernel module is not loaded: the GPU is switched off.", *seen, remedy=remedy)
    remedy = Remedy("Load the module; the kernel log says why if it refuses.", commands)
    return failed("The NVIDIA kernel module is not loaded.", *seen, remedy=remedy)


@check("kernel.uvm-loaded")
def uvm_loaded(system: System, kernel: Kernel, tegra: Tegra) -> Judgement | None:
    """CUDA needs nvidia_uvm beside nvidia. It is loaded on first use by nvidia-modprobe, where that is installed.

    On a Jetson up to Orin it goes by nvgpu instead.
    """
    modules = kernel.modules.get() or ()
    if "nvidia" not in modules or by_nvgpu(tegra, kernel):
        return None
    if "nvidia_uvm" in modules:
        return passed("nvidia_uvm is loaded", kernel.modules)
    if system.machine.value == "container":
        remedy = Remedy("Load it on the host, at every boot: nvidia-modprobe -u -c=0. Nothing in here can.")
        return warned("nvidia_uvm is not loaded on the host: CUDA may find no GPU.", kernel.modules, remedy=remedy)
    remedy = Remedy("Load it now.", as_root(system, command("nvidia-modprobe", "-c=0", "-u")))
    return warned("nvidia_uvm is not loaded: nvidia-smi works, CUDA may not.", kernel.modules, remedy=remedy)


@check("kernel.module-flavour", explains=REFUSES)
def module_flavour(system: System, pci: Pci, kernel: Kernel, driver: Driver, keeper: Keeper) -> Judgement | None:
    """The open module runs Turing and newer; Maxwell, Pascal and Volta need the proprietary one, Blackwell the open.

    One that drives none of the GPUs does not stay in the kernel: then the installed one is judged, by its licence.
    """
    loaded, licence = driver.open_module.get(), kernel.module_license.value
    if loaded is None and (licence is None or _runs(driver, kernel)):
        return None
    seen = kernel.module_license if loaded is None else driver.open_module
    is_open = licence != PROPRIETARY if loaded is None else loaded
    flavour, gpus = "open" if is_open else "proprietary", gpus_here(pci, driver)
    wrong = wanting(gpus, "no" if is_open else "required")
    if not wrong or (loaded is None and any(gpu.architecture not in wrong for gpu in gpus)):
        return passed(f"The {flavour} kernel module suits these GPUs", seen)
    text = f"Install the driver with the {'proprietary' if is_open else 'open'} module."
    remedy = install_driver(text, system, keeper, gpus)
    message = f"The {flavour} kernel module does not run {' and '.join(wrong)} GPUs."
    return failed(message, seen, remedy=remedy)
