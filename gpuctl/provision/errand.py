"""One change of a host: what is to be done and for whom, and what its result says however it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gpuctl.facts.own.journal import Changes, Run
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.model import ExitCode, Plan, Remedy
from gpuctl.provision.change_set import ChangeSet, Kept
from gpuctl.provision.packages.plan import PackagePlan
from gpuctl.provision.result import NO_STEPS, UNTOUCHED, File, Refused, Result, Say, Wish


@dataclass(frozen=True)
class Errand:
    """What a command is to do.

    `plan` says it by the journal, and may raise Refused; it is asked again once packages have come in: the host is
    another one then. `say` is told of each step.
    """

    host: Host
    command: str
    wish: Wish
    plan: Callable[[Changes], ChangeSet]
    say: Say
    packages: PackagePlan | None = None


@dataclass(frozen=True)
class ErrandEnd:
    """What was done, or would be. `told`: the daemon took the files up; `verified`: it has what they say."""

    code: ExitCode = ExitCode.GOOD
    error: str | None = None
    changed: bool = False
    files: tuple[File, ...] = ()
    diff: str = ""
    run: str | None = None
    told: bool = False
    restarted: bool = False
    verified: bool = False
    keeps: Kept | None = None
    """What the daemon still has of what was taken away; None: nothing was, or it was not asked."""
    completes: tuple[Run, ...] = ()
    """The runs that were cut short, and are done by this one."""


def result_of(errand: Errand, change_set: ChangeSet, plan: Plan, outcome: ErrandEnd, cut: Sequence[Run]) -> Result:
    """Returns the result of an errand. `cut` are the runs that were cut short before it."""
    return Result(
        engine=change_set.engine,
        title=change_set.title,
        config=config_of(errand, change_set),
        dry_run=errand.wish.dry_run,
        code=outcome.code,
        changed=outcome.changed,
        files=outcome.files,
        diff=outcome.diff,
        reloaded=outcome.told,
        verified=outcome.verified,
        restarted=outcome.restarted,
        restart_needed=_needs_restart(change_set, outcome),
        plan=plan,
        notes=_notes(change_set, outcome),
        error=outcome.error,
        remedy=_remedy(change_set, outcome),
        run=outcome.run,
        cut_short=tuple(run for run in cut if run not in outcome.completes),
    )


def config_of(errand: Errand, change_set: ChangeSet) -> str | None:
    """Returns the file that an errand is about, the first of several."""
    return change_set.edits[0].path if change_set.edits else errand.wish.config


def refusal(result: Result, refused: Refused) -> Result:
    """Returns the result of a change that was not begun."""
    error = str(refused) if refused.code is ExitCode.USAGE else f"{refused} {UNTOUCHED}"
    told = replace(result, changed=False, verified=False, plan=NO_STEPS, notes=(), restart_needed=None)
    return replace(told, code=refused.code, error=error, remedy=refused.remedy, diff=refused.diff)


def _needs_restart(change_set: ChangeSet, outcome: ErrandEnd) -> bool | None:
    if outcome.restarted:
        return False
    return change_set.restart_needed if outcome.keeps is None else outcome.keeps.until_restart


def _remedy(change_set: ChangeSet, outcome: ErrandEnd) -> Remedy | None:
    """The restart that something waits for; where something is taken away, only if the daemon still has it."""
    waits = _needs_restart(change_set, outcome) if change_set.takes_away else not outcome.restarted
    return change_set.remedy if waits else None


def _notes(change_set: ChangeSet, outcome: ErrandEnd) -> tuple[str, ...]:
    """What waited for a restart does not wait after one."""
    late = () if outcome.restarted else change_set.late
    completed = (
        f"The run {run.id} (gpuctl {run.command}) was cut short: what it had begun is done now."
        for run in outcome.completes
    )
    return (*change_set.notes, *late, *_still_there(change_set.title, outcome.keeps or Kept("")), *completed)


def _still_there(title: str, kept: Kept) -> tuple[str, ...]:
    why = f": {kept.file} says so too." if kept.file else " until it is restarted."
    stays = (f"{title} keeps {kept.what}{why}",) if kept.what else ()
    return (*stays, f"{title} takes up {kept.lacks} when it is restarted.") if kept.lacks else stays
