"""What is known of failures: the driver's Xid errors, the toolkit's faulty releases, which checks detect what."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from gpuctl.command import Shell, command
from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import compare
from gpuctl.frozen import dataclass
from gpuctl.model import Disturbs, Remedy

ACTIONS = ("ignore", "watch", "restart-app", "reset-when-idle", "report", "reset-gpu", "restart-host")
"""What NVIDIA has done at once about an Xid, from least to most.

`ignore` is for what is logged beside another, `watch` for what takes nothing away, `reset-when-idle` for memory that
failed and goes on to work till the GPU is reset.
"""


@dataclass(frozen=True)
class Xid:
    """An error that the driver reports in the kernel log. `action` is one of ACTIONS.

    `says`: words that its line may have, and the action that each asks for instead.
    """

    xid: int
    text: str
    action: str
    source: str
    note: str | None = None
    says: Mapping[str, str] | None = None

    def said(self, line: str) -> str | None:
        """Returns which of those words a line has: what something is now, in one that tells what it changed from."""
        now = line.lower().rpartition(" to ")[2]
        return next((words for words in self.says or () if words.lower() in now), None)

    def action_on(self, line: str) -> str:
        """Returns the action that a line asks for."""
        said = self.said(line)
        return self.says[said] if self.says and said else self.action


@cache
def xids() -> dict[int, Xid]:
    """Returns the Xids by number; the ones that are not there are rare, or NVIDIA wants to hear of them."""
    return {row.xid: row for row in load("xids", Xid)}


def remedy_of(action: str, gpu: str = "INDEX") -> Remedy:
    """Returns what to do where an Xid asks for this; `gpu` is the GPU's index, id or place on the bus."""
    text, commands, disturbs = _REMEDIES[action]
    return Remedy(text, tuple(one.mapped(lambda word: word.replace("INDEX", gpu)) for one in commands), disturbs)


_REMEDIES = {
    "ignore": (
        "Look for the Xids beside it: it follows from another fault, or from a program that was stopped.",
        (command("dmesg", Shell.PIPE, "grep", "-i", "xid"),),
        Disturbs.NOTHING,
    ),
    "watch": (
        "Nothing has to be done at once: look whether it comes back, and have the GPU examined where it does.",
        (command("dmesg", Shell.PIPE, "grep", "-i", "xid"), command("nvidia-smi", "-q", "-d", "ECC,ROW_REMAPPER")),
        Disturbs.NOTHING,
    ),
    "restart-app": (
        "Start the program again; where only this program meets it, the fault is the program's.",
        (command("compute-sanitizer", "PROGRAM"),),
        Disturbs.NOTHING,
    ),
    "reset-when-idle": (
        "The GPU's memory is at fault, not the program: start what was ended again, and reset the GPU when nothing runs"
        " on it, which puts the spare memory in place. Where it comes back, have the GPU examined.",
        (
            command("nvidia-smi", "-q", "-d", "ECC,ROW_REMAPPER"),
            command("nvidia-smi", "--gpu-reset", "-i", "INDEX"),
        ),
        Disturbs.RUNNING_CONTAINERS,
    ),
    "report": (
        "Keep the log for NVIDIA, and try a newer driver.",
        (command("nvidia-bug-report.sh"),),
        Disturbs.NOTHING,
    ),
    "reset-gpu": (
        "Reset the GPU when nothing runs on it; where it comes back, have it examined.",
        (command("nvidia-smi", "--gpu-reset", "-i", "INDEX"),),
        Disturbs.RUNNING_CONTAINERS,
    ),
    "restart-host": (
        "Reboot; where it comes back, look at power, heat and seating, and have the GPU replaced.",
        (command("reboot"),),
        Disturbs.HOST,
    ),
}


@dataclass(frozen=True)
class ToolkitFault:
    """A fault that the toolkit has from `since` (None: ever) until before `fixed`, and the family that it shows as.

    `engine`: the one of ENGINES that alone meets it, None for whatever starts a container.
    """

    family: str
    fixed: str
    text: str
    source: str
    since: str | None = None
    engine: str | None = None
    note: str | None = None


@cache
def toolkit_faults() -> tuple[ToolkitFault, ...]:
    """Returns the known faults, the oldest first."""
    return load("toolkit_faults", ToolkitFault)


def faults_of(version: str) -> tuple[ToolkitFault, ...]:
    """Returns the faults of a release such as 1.17.0."""
    ended = [fault for fault in toolkit_faults() if compare(version, fault.fixed) < 0]
    return tuple(fault for fault in ended if fault.since is None or compare(version, fault.since) >= 0)


@dataclass(frozen=True)
class FamilyChecks:
    """A family of failures and the checks that detect it.

    `seen_in`: host, where facts show it before anything fails; log, where a log that doctor reads shows it afterwards;
    run, where only the failing command does, and `why`.
    """

    family: str
    seen_in: str
    source: str
    checks: tuple[str, ...] = ()
    why: str | None = None


@cache
def family_checks() -> dict[str, FamilyChecks]:
    """Returns all families by id, the most frequent first."""
    return {row.family: row for row in load("family_checks", FamilyChecks)}
