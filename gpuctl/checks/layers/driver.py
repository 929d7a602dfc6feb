"""Does the driver work, is it one driver, and does it know these GPUs?"""

from __future__ import annotations

from gpuctl.checks.driver_remedies import driver_is_apart, install_driver, with_holds_lifted
from gpuctl.checks.engine import Judgement, check, failed, passed, undetermined, warned
from gpuctl.checks.gpus import by_nvgpu, compat_gpus, gpus_here, understood, usable_gpus
from gpuctl.checks.layers.kernel import REFUSES
from gpuctl.checks.remedies import as_root, install, kernel_log, reset
from gpuctl.command import command, operands
from gpuctl.compat.answer.answer import driver_verdict
from gpuctl.compat.knowledge.keepers import JETPACK, NVIDIA
from gpuctl.compat.knowledge.lifetimes import ending
from gpuctl.compat.tables.loader import driver_branch
from gpuctl.compat.versions import compare, parse_driver
from gpuctl.facts.gpu.devices import Devices
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.driver_packages import driver_version
from gpuctl.facts.gpu.keeper import GUESTS, Keeper
from gpuctl.facts.gpu.nvml import NvmlGpu
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.kernel import Kernel
from gpuctl.facts.machine.system import System
from gpuctl.facts.packages.logs import DRIVER
from gpuctl.model import Action, Disturbs, Evidence, Remedy

RECOMMENDED = 418
"""The oldest driver branch that the source document recommends."""


_ASK_NVML = ("driver.nvidia-smi", "driver.gpu-answers", "driver.gpu-count", "driver.gpu-health")


@check("driver.version-agrees", explains=("driver.nvml", "driver.version-recommended", *_ASK_NVML), follows=DRIVER)
def version_agrees(system: System, pci: Pci, driver: Driver, keeper: Keeper) -> Judgement:
    """The loaded module and the libraries must be of one version.

    An upgrade of the packages under a running module breaks NVML until the next boot.
    """
    told = [fact for fact in (driver.loaded_version, driver.library_version, driver.file_version) if fact.value]
    loaded = driver.loaded_version.value
    other = next((fact for fact in told if loaded and compare(fact.value or "", loaded) != 0), None)
    if not told:
        driver.version.get()
    if other is None:
        return passed(f"Module and libraries are version {driver.version.value}", *told)
    remedy = _one_version(system, pci, driver, keeper)
    library = driver.library_version.value
    if library and loaded and compare(library, loaded) != 0:
        return failed(f"The loaded module is {loaded}, the libraries are {library}.", *told, remedy=remedy)
    return warned(f"The loaded module is {loaded}, the next boot loads {other.value}.", *told, remedy=remedy)


def _one_version(system: System, pci: Pci, driver: Driver, keeper: Keeper) -> Remedy:
    """A reboot, where that loads another module: a guest's is its host's, and the one on the disk may be the same.

    Packages of the module that lag behind those of the libraries leave it so:
    https://github.com/negativo17/nvidia-driver/issues/180, https://github.com/Nobara-Project/rpm-sources/issues/525
    """
    if system.machine.value == "container":
        text, loaded = "Bring the libraries in here to the version of the host's module.", driver.loaded_version.value
        return install_driver(text, system, keeper, compat_gpus(pci, driver), version=loaded)
    library, file = driver.library_version.value, driver.file_version.value
    if library and file and compare(library, file) != 0:
        text = f"Bring module and libraries to one version: the next boot loads the module {file}."
        return _upgrade_behind(text, system, keeper) or install_driver(text, system, keeper, compat_gpus(pci, driver))
    text = "Reboot, so that the installed module is loaded (or stop all GPU programs and reload the modules)."
    return Remedy(text, as_root(system, command("reboot")), Disturbs.HOST)


def _upgrade_behind(text: str, system: System, keeper: Keeper) -> Remedy | None:
    """The packages of apt's that are behind others of their branch are brought to the same; None where none are."""
    versions = {
        name: version for name, one in (keeper.packages.value or {}).items() if (version := driver_version(one))
    }
    newest = max(versions.values(), key=parse_driver, default="")
    branch = newest.partition(".")[0] + "."
    behind = sorted(name for name, one in versions.items() if one.startswith(branch) and compare(one, newest) != 0)
    if not behind or system.package_manager.value != "apt":
        return None
    install = command("apt-get", "install", "-y", *operands(*behind))
    commands = as_root(system, command("apt-get", "update"), install, command("reboot"))
    remedy = Remedy(f"{text} Packages are behind the others ({newest}).", commands, Disturbs.HOST)
    return with_holds_lifted(remedy, system, keeper)


