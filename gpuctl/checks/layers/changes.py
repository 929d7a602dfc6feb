"""Is all that gpuctl has begun to change on this host complete?"""

from __future__ import annotations

from gpuctl.checks.engine import Judgement, check, passed, warned
from gpuctl.checks.remedies import as_root
from gpuctl.command import command
from gpuctl.facts.machine.system import System
from gpuctl.facts.own.journal import Changes
from gpuctl.model import Evidence, Remedy


@check("changes.complete")
def complete(system: System, changes: Changes) -> Judgement:
    """A run of gpuctl that was killed, or met a power cut, may have left a file changed that no engine was told of."""
    cut = changes.interrupted
    if not cut:
        return passed("No change of gpuctl was cut short here", Evidence(changes.runs.source, "no such run"))
    seen = tuple(Evidence(changes.runs.source, f"{run.id}: gpuctl {run.command}") for run in cut)
    message = f"A run of gpuctl {cut[-1].command} was cut short while it changed this host."
    undo = as_root(system, command("gpuctl", "rollback"))
    remedy = Remedy("Undo what it had begun, or give the same command again.", undo)
    return warned(message, *seen, remedy=remedy)
