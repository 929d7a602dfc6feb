"""A Slurm node that drains itself where it is to be taken out of service, and comes back when that is over.

What gpuctl has drained says so in its reason, by MARK and a seal; a node that others have drained, or set down, or to
whose reason they have added a word, is left alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from gpuctl.bounds import plain
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.model import Action, Finding, Report, Status
from gpuctl.provision.slurm_node import LONGEST_REASON, NAME, SlurmNode, SlurmProblem, called, checked, shown, update

MARK = "gpuctl: "
"""What the reason of a node begins with that drained itself. A controller's begins with another: `gpuctl RUN: `."""
SEAL = 8
"""Hexadecimal digits of what is before them: by those a reason is known to be gpuctl's own, to the letter."""
HOSTNAME = "/proc/sys/kernel/hostname"
_IDS = re.compile(re.escape(MARK) + r"([a-z0-9.-]+(?:, [a-z0-9.-]+)*)")


@dataclass(frozen=True)
class Drained:
    """What became of the node: drained, resumed, unchanged, left-alone or failed; `message` is a sentence.

    `node` is None where its name is not known; `reason` is what Slurm has for it now.
    """

    outcome: str
    message: str
    node: str | None = None
    reason: str | None = None


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
    return checked(told, f"${NAME}") if told else called(host, host.read(HOSTNAME).text.strip())


def reason_of(report: Report, before: str = "") -> str:
    """Returns the reason for which a host is to be taken out of service, in one line; "" where it is not to be.

    `before` is the reason that gpuctl has given: what it names and is not over stays named.
    """
    grave = [one for one in report.findings if one.action is Action.TAKE_OUT_OF_SERVICE and one.waived is None]
    if not grave:
        return ""
    ids = dict.fromkeys((*(one.id for one in grave), *_not_over(before, report)))
    words = plain(f"{MARK}{', '.join(ids)}: {grave[0].message}")
    return sealed(words[: LONGEST_REASON - len(sealed(""))].rstrip())


def sealed(words: str) -> str:
    """Returns words with the seal of them at their end."""
    return f"{words} ({hashlib.sha256(words.encode()).hexdigest()[:SEAL]})"


def _is_own(reason: str) -> bool:
    return reason.startswith(MARK) and reason == sealed(reason[: -len(sealed(""))])


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
    if node.is_claimed and not _is_own(node.reason):
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
    theirs = plain(node.reason)[:LONGEST_REASON]
    message = f"The node {node.name} is left alone: others have given it the reason {theirs!r}.{why}"
    return Drained("left-alone", message, node.name, theirs)


def _told(node: SlurmNode, words: Sequence[str], outcome: str, reason: str | None, dry_run: bool) -> Drained:
    """Has Slurm change the node. Raises SlurmProblem."""
    if not dry_run:
        update(node.name, *words)
    verb = f"would be {outcome}" if dry_run else f"is {outcome}"
    return Drained(outcome, f"The node {node.name} {verb}{f': {reason}' if reason else '.'}", node.name, reason)