@check("driver.nvml", explains=_ASK_NVML)
def nvml(system: System, pci: Pci, driver: Driver, keeper: Keeper) -> Judgement | None:
    """NVML (libnvidia-ml) is how the toolkit, nvidia-smi and every monitor ask the driver: where it fails, they do.

    Jetson has it from JetPack 6 on, and containers do without there.
    """
    log = as_root(system, kernel_log("-iE", "nvrm|nvidia"))
    if driver.nvml_error.unknown is not None:
        remedy = Remedy("A GPU that blocks holds up whatever looks at it; the kernel log may name it.", log)
        return undetermined(driver.nvml_error.reason, driver.nvml_error, driver.loaded_version, remedy=remedy)
    said = driver.nvml_error.value
    if said is not None and keeper.driver.value == JETPACK:
        return None
    if said is None:
        return passed("NVML answers", driver.nvml_version)
    if "not found" in said.lower() and driver_is_apart(keeper):
        return passed("NVML's library lies with the driver, apart from the host's programs", keeper.driver)
    if "not found" in said.lower():
        message, seen = "NVML's library libnvidia-ml.so.1 is not found.", (driver.nvml_error, driver.library_version)
        return failed(message, *seen, keeper.driver, remedy=_find_library(system, pci, driver, keeper))
    remedy = Remedy("The kernel log has the driver's own words.", log)
    return failed(f"NVML does not start: {said}.", driver.nvml_error, driver.loaded_version, remedy=remedy)


def _find_library(system: System, pci: Pci, driver: Driver, keeper: Keeper) -> Remedy:
    if driver.library_version.value:
        return Remedy("It is there: refresh the linker's cache.", as_root(system, command("ldconfig")))
    text, version = "Install the driver's libraries.", driver.loaded_version.value
    return install_driver(text, system, keeper, compat_gpus(pci, driver), version=version)


@check("driver.nvidia-smi")
def nvidia_smi(system: System, driver: Driver, keeper: Keeper) -> Judgement | None:
    """nvidia-smi is the smallest program that uses the driver, and what `gpuctl smoke` runs in a container."""
    said = driver.smi_error.get()
    if driver.smi.get() is None and (driver_is_apart(keeper) or keeper.driver.value == JETPACK):
        return None
    if driver.smi.get() is None:
        remedy = _utilities(system, keeper)
        return warned("nvidia-smi is not on PATH; containers get none either.", driver.smi, remedy=remedy)
    if said:
        return failed(
            f"nvidia-smi fails: {said}",
            driver.smi_error,
            remedy=Remedy("Run it and read on.", (command("nvidia-smi"),)),
        )
    return passed("nvidia-smi works", driver.smi_version)


def _utilities(system: System, keeper: Keeper) -> Remedy:
    text = "Install the driver's utilities: the package that holds nvidia-smi beside the driver you have."
    ours = keeper.driver.value in (None, NVIDIA, system.distribution.value and system.distribution.value.id)
    return install("nvidia-smi", text, system, Disturbs.NOTHING) if ours else Remedy(text)


@check("driver.gpu-answers", explains=("driver.gpu-count", "driver.nvidia-smi"))
def gpu_answers(system: System, driver: Driver) -> Judgement | None:
    """One GPU that is lost or blocked stops every container that asks for all: the toolkit looks at each GPU first."""
    gpus = driver.gpus.get()
    if gpus is None:
        return None
    sick = [gpu for gpu in gpus if gpu.error]
    if not sick:
        return passed("Every GPU answers", Evidence(driver.gpus.source, f"{len(gpus)} GPUs"))
    seen = Evidence(driver.gpus.source, "; ".join(f"GPU {gpu.index}: {gpu.error}" for gpu in sick))
    remedy = Remedy(
        "Look for Xid errors, then reset the GPU with nothing running on it, or reboot.",
        as_root(system, kernel_log("-i", "xid"), reset(sick[0].index)),
        Disturbs.RUNNING_CONTAINERS,
    )
    names = ", ".join(str(gpu.index) for gpu in sick)
    message = f"GPU {names} does not answer: {sick[0].error}."
    return failed(message, seen, remedy=remedy, action=Action.TAKE_OUT_OF_SERVICE)


