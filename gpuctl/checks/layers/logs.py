"""What the logs say of GPUs, and of the driver's build and start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import takewhile

from gpuctl.checks.driver_remedies import dkms_install, install_driver
from gpuctl.checks.engine import Judgement, check, failed, passed, unread, warned
from gpuctl.checks.gpus import compat_gpus, usable_gpus
from gpuctl.checks.layers.kernel import PROPRIETARY
from gpuctl.checks.remedies import as_root, install, kernel_log
from gpuctl.command import command
from gpuctl.compat.knowledge.errors.faults import ACTIONS, Xid, remedy_of, xids
from gpuctl.compat.knowledge.keepers import keepers
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.machine.kernel import Kernel
from gpuctl.facts.machine.logs import Logs
from gpuctl.facts.machine.system import System
from gpuctl.frozen import dataclass
from gpuctl.model import Action, Disturbs, Evidence, Remedy
from gpuctl.regex import regex

_XID = regex(r"NVRM: Xid \((?:PCI:)?([0-9a-f:.]+)\): (\d{1,4})\b(?:, (.*))?", re.IGNORECASE)
_NOT_STARTED = regex(
    r"RmInitAdapter failed|not supported by open\b|probe routine was not called"
    r"|None of the NVIDIA devices were initialized|GPU installed in this system is|not supported by the\b"
)
_OF_A_BRANCH = regex(
    r"supported through the NVIDIA (\d{2,4})[.\dx]* Legacy drivers.{0,200}?The ([\d.]{3,20}) NVIDIA driver"
)
_OF_NO_RELEASE = regex(
    r"The NVIDIA GPU (\S+) \(PCI ID: (\S+)\) installed in this system is not supported by the NVIDIA ([\d.]{3,20}) "
)
_NOT_OPEN = regex(r"The NVIDIA GPU (\S+) \(PCI ID: (\S+)\) installed in this system is not supported by open ")
"""The module's words for a GPU that it leaves alone, which go over several lines of the log: nv-pci.c, nv.c."""
_NO_FIRMWARE = regex(r"Direct firmware load for (nvidia/\S+) failed with error -2")
"""The kernel's words (drivers/base/firmware_loader) for a file that is not there: ENOENT."""
_LOADED = regex(r"NVRM: loading NVIDIA UNIX ")
"""The module's first line: what it said before was of a driver that is loaded no more."""
_OF_A_COMPILER = regex(
    r"unrecognized command[- ]line option|unknown argument|not found|ompiler version check failed"
    r"|cannot use keyword '|cannot be defined via '(?:typedef|enum)"
)
"""The last two: GCC 15 takes C for C23, whose words bool, true and false are no names. Source:
https://gcc.gnu.org/gcc-15/porting_to.html"""
RECOVERY = 154
VGPU_START = 78
"""Its driver is of another vGPU release than its hypervisor's, or it has no licence."""
_NO_RECOVERY = regex(r"recovery action changed from .* to 0x0 \(None\)")
_ASKS = {"restart-host": Action.REBOOT, "reset-gpu": Action.RESTART}
"""What an Xid asks for whose GPU still answers."""
_CAUSES = ("driver.nvml", "driver.nvidia-smi", "driver.gpu-answers", "driver.gpu-count")


@dataclass(frozen=True)
class Event:
    """An Xid in the kernel log: where (0000:3b:00), what is known of it, and the line."""

    place: str
    number: int
    known: Xid | None
    line: str

    @property
    def weight(self) -> int:
        """How much it calls for."""
        return ACTIONS.index(self.action)

    @property
    def action(self) -> str:
        """What NVIDIA has done about it; an Xid that nobody has told us of is reported."""
        if self.known is None:
            return "report"
        return self.known.action_on(self.line)

    @property
    def what(self) -> str:
        """What happened, as a phrase."""
        if self.known is None:
            return "see NVIDIA's catalogue of Xids"
        said = self.known.said(self.line)
        return f"{self.known.text}: {said}" if said else self.known.text


def _of_this_driver(lines: tuple[str, ...]) -> list[str]:
    """The lines since the module was loaded last."""
    return [*takewhile(lambda line: not _LOADED.search(line), reversed(lines))][::-1]


def _events(lines: Iterable[str]) -> Iterator[Event]:
    for line in lines:
        found = _XID.search(line)
        if found:
            number = int(found.group(2))
            yield Event(found.group(1).lower().partition(".")[0], number, xids().get(number), line)


