"""The frozen values that every room speaks.

It travels to other hosts with `host/` and `facts/`: docs/develop/architecture.md says by which rules.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, IntEnum
from typing import Generic, Mapping, Optional, Tuple, TypeVar

from gpuctl.command import Command
from gpuctl.frozen import dataclass

T = TypeVar("T")

ENGINES: Mapping[str, str] = {"docker": "Docker", "containerd": "containerd", "crio": "CRI-O", "podman": "Podman"}
"""The engines that gpuctl can set up, each with its title as people write it: the one list of them."""
GPU_KIND = "nvidia.com/gpu"
"""What CDI calls NVIDIA's GPUs: each is a device of this kind."""


class CannotTell(Exception):
    """A fact was asked for that could not be looked up; the message is the reason."""


@dataclass(frozen=True)
class Fact(Generic[T]):
    """Something observed on a host, with where it was observed. Never a judgement.

    `value` None means: looked, and it is not there. `unknown` set means: could not look, and why.
    """

    value: Optional[T]
    source: str
    unknown: Optional[str] = None

    def get(self) -> Optional[T]:
        """Returns the value, None when absent. Raises CannotTell when it could not be looked up."""
        if self.unknown is not None:
            raise CannotTell(self.reason)
        return self.value

    @property
    def reason(self) -> str:
        """Where it could not be looked up, and why."""
        return "%s: %s" % (self.source, self.unknown)


class Status(str, Enum):
    """What a check says. The order is the order of display: worst first."""

    FAIL = "fail"
    WARN = "warn"
    UNKNOWN = "unknown"
    PASS = "pass"  # noqa: S105
    SKIP = "skip"


class Disturbs(str, Enum):
    """What a remedy or a step disturbs, from least to most."""

    NOTHING = "nothing"
    NEW_CONTAINERS = "new containers"
    RUNNING_CONTAINERS = "running containers"
    HOST = "the host"


class Action(str, Enum):
    """What a finding asks of whoever runs this host, from least to most: a scheduler decides by it.

    How bad a finding is, its status says; this says what it takes.
    """

    NOTHING_NOW = "nothing-now"
    """Go on: all is well, or it can wait."""
    MEND = "mend"
    """Carry out the remedy: what runs here is not disturbed."""
    RESTART = "restart"
    """Restart a daemon or containers, or reset a GPU that nothing may use meanwhile."""
    REBOOT = "reboot"
    """Reboot the host, or do what needs it as free of work as a reboot."""
    TAKE_OUT_OF_SERVICE = "take-out-of-service"
    """Give this host, or one of its GPUs, no more work: it is broken."""


class Verdict(str, Enum):
    """The answer of a compatibility question, from best to worst."""

    COMPATIBLE = "compatible"
    LIMITED = "limited"
    NEEDS_PACKAGE = "needs-package"
    INCOMPATIBLE = "incompatible"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Evidence:
    """One observation that a finding rests on."""

    source: str
    text: str


@dataclass(frozen=True)
class Remedy:
    """What to do: a sentence, the exact commands in order, what they disturb.

    `by_hand` are what does the same without gpuctl, where the commands are gpuctl's own.
    """

    text: str
    commands: Tuple[Command, ...] = ()
    disturbs: Disturbs = Disturbs.NOTHING
    by_hand: Tuple[Command, ...] = ()


@dataclass(frozen=True)
class Waiver:
    """Why somebody accepts what a check says here, and the last day (YYYY-MM-DD) on which that holds."""

    reason: str
    expires: str


@dataclass(frozen=True)
class Finding:
    """What a check says about this host. `rests_on` is the id of the finding because of which this one is skipped.

    One that is `waived` keeps its status, and counts for nothing.
    """

    id: str
    layer: str
    status: Status
    message: str
    evidence: Tuple[Evidence, ...] = ()
    remedy: Optional[Remedy] = None
    rests_on: Optional[str] = None
    waived: Optional[Waiver] = None
    action: Action = Action.NOTHING_NOW


_TAKES: Mapping[Disturbs, Action] = {
    Disturbs.NOTHING: Action.MEND,
    Disturbs.NEW_CONTAINERS: Action.MEND,
    Disturbs.RUNNING_CONTAINERS: Action.RESTART,
    Disturbs.HOST: Action.REBOOT,
}


def usual_action(status: Status, remedy: Optional[Remedy]) -> Action:
    """Returns what a finding asks for whose check does not say: of a failure what its remedy disturbs, else nothing."""
    if status is not Status.FAIL:
        return Action.NOTHING_NOW
    return _TAKES[remedy.disturbs] if remedy else Action.MEND


@dataclass(frozen=True)
class Defaults:
    """What holds where the command line says nothing. None: the configuration says nothing either."""

    strict: Optional[bool] = None
    format: Optional[str] = None
    only: Optional[Tuple[str, ...]] = None
    skip: Optional[Tuple[str, ...]] = None

    def over(self, other: Defaults) -> Defaults:
        """Returns these, and the other's where these say nothing."""
        return replace(other, **{name: value for name, value in vars(self).items() if value is not None})


@dataclass(frozen=True)
class Report:
    """All findings of one doctor's run, worst first."""

    findings: Tuple[Finding, ...]

    @property
    def action(self) -> Action:
        """The gravest that one of the findings asks for which is not waived."""
        gravity = list(Action).index
        asked = (one.action for one in self.findings if one.waived is None)
        return max(asked, key=gravity, default=Action.NOTHING_NOW)


@dataclass(frozen=True)
class Reason:
    """Why a verdict is what it is, and the document that says so."""

    id: str
    message: str
    source: str


@dataclass(frozen=True)
class Step:
    """One change of a plan: what it does in a sentence, and what it disturbs.

    `undo` says how it is undone, "" where there is nothing to undo; `diff` shows what becomes of a file.
    """

    text: str
    disturbs: Disturbs
    undo: str = ""
    diff: str = ""


@dataclass(frozen=True)
class Plan:
    """The changes that a provisioning command would make, in order. No steps: nothing to do."""

    steps: Tuple[Step, ...]


class ExitCode(IntEnum):
    """What every command ends with."""

    GOOD = 0
    PROBLEM = 1
    USAGE = 2
    UNDETERMINED = 3
    ROLLED_BACK = 4
    NOT_ROLLED_BACK = 5
    BUG = 70