@check("driver.gpu-count")
def gpu_count(system: System, pci: Pci, driver: Driver) -> Judgement | None:
    """The driver should drive every NVIDIA GPU on the bus: one that is missing failed to start, or is not supported."""
    usable = usable_gpus(pci.gpus.get())
    seen = driver.gpus.get()
    if seen is None or not usable:
        return None
    count = Evidence(driver.gpus.source, f"{len(seen)} GPUs")
    if len(seen) >= len(usable):
        return passed(f"The driver drives every GPU on the bus ({len(usable)})", count)
    addresses = {gpu.pci for gpu in seen}
    lost = ", ".join(gpu.address for gpu in usable if gpu.address not in addresses)
    remedy = Remedy("The kernel log says why the driver did not start it.", as_root(system, kernel_log("-i", "nvrm")))
    return failed(f"The driver does not drive the GPU {lost}.", count, Evidence(pci.gpus.source, lost), remedy=remedy)


@check("driver.gpu-health")
def gpu_health(system: System, driver: Driver) -> Judgement | None:
    """Uncorrected memory errors kill the programs that meet them; a pending row remap is done by a reset of the GPU."""
    gpus = driver.gpus.get()
    if not gpus:
        return None
    failing = [gpu for gpu in gpus if gpu.remap_failed]
    worn = [gpu for gpu in gpus if gpu.ecc_errors or gpu.remap_pending]
    if failing:
        remedy = Remedy("Take the GPU out of service and have it replaced.")
        message = f"GPU {failing[0].index} has run out of spare memory rows."
        return failed(message, _health(driver, failing), remedy=remedy, action=Action.TAKE_OUT_OF_SERVICE)
    if worn:
        commands = as_root(system, reset(worn[0].index))
        remedy = Remedy("Reset the GPU when nothing runs on it.", commands, Disturbs.RUNNING_CONTAINERS)
        message = f"GPU {worn[0].index} has uncorrected memory errors."
        return warned(message, _health(driver, worn), remedy=remedy, action=Action.RESTART)
    return passed("No GPU reports memory errors", Evidence(driver.gpus.source, f"{len(gpus)} GPUs"))


def _health(driver: Driver, gpus: list[NvmlGpu]) -> Evidence:
    words = (f"GPU {gpu.index}: {gpu.ecc_errors or 0} uncorrected, remap pending={gpu.remap_pending}" for gpu in gpus)
    return Evidence(driver.gpus.source, "; ".join(words))


@check("driver.version-recommended", explains=("driver.branch-supported",))
def version_recommended(system: System, pci: Pci, driver: Driver, keeper: Keeper) -> Judgement:
    """A driver runs containers of its own CUDA version and older: from 418 on, images move freely between hosts."""
    version = driver.version.get()
    if version is None or understood(parse_driver, version) >= (RECOMMENDED,):
        return passed(f"The driver is {RECOMMENDED} or newer", driver.version)
    remedy = install_driver("Upgrade the driver.", system, keeper, compat_gpus(pci, driver))
    message = f"The driver {version} is older than {RECOMMENDED}; newer CUDA images will not run."
    return warned(message, driver.version, remedy=remedy)


@check("driver.branch-supported")
def branch_supported(driver: Driver) -> Judgement | None:
    """NVIDIA mends a driver branch until a date; after it, neither bugs nor security holes are closed."""
    version = driver.version.get()
    branch = driver_branch(version) if version else None
    if branch is None or branch.end_of_life is None:
        return None
    end = ending(branch.end_of_life)
    if end is None:
        return passed(f"Driver branch {branch.branch} is supported until {branch.end_of_life}", driver.version)
    which = command("gpuctl", "recommend")
    remedy = Remedy("Plan an upgrade to a branch that is still supported.", (which,), Disturbs.HOST)
    return warned(f"Driver branch {branch.branch} {end}.", driver.version, remedy=remedy)


