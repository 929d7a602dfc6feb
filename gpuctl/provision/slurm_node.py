"""A Slurm node: what Slurm has of it, and how it is told to change it.

Source: https://slurm.schedmd.com/scontrol.html, and slurmctld 22.05, which has no --json.
"""

from __future__ import annotations

import re

from gpuctl.bounds import plain
from gpuctl.frozen import dataclass
from gpuctl.host.act.process import ask_program
from gpuctl.host.look.reading import Host, Outcome, Reading, failure

NAME = "SLURMD_NODENAME"
LOOK, UPDATE = 8.0, 12.0
"""Seconds for scontrol: Slurm ends a HealthCheckProgram after 60, and doctor's own looks come before."""
LONGEST_REASON = 200
_NAME = re.compile(r"(?!(?i:all)$)[A-Za-z0-9][A-Za-z0-9._-]{0,255}")
"""One node's. ALL and lists with brackets mean others too."""
_STATE = re.compile(r"\sState=(\S+)")
_REASON = re.compile(r"\sReason=(.*?)(?: \[[^\]\s@]*@[^\]\s]*\]|$)", re.DOTALL)
_WITH_JOBS = {"ALLOCATED", "MIXED", "COMPLETING"}


class SlurmProblem(Exception):
    """Slurm could not be asked or told; the message is a sentence."""


@dataclass(frozen=True)
class SlurmNode:
    """A node as Slurm has it. `reason` is "" where none is set, and without who set it and when."""

    name: str
    states: frozenset[str]
    reason: str

    @property
    def is_drained(self) -> bool:
        """Whether it is given no more jobs; those that run on it may go on."""
        return "DRAIN" in self.states

    @property
    def is_down(self) -> bool:
        """Whether nothing runs on it."""
        return "DOWN" in self.states

    @property
    def has_jobs(self) -> bool:
        """Whether jobs run on it, or are being tidied up after; of suspended ones a node's state tells nothing."""
        return bool(self.states & _WITH_JOBS)

    @property
    def is_claimed(self) -> bool:
        """Whether somebody has drained it or set its reason, which tells who."""
        return self.is_drained or bool(self.reason)


def parse_node(text: str) -> SlurmNode:
    """Returns the node that `scontrol -o show node NAME` prints. Raises ValueError where it prints none.

    NodeName=gpu1 CPUAlloc=0 State=IDLE+DRAIN ThreadsPerCore=1 Reason=fan is loud [root@2026-11-30T08:51:34]
    """
    name, state = re.match(r"NodeName=(\S+)", text), _STATE.search(text)
    if name is None or state is None:
        raise ValueError("it names no node and its state")
    reason = _REASON.search(text)
    flags = frozenset(re.findall(r"[A-Z_]+", state[1]))
    return SlurmNode(name[1], flags, reason[1].strip() if reason else "")


def called(host: Host, hostname: str) -> str:
    """Returns the name of the node that a host of this name is, by Slurm's configuration; its own where none has it.

    Raises SlurmProblem, where it is several too.
    """
    short = checked(hostname.partition(".")[0], "the host's name")
    names = _said(host.run(("scontrol", "show", "aliases", short), LOOK)).split()
    if len(names) > 1:
        raise SlurmProblem(f"Slurm runs {len(names)} nodes on {short} ({', '.join(names[:4])}): name one in ${NAME}.")
    return checked(names[0], "Slurm's name of this host") if names else short


def checked(name: str, what: str) -> str:
    """Returns the name of one node. Raises SlurmProblem for what means others too, or none."""
    if not _NAME.fullmatch(name):
        raise SlurmProblem(f"{what} is the name of no single node: {plain(name)[:80]!r}.")
    return name


def shown(host: Host, name: str) -> SlurmNode:
    """Returns a node as Slurm has it. Raises SlurmProblem."""
    text = _said(host.run(("scontrol", "-o", "show", "node", name), LOOK))
    try:
        node = parse_node(text)
    except ValueError as error:
        raise SlurmProblem(f"What scontrol prints of the node {name} is not understood: {error}.") from None
    if node.name != name:
        raise SlurmProblem(f"Slurm tells of the node {plain(node.name)} where {name} was asked for.")
    return node


def jobs_on(host: Host, name: str) -> bool:
    """Returns whether jobs have a node: suspended ones, too, keep what they have on it. Raises SlurmProblem.

    Source: https://slurm.schedmd.com/squeue.html
    """
    said = _said(host.run(("squeue", "--all", "--noheader", "--format=%T", f"--nodelist={name}"), LOOK))
    return bool(set(said.split()) - {"PENDING"})


def update(name: str, *words: str) -> None:
    """Has Slurm change a node. Raises SlurmProblem."""
    _said(ask_program(("scontrol", "update", f"NodeName={name}", *words), "", UPDATE))


def _said(reading: Reading) -> str:
    """What scontrol printed. Raises SlurmProblem where it failed: what it says is on either stream."""
    if reading.ok:
        return reading.text
    words = failure(reading)
    if reading.outcome is Outcome.OK and not reading.detail.strip():
        words = plain(reading.text.strip())[:LONGEST_REASON] or words
    raise SlurmProblem(f"{reading.source}: {words.removesuffix('.')}.")
