"""What the kernel itself logs of GPUs: their place on the bus, their transfers, and calls that do not come back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from gpuctl.checks.engine import Judgement, check, failed, passed, unread, warned
from gpuctl.checks.remedies import as_root, kernel_log
from gpuctl.command import Command, command
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.machine.logs import Logs
from gpuctl.facts.machine.system import System
from gpuctl.model import Action, Disturbs, Evidence, Remedy
from gpuctl.regex import regex

# The other BARs are the read-only memory's and those of virtual functions, without which the driver starts.
_NO_ROOM = regex(
    r"(?<!VF )BAR [0-5](?: \[[^\]]*\])?: (?:can't assign; no space|no space for|failed to assign)"
    r"|This PCI I/O region assigned to your NVIDIA device is invalid|BAR\d is 0M @ 0x0"
    r"|Can't find an IRQ for your NVIDIA",
    re.IGNORECASE,
)
_TRANSFER = regex(r"AER: .*error.*(?:received|from)|PCIe Bus Error: severity=", re.IGNORECASE)
_UNCORRECTED = regex(r"uncorrect(?:ed|able)", re.IGNORECASE)
_MANY = 10
"""Corrected errors of a link that are worth a word: single ones are part of a link's life."""
_REFUSED = regex(r"DMAR: \[DMA (?:Read|Write)|AMD-Vi: Event logged \[IO_PAGE_FAULT|Unhandled context fault")
_HANGS = regex(
    r"task (?:nvidia|nv_queue|irq/\d+-nvidia)\S* blocked for more than|soft lockup .*\[nv(?:idia|_queue)"
    r"|self-detected stall .*nvidia"
)
_SXID = regex(r"SXid \((?:PCI:)?([0-9a-f:.]+)\): (\d{1,6}), (Fatal|Non-fatal)\b,? ?(.*)", re.IGNORECASE)
_OF_THE_DRIVER = (
    *("kernel.module-loaded", "driver.nvml", "driver.nvidia-smi", "driver.gpu-answers", "driver.gpu-count"),
    "driver.start-log",
)


def _about(lines: Iterable[str], address: str) -> list[str]:
    """The lines that name a PCI address (0000:3b:00.0), which the IOMMU's lack the domain of."""
    domain, _, short = address.partition(":")
    named = re.compile(rf"(?<![0-9a-f])(?<![0-9a-f]:)(?:{domain}:)?{re.escape(short)}(?![0-9a-f])")
    return [line for line in lines if named.search(line.lower())]


def _judged(
    logs: Logs, pci: Pci, told: re.Pattern[str], well: str, judge: Callable[[str, list[str]], Judgement | None]
) -> Judgement | None:
    """What is judged of the lines of that kind which name a GPU, of the first GPU of which something is to be said."""
    if logs.kernel.unknown is not None:
        return unread(logs.kernel)
    if logs.kernel.value is None or not pci.gpus.value:
        return None
    lines = [line for line in logs.kernel.value if told.search(line)]
    gpus = pci.gpus.value if lines else ()
    said = (judge(gpu.address, about) for gpu in gpus if (about := _about(lines, gpu.address)))
    return next((one for one in said if one), passed(well, Evidence(logs.kernel.source, "no such line")))


@check("kernel.pci-resources", explains=_OF_THE_DRIVER)
def pci_resources(pci: Pci, driver: Driver, logs: Logs) -> Judgement | None:
    """A GPU needs memory regions (BARs) and an interrupt, which firmware, or the virtual machine's, has to give it.

    Source: https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/
    """

    def judge(address: str, lines: list[str]) -> Judgement | None:
        if any(gpu.pci and address.startswith(gpu.pci) and not gpu.error for gpu in driver.gpus.value or ()):
            return None
        text = (
            "In the firmware setup, turn on Above 4G Decoding (64-bit MMIO, large BAR) and turn off legacy boot; a "
            "virtual machine needs UEFI and a large enough 64-bit window. Else boot with pci=realloc."
        )
        message = f"The firmware left the GPU {address} without a memory region or an interrupt."
        return failed(message, Evidence(logs.kernel.source, lines[-1]), remedy=Remedy(text, (), Disturbs.HOST))

    return _judged(logs, pci, _NO_ROOM, "Every GPU has its place on the bus", judge)