@check("driver.supports-gpus", explains=(*REFUSES, "driver.start-log", "driver.nvml", *_ASK_NVML))
def supports_gpus(system: System, pci: Pci, driver: Driver, keeper: Keeper) -> Judgement | None:
    """A driver branch drops old architectures and does not know new ones: Kepler ends with 470, Volta with 580.

    One that knows none of the GPUs does not stay in the kernel: then the installed one is judged.
    """
    version = driver.version.get()
    gpus = gpus_here(pci, driver)
    capabilities = {gpu.compute_capability for gpu in gpus}
    if version is None or not capabilities:
        return None
    reasons = [reason for one in sorted(capabilities) if (reason := driver_verdict(version, one)) is not None]
    runs = driver.loaded_version.value or driver.nvml_version.value
    if not reasons or (not runs and len(reasons) < len(capabilities)):
        return passed("The driver supports every GPU's architecture", driver.version)
    remedy = install_driver("Install a driver that drives these GPUs.", system, keeper, gpus)
    return failed(reasons[0].message, driver.version, Evidence(reasons[0].source, reasons[0].message), remedy=remedy)


@check("driver.device-nodes", explains=("kernel.uvm-loaded",))
def device_nodes(system: System, driver: Driver, devices: Devices, tegra: Tegra, kernel: Kernel) -> Judgement | None:
    """Programs reach the GPUs through /dev/nvidia0, nvidiactl and nvidia-uvm; the toolkit hands these to containers.

    On a Jetson up to Orin they go by nvgpu's nodes instead.
    """
    is_elsewhere = system.machine.value in ("wsl1", "wsl2") or by_nvgpu(tegra, kernel)
    if driver.nvml_version.value is None or is_elsewhere:
        return None
    nodes = {node.path for node in devices.nodes.get() or ()}
    modules, within = kernel.modules.value, system.machine.value == "container"
    of_uvm = within or modules is None or "nvidia_uvm" in modules  # else kernel.uvm-loaded tells
    wanted = ("/dev/nvidiactl", "/dev/nvidia0", *(("/dev/nvidia-uvm",) if of_uvm else ()))
    missing = [path for path in wanted if path not in nodes]
    seen = Evidence(devices.nodes.source, ", ".join(sorted(nodes)) or "none")
    if not missing:
        return passed(f"{len(nodes)} device nodes are there", seen)
    if within:
        return _not_passed_on(system, missing[0], seen)
    remedy = Remedy("Have nvidia-modprobe make them.", as_root(system, command("nvidia-modprobe", "-c=0", "-u")))
    return warned(f"The device node {missing[0]} is missing.", seen, remedy=remedy)


def _not_passed_on(system: System, path: str, seen: Evidence) -> Judgement:
    """A container has the nodes that its host gives it. Without compute among its capabilities an engine's lacks one.

    Source: https://github.com/jammsen/proxmox-setup-scripts/issues/7
    """
    message = f"The device node {path} is missing in here: CUDA finds no GPU."
    if system.machine_detail.value not in GUESTS:
        text = "Start this container anew with all that CUDA needs: NVIDIA_DRIVER_CAPABILITIES=compute,utility."
        return failed(message, seen, remedy=Remedy(text, disturbs=Disturbs.RUNNING_CONTAINERS))
    text = (
        "On the host: load what makes it (nvidia-modprobe -u -c=0) at every boot, before this guest starts, and pass"
        f" {path} on in the guest's configuration, by the number that the node has there now."
    )
    return failed(message, seen, remedy=Remedy(text, disturbs=Disturbs.HOST))


@check("driver.device-permissions")
def device_permissions(devices: Devices) -> Judgement | None:
    """Every user may open NVIDIA's device nodes by default; tighter modes stop containers whose user is not root."""
    nodes = devices.nodes.get() or ()
    if not nodes:
        return None
    gates = [node for node in nodes if not node.path.startswith("/dev/nvidia-caps")]
    closed = [node for node in gates if node.mode & 0o006 != 0o006]
    if not closed:
        return passed("Every user may open the device nodes", Evidence(devices.nodes.source, f"{len(gates)} nodes"))
    seen = [Evidence(node.path, f"mode {node.mode:o}") for node in closed]
    remedy = Remedy(
        "Where that is not meant: NVreg_DeviceFileMode=0666 in modprobe.d, then reload the module. Where it is, "
        "its users are in the nodes' group, and rootless Podman keeps that by --group-add keep-groups.",
        (command("grep", "-rn", "NVreg_DeviceFile", "/etc/modprobe.d"),),
    )
    modes = ", ".join(sorted({f"{node.mode:o}" for node in closed}))
    which = f"{closed[0].path} is" if len(closed) == 1 else f"{len(closed)} device nodes are"
    return warned(f"{which} closed to other users (mode {modes}).", *seen, remedy=remedy)
