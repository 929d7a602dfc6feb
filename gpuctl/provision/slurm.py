"""A Slurm node that drains itself where it is to be taken out of service, and comes back when that is over.

What gpuctl has drained says so in its reason, by MARK; a node that others have drained, or set down, is left alone.
Source: https://slurm.schedmd.com/scontrol.html, and slurmctld 22.05, which has no --json.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpuctl.bounds import plain
from gpuctl.frozen import dataclass
from gpuctl.host.act.process import ask_program
from gpuctl.host.look.reading import Host, Outcome, Reading, failure
from gpuctl.model import Action, Finding, Report, Status

MARK = "gpuctl: "
"""What the reason of a node begins with that drained itself. A controller's begins with another: `gpuctl RUN: `."""
NAME = "SLURMD_NODENAME"
HOSTNAME = "/proc/sys/kernel/hostname"
LOOK, UPDATE = 8.0, 12.0
"""Seconds for scontrol: Slurm ends a HealthCheckProgram after 60, and doctor's own looks come before."""
_NAME = re.compile(r"(?!(?i:all)$)[A-Za-z0-9][A-Za-z0-9._-]{0,255}")
"""One node's. ALL and lists with brackets mean others too."""
_STATE = re.compile(r"\sState=(\S+)")
_REASON = re.compile(r"\sReason=(.*?)(?: \[[^\]\s@]*@[^\]\s]*\]|$)", re.DOTALL)
_IDS = re.compile(re.escape(MARK) + r"([a-z0-9.-]+(?:, [a-z0-9.-]+)*)")
_LONGEST = 200
"""Letters of a reason."""


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
    def is_others(self) -> bool:
        """Whether others have drained it, or set its reason."""
        return (self.is_drained or bool(self.reason)) and not self.reason.startswith(MARK)


@dataclass(frozen=True)
class Drained:
    """What became of the node: drained, resumed, unchanged, left-alone or failed; `message` is a sentence.

    `node` is None where its name is not known; `reason` is what Slurm has for it now.
    """

    outcome: str
    message: str
    node: str | None = None
    reason: str | None = None


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


def drain_by(host: Host, report: Report, dry_run: bool) -> Drained:
    """Drains or resumes the node that this host is, as the report asks, and returns what became of it.

    With `dry_run`, what would become of it.
    """
    name = None
    try:
        name = own_name(host)
        return _settled(shown(host, name), report, dry_run)
    except SlurmProblem as problem:
        return Drained("failed", str(problem), name)


def own_name(host: Host) -> str:
    """Returns the name that Slurm has for this host: slurmd tells it, else Slurm's configuration by the host's name.

    Raises SlurmProblem.
    """
    told = host.env(NAME).text
    if told:
        return _checked(told, f"${NAME}")
    hostname = host.read(HOSTNAME).text.strip().partition(".")[0]
    names = _said(host.run(("scontrol", "show", "aliases", _checked(hostname, "the host's name")), LOOK)).split()
    if len(names) > 1:
        raise SlurmProblem(
            f"Slurm runs {len(names)} nodes on {hostname} ({', '.join(names[:4])}): name one in ${NAME}."
        )
    return _checked(names[0], "Slurm's name of this host") if names else hostname


def _checked(name: str, what: str) -> str:
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


def reason_of(report: Report, before: str = "") -> str:
    """Returns the reason for which a host is to be taken out of service, in one line; "" where it is not to be.

    `before` is the reason that gpuctl has given: what it names and is not over stays named.
    """
    grave = [one for one in report.findings if one.action is Action.TAKE_OUT_OF_SERVICE and one.waived is None]
    if not grave:
        return ""
    ids = dict.fromkeys((*(one.id for one in grave), *_not_over(before, report)))
    return plain(f"{MARK}{', '.join(ids)}: {grave[0].message}")[:_LONGEST]


def is_over(reason: str, report: Report) -> bool:
    """Returns whether all that a reason of gpuctl's names was looked at and is well again, or waived.

    What is not known, or rests on something else that failed, is not over.
    """
    return bool(_ids(reason)) and not _not_over(reason, report)


def _not_over(reason: str, report: Report) -> Sequence[str]:
    well = {one.id for one in report.findings if one.waived is not None or _is_well(one)}
    return [id for id in _ids(reason) if id not in well]


def _ids(reason: str) -> Sequence[str]:
    """The ids of the findings that a reason of gpuctl's names."""
    found = _IDS.match(reason)
    return found[1].split(", ") if found else ()


def _is_well(finding: Finding) -> bool:
    return finding.status in (Status.PASS, Status.WARN) and finding.action is not Action.TAKE_OUT_OF_SERVICE


def _settled(node: SlurmNode, report: Report, dry_run: bool) -> Drained:
    if node.is_others:
        return _left(node, reason_of(report))
    reason = reason_of(report, node.reason)
    if reason and not (node.is_drained and set(_ids(reason)) == set(_ids(node.reason))):
        return _told(node, ("State=DRAIN", f"Reason={reason}"), "drained", reason, dry_run)
    if node.is_drained and not reason and is_over(node.reason, report):
        # Not RESUME, which would bring back one that Slurm has set down for a reason of its own.
        return _told(node, ("State=UNDRAIN",), "resumed", None, dry_run)
    how = f"stays drained: {plain(node.reason)}" if node.is_drained else "is left as it is: nothing asks to drain it."
    return Drained("unchanged", f"The node {node.name} {how}", node.name, node.reason or None)


def _left(node: SlurmNode, reason: str) -> Drained:
    why = f" It would be drained: {reason}" if reason else ""
    message = (
        f"The node {node.name} is left alone: others have given it the reason {plain(node.reason)[:_LONGEST]!r}.{why}"
    )
    return Drained("left-alone", message, node.name, plain(node.reason)[:_LONGEST])


def _told(node: SlurmNode, words: Sequence[str], outcome: str, reason: str | None, dry_run: bool) -> Drained:
    """Has Slurm change the node. Raises SlurmProblem."""
    if not dry_run:
        _said(ask_program(("scontrol", "update", f"NodeName={node.name}", *words), "", UPDATE))
    verb = f"would be {outcome}" if dry_run else f"is {outcome}"
    return Drained(outcome, f"The node {node.name} {verb}{f': {reason}' if reason else '.'}", node.name, reason)


def _said(reading: Reading) -> str:
    """What scontrol printed. Raises SlurmProblem where it failed: what it says is on either stream."""
    if reading.ok:
        return reading.text
    words = failure(reading)
    if reading.outcome is Outcome.OK and not reading.detail.strip():
        words = plain(reading.text.strip())[:_LONGEST] or words
    raise SlurmProblem(f"{reading.source}: {words.removesuffix('.')}.")