@check("hardware.link-errors")
def link_errors(pci: Pci, logs: Logs) -> Judgement | None:
    """Transfers between the mainboard and a card are checked: a riser, the seating or the slot shows in their errors.

    Source: https://docs.kernel.org/PCI/pcieaer-howto.html
    """

    def judge(address: str, lines: list[str]) -> Judgement | None:
        lost = [line for line in lines if _UNCORRECTED.search(line)]
        if not lost and len(lines) < _MANY:
            return None
        what = f"{len(lost)} uncorrected" if lost else f"{len(lines)} corrected"
        text = "Reseat the card and its riser; look at the link's width and speed, and try a lower generation of PCIe."
        remedy = Remedy(text, (_LINKS,), Disturbs.HOST)
        return warned(
            f"The PCI link of the GPU {address} has errors: {what} in the kernel log.",
            Evidence(logs.kernel.source, (lost or lines)[-1]),
            remedy=remedy,
        )

    return _judged(logs, pci, _TRANSFER, "No GPU's PCI link has errors", judge)


_LINKS: Command = command(
    *("nvidia-smi", "--query-gpu=index,pcie.link.gen.current,pcie.link.width.current,pcie.replay_counter"),
    "--format=csv",
)


@check("kernel.iommu-faults")
def iommu_faults(system: System, pci: Pci, logs: Logs) -> Judgement | None:
    """An IOMMU that maps other addresses than a GPU uses refuses its transfers: they fail or hang.

    Source: https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html
    """

    def judge(address: str, lines: list[str]) -> Judgement:
        text = "On a host without virtual machines, boot with iommu=pt, or turn the IOMMU and ACS off in the firmware."
        remedy = Remedy(text, as_root(system, kernel_log("-iE", "DMAR|AMD-Vi|smmu")), Disturbs.HOST)
        message = f"The IOMMU refuses what the GPU {address} reads or writes."
        return warned(message, Evidence(logs.kernel.source, lines[-1]), remedy=remedy)

    return _judged(logs, pci, _REFUSED, "The IOMMU refuses no GPU's transfers", judge)


@check("kernel.driver-hangs")
def driver_hangs(system: System, logs: Logs) -> Judgement | None:
    """Where a program waits in the kernel for the driver and gets no answer, the kernel says so after two minutes.

    Source: https://docs.kernel.org/admin-guide/lockup-watchdogs.html
    """
    if logs.kernel.unknown is not None:
        return unread(logs.kernel)
    if logs.kernel.value is None:
        return None
    lines = [line for line in logs.kernel.value if _HANGS.search(line)]
    if not lines:
        return passed("No call into the driver hangs", Evidence(logs.kernel.source, "no such line"))
    text = (
        "Look for an Xid before that line and do what it asks for; else reboot, and take a newer driver if it returns."
    )
    remedy = Remedy(text, as_root(system, kernel_log("-iE", "xid|blocked for more|soft lockup")), Disturbs.HOST)
    message = "A call into the driver did not come back."
    return warned(message, Evidence(logs.kernel.source, lines[-1]), remedy=remedy, action=Action.REBOOT)


@check("driver.nvswitch-errors")
def nvswitch_errors(system: System, pci: Pci, logs: Logs) -> Judgement | None:
    """The NVSwitch driver logs a switch's errors by number (SXid); after a fatal one GPUs lose their NVLink fabric.

    Source: https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html
    """
    if logs.kernel.unknown is not None:
        return unread(logs.kernel)
    found = [(one, line) for line in logs.kernel.value or () if (one := _SXID.search(line))]
    if not found:
        seen = Evidence(logs.kernel.source, "no SXid")
        return passed("No NVSwitch reports an error", seen) if pci.switches.value and logs.kernel.value else None
    fatal = [pair for pair in found if pair[0][3].lower() == "fatal"]
    error, line = (fatal or found)[-1]
    text = (
        "End what uses the GPUs, and reset all of them, or reboot. If it comes back, have the board looked at."
        if fatal
        else "It was got over. Have the board looked at if it comes back often."
    )
    commands = as_root(system, command("nvidia-smi", "--gpu-reset")) if fatal else ()
    remedy = Remedy(text, commands, Disturbs.RUNNING_CONTAINERS if fatal else Disturbs.NOTHING)
    what = f"{error[3].lower()} error {error[2]}{f': {error[4]}' if error[4] else ''}"
    message = f"The NVSwitch {error[1]} reported a {what}."
    return warned(message, Evidence(logs.kernel.source, line), remedy=remedy, action=Action.RESTART if fatal else None)