def _lasting(lines: Iterable[str]) -> list[Event]:
    """The events of each GPU since it was last told to need no recovery: a reset ends what was before (Xid 154)."""
    lasting: list[Event] = []
    for event in _events(lines):
        if event.number == RECOVERY and _NO_RECOVERY.search(event.line):
            lasting = [one for one in lasting if one.place != event.place]
        lasting.append(event)
    return lasting


@check("driver.xid", explains=("driver.start-log", *_CAUSES))
def xid(system: System, driver: Driver, logs: Logs) -> Judgement | None:
    """The driver reports a GPU's faults in the kernel log as Xid errors, by number: NVIDIA's catalogue explains each.

    What programs do wrong is there too, and no fault of the host. The gravest counts since the module was loaded, and
    since the GPU was last reset.
    Source: https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html
    """
    if logs.kernel.unknown is not None:
        return unread(logs.kernel)
    if logs.kernel.value is None:
        return None
    grave = [event for event in _lasting(_of_this_driver(logs.kernel.value)) if event.weight >= ACTIONS.index("report")]
    if not grave:
        return passed("The kernel log names no fault of a GPU", Evidence(logs.kernel.source, "no such Xid"))
    worst = max(reversed(grave), key=lambda event: event.weight)
    known = [Evidence(worst.known.source, worst.what)] if worst.known else []
    seen = (Evidence(logs.kernel.source, worst.line), *known)
    message = f"The kernel log has Xid {worst.number} for the GPU {worst.place}: {worst.what}."
    remedy = _about_xid(system, worst)
    if not _answers(driver, worst.place):
        return failed(message, *seen, remedy=remedy, action=Action.TAKE_OUT_OF_SERVICE)
    return warned(message, *seen, remedy=remedy, action=_ASKS.get(worst.action))


def _answers(driver: Driver, place: str) -> bool:
    return any(gpu.pci and gpu.pci.startswith(place) and not gpu.error for gpu in driver.gpus.value or ())


def _about_xid(system: System, event: Event) -> Remedy:
    if event.number == VGPU_START:
        return Remedy(keepers()["hypervisor"].way, (), Disturbs.HOST)
    asked = remedy_of(event.action, f"{event.place}.0")
    return replace(asked, commands=as_root(system, *asked.commands))


@check("driver.start-log", explains=("kernel.module-loaded", "kernel.secure-boot", *_CAUSES))
def start_log(system: System, pci: Pci, kernel: Kernel, driver: Driver, keeper: Keeper, logs: Logs) -> Judgement | None:
    """Where the driver could not start a GPU, it says so in the kernel log: firmware, its settings, the wrong module.

    Where it took none of them, it does not stay in the kernel either.
    Source: https://github.com/NVIDIA/open-gpu-kernel-modules/issues
    """
    if logs.kernel.unknown is not None:
        return unread(logs.kernel)
    if logs.kernel.value is None:
        return None
    said = _of_this_driver(logs.kernel.value)
    told = " ".join(" ".join(line.partition("NVRM: ")[2] for line in said if "NVRM: " in line).split())
    lines = [line for line in said if _NOT_STARTED.search(line) and not _of_another_module(told, kernel, driver)]
    usable = usable_gpus(pci.gpus.value)
    if not lines or len([gpu for gpu in driver.gpus.value or () if not gpu.error]) >= max(1, len(usable)):
        return passed(
            "The driver started every GPU", Evidence(logs.kernel.source, f"{len(lines)} lines of a failed start")
        )
    missing = next((found for line in said if (found := _NO_FIRMWARE.search(line))), None)
    if missing:
        text = "Install the driver's packages anew, whole and of one version; the initramfs needs the file too."
        seen = Evidence(logs.kernel.source, missing.string)
        return failed(f"The driver's firmware /lib/firmware/{missing[1]} is missing.", seen, remedy=Remedy(text))
    refusal = _refusal(told, system, pci, driver, keeper)
    if refusal:
        message, remedy = refusal
        return failed(message, Evidence(logs.kernel.source, lines[0]), remedy=remedy)
    text = (
        "Look at the firmware setup (Above 4G Decoding, Resizable BAR) and at the module's flavour: Blackwell needs the"
        " open one, GPUs before Turing the other."
    )
    remedy = Remedy(text, as_root(system, kernel_log("-i", "nvrm")), Disturbs.HOST)
    last = lines[-1].partition("NVRM: ")[2] or lines[-1]
    return failed(f"The driver could not start a GPU: {last}", Evidence(logs.kernel.source, lines[-1]), remedy=remedy)


