"""The answer to why a pod waits."""

from __future__ import annotations

from gpuctl.command import Command
from gpuctl.frozen import dataclass
from gpuctl.k8s.fit import NodeFit
from gpuctl.k8s.said import SchedulerDiffers, SchedulerWord
from gpuctl.model import ExitCode


@dataclass(frozen=True)
class Holding:
    """Who holds a resource on a node: how many, since when, of which priority."""

    node: str
    pod: str
    resource: str
    amount: str
    since: float | None
    priority: int


@dataclass(frozen=True)
class Fragments:
    """How what is free of a resource lies, over the nodes on which nothing else stands in the way."""

    resource: str
    wanted: str
    free: str
    most: str
    node: str


@dataclass(frozen=True)
class WayIn:
    """A change with the nodes on which it lets the pod in, and a command where there is one."""

    text: str
    nodes: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True)
class Why:
    """The answer. `cause` is a word of CAUSES, `sentence` says it; `ways` are what helps, the smallest first.

    `unknown` are sentences on what could not be looked at.
    """

    subject: str
    cause: str
    sentence: str
    nodes: tuple[NodeFit, ...] = ()
    held: tuple[Holding, ...] = ()
    fragments: tuple[Fragments, ...] = ()
    ways: tuple[WayIn, ...] = ()
    said: SchedulerWord | None = None
    differences: tuple[SchedulerDiffers, ...] = ()
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def code(self) -> ExitCode:
        """0: it runs or has ended well; 1: it waits or was refused; 3: why cannot be told."""
        if self.cause in GOOD:
            return ExitCode.GOOD
        return ExitCode.UNDETERMINED if self.cause == "unknown" else ExitCode.PROBLEM


GOOD = ("running", "succeeded")
REFUSED = ("failed", "rejected", "refused", "quota", "runtime-class", "odd-request")
"""Causes with which nothing is waited for."""
CAUSES = (
    *GOOD,
    *("failed", "rejected", "placed", "no-such-node", "gated", "other-scheduler", "claim-missing", "volume"),
    *("runtime-class", "suspended", "quota", "refused", "odd-request", "no-such-resource", "too-large", "selector"),
    *("held", "fragmented", "change", "claims", "none-fits", "not-tried-yet", "unknown"),
)
"""Every cause that is told."""