def _of_another_module(told: str, kernel: Kernel, driver: Driver) -> bool:
    """Whether the module that left a GPU alone was another one than is installed by now: nobody has loaded that."""
    found = _OF_A_BRANCH.search(told) or _OF_NO_RELEASE.search(told)
    if found:
        return found.groups()[-1] != driver.version.value
    return bool(_NOT_OPEN.search(told)) and kernel.module_license.value == PROPRIETARY


def _refusal(told: str, system: System, pci: Pci, driver: Driver, keeper: Keeper) -> tuple[str, Remedy] | None:
    """What the module said of a GPU that it leaves alone, and what drives that; None where it said nothing of it."""
    ended, strange, closed = _OF_A_BRANCH.search(told), _OF_NO_RELEASE.search(told), _NOT_OPEN.search(told)
    if ended:
        text = f"Take a driver of branch {ended[1]}, the last for this GPU, from where this one is."
        return f"The driver {ended[2]} ignores a GPU: branch {ended[1]} is the last that drives it.", Remedy(text)
    if closed:
        text = "Take the driver with the proprietary module, in a branch that knows this GPU."
        return f"The open kernel module does not drive the GPU {closed[1]} ({closed[2]}).", Remedy(text)
    if strange is None:
        return None
    message = f"The driver {strange[3]} does not know the GPU {strange[1]} ({strange[2]})."
    if system.machine.value != "vm":
        text = "Install a driver that is newer than this GPU."
        return message, install_driver(text, system, keeper, compat_gpus(pci, driver))
    whole = "A whole GPU that is passed through and newer than this driver needs a newer one."
    return message, Remedy(f"{keepers()['hypervisor'].way} {whole}", (), Disturbs.HOST)


def _with_compiler(compiler: str, system: System, kernel: Kernel, keeper: Keeper) -> Remedy:
    """DKMS takes the kernel's compiler where it is new enough to know of that; else it takes gcc as it finds it."""
    text = f"Have DKMS build the module with {compiler}, which has built this kernel."
    brought = install("kernel-compiler", text, system, Disturbs.NOTHING, **{compiler.partition("-")[0]: compiler})
    if not brought.commands or not kernel.dkms.value:
        return Remedy(text)
    unfinished = any(not one.whole for one in (keeper.packages.value or {}).values())
    build = dkms_install(kernel.dkms.value[-1], system.kernel.value or "")
    end = (command("dpkg", "--configure", "-a"),) if unfinished else ()
    commands = as_root(system, build, *end, command("modprobe", "nvidia"))
    return replace(brought, commands=(*brought.commands, *commands))


@check(
    "kernel.build-log",
    explains=(
        *("kernel.module-built", "kernel.module-loaded", "kernel.secure-boot", "kernel.packages-whole"),
        "packages.dpkg-whole",
    ),
)
def build_log(system: System, pci: Pci, kernel: Kernel, driver: Driver, keeper: Keeper, logs: Logs) -> Judgement | None:
    """DKMS builds the module for each kernel; a compiler or kernel that the driver does not know makes that fail.

    What failed stays in make.log: dkms(8).
    """
    if driver.loaded_version.value or driver.nvml_version.value or kernel.module_file.value:
        return passed("A module is there for the running kernel", kernel.module_file)
    if not logs.build.get():
        return None
    first = next(filter(_OF_A_COMPILER.search, logs.build.value or ()), "")
    kernels, modules = logs.compilers.value or ("", "")
    if kernels != modules and first:
        message = (
            f"DKMS built the module with {modules or 'nothing'} for a kernel that {kernels} built: {first.strip()}"
        )
        return failed(message, logs.build, logs.compilers, remedy=_with_compiler(kernels, system, kernel, keeper))
    remedy = install_driver("Install a driver that knows this kernel.", system, keeper, compat_gpus(pci, driver))
    first = (logs.build.value or ("",))[0]
    return failed(f"DKMS could not build the module: {first.strip()}", logs.build, remedy=remedy)
