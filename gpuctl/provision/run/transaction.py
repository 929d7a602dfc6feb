"""An errand carried out as a whole or not at all: what was done is undone where a later step fails.

Whatever an undo needs is in the journal before the host is changed, so that `gpuctl rollback` can do it for a run that
was killed, as for one that went well: a rollback is a change_set like any other.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from gpuctl.engines.merge import Value
from gpuctl.engines.merge import changed as changed_values
from gpuctl.facts.own.journal import DONE, ROLLED_BACK, STUCK, UNDONE, Changes, Run, journal_folder, probe_changes
from gpuctl.facts.own.journal_entries import PACKAGES, FileWrite, Installation, Restart, TakeUp
from gpuctl.frozen import dataclass
from gpuctl.host.act.signals import HeldSignals
from gpuctl.host.look.limits import limit_reached
from gpuctl.host.write import files
from gpuctl.host.write.lock import locked
from gpuctl.host.write.publish import create_public
from gpuctl.host.write.replace import NotPutBack, remove_leftovers, replacement_of
from gpuctl.host.write.replace import replace as replace_file
from gpuctl.model import ExitCode, Plan, Step
from gpuctl.provision.change_set import ChangeSet, DaemonProblem, Edit, NotUp
from gpuctl.provision.errand import Errand, ErrandEnd, config_of, refusal, result_of
from gpuctl.provision.packages.plan import PackagePlan, PackageProblem
from gpuctl.provision.result import UNTOUCHED, File, Refused, Result
from gpuctl.provision.run.plan import PlannedEdit, changes_of, completed_by, contents, kept, look, planned, telling
from gpuctl.provision.run.recorder import Recorder, cut_short, settle
from gpuctl.provision.run.undo import RESTART_DEADLINE, as_before, undo

INTERRUPTIONS = (KeyboardInterrupt, SystemExit)
LIMITS = (MemoryError, OSError)
FAILURES = (Refused, files.FileProblem, DaemonProblem, PackageProblem, *LIMITS, *INTERRUPTIONS)


def conduct(errand: Errand) -> Result:
    """Plans, and carries the plan out unless it is empty or a dry run. Returns how it ended."""
    wish, journal = errand.wish, probe_changes(errand.host)
    cut = cut_short(journal)
    result = Result(config=wish.config, dry_run=wish.dry_run, cut_short=cut)
    try:
        change_set = errand.plan(journal)
        result = result_of(errand, change_set, result.plan, ErrandEnd(), cut)
        if wish.config is not None:
            files.check_near(wish.config)
        before = planned(change_set, errand.packages)
        agrees = before.agrees and not before.changes and not (before.keeps and before.keeps.until_restart)
        outcome = ErrandEnd(changed=before.changes, diff=before.diff, verified=agrees, keeps=before.keeps)
        result = result_of(errand, change_set, Plan(before.steps), outcome, cut)
        if wish.dry_run or not (before.steps or change_set.undoes or completed_by(change_set, cut)):
            return result
        return _carried_out(errand, change_set, journal, result.plan)
    except Refused as refused:
        return refusal(result, refused)
    except files.FileProblem as problem:
        return replace(result, code=ExitCode.PROBLEM, error=f"{problem} {UNTOUCHED}")


@dataclass(frozen=True)
class Work:
    """An errand being carried out, with the host to itself. `cut` are the runs that were cut short before it."""

    errand: Errand
    recorder: Recorder
    held: HeldSignals
    cut: tuple[Run, ...]

    @contextmanager
    def doing(self, step: Step) -> Iterator[None]:
        """Says that the body begins with a step, and that the step is done."""
        self.errand.say(step, False)
        yield
        self.errand.say(step, True)


def _carried_out(errand: Errand, change_set: ChangeSet, planned_by: Changes, plan: Plan) -> Result:
    """Returns how it ended. Raises Refused, nothing being changed then."""
    with locked(), HeldSignals() as held:
        create_public(journal_folder(errand.host))  # without a journal nothing is begun
        journal = probe_changes(errand.host)
        if journal != planned_by and not (errand.packages and errand.packages.steps):
            # Other runs have ended while this one waited: what was to be put in or taken out is not what it was.
            change_set = errand.plan(journal)
        recorder = Recorder(errand.host, errand.command, journal, change_set.undoes)
        work = Work(errand, recorder, held, cut_short(journal))
        try:
            sources: tuple[PlannedEdit, ...] = ()
            if errand.packages and errand.packages.steps:
                sources = _bring_in(work, errand.packages)
                change_set = errand.plan(journal)
            outcome = _set_up(work, change_set, sources)
        except FAILURES as cause:
            outcome = _undone(work, change_set, cause)
    return result_of(errand, change_set, plan, outcome, work.cut)


def _bring_in(work: Work, packages: PackagePlan) -> tuple[PlannedEdit, ...]:
    """Installs packages, and returns the files that tell the package manager whence. Raises what FAILURES has."""
    packages.keep()
    sources = changes_of(_look_again(packages.edits))
    _write(work, sources, PACKAGES)
    with work.recorder.doing(Installation(packages.manager, packages.before)):
        for step in packages.steps:
            work.errand.say(step, False)
        packages.install()
        for step in packages.steps:
            work.errand.say(step, True)
    return sources


def _look_again(edits: Sequence[Edit]) -> tuple[PlannedEdit, ...]:
    for edit in edits:
        create_public(posixpath.dirname(files.behind_links(edit.path)))
        remove_leftovers(edit.path, edit.aside)
    return look(edits)


def _set_up(work: Work, change_set: ChangeSet, sources: Sequence[PlannedEdit]) -> ErrandEnd:
    looks = _look_again(change_set.edits)
    changes, cut = changes_of(looks), completed_by(change_set, work.cut)
    below = [run for run in cut if changes and not run.undoes]
    outcome = _changed(work, change_set, looks, below) if changes else _told_anew(work, change_set, looks)
    if outcome.error is not None:
        return outcome
    work.recorder.end()
    outcome = replace(
        outcome,
        changed=bool(work.recorder.done),
        files=work.recorder.files,
        diff="".join(one.step.diff for one in (*changes, *sources)),
        run=work.recorder.id,
        completes=tuple(below[-1:]),
    )
    return _settled(work, change_set, [run for run in cut if run not in below], _finished(work, change_set, outcome))


def _settled(work: Work, change_set: ChangeSet, cut: Sequence[Run], outcome: ErrandEnd) -> ErrandEnd:
    """Writes down how earlier runs stand now: undone by this one, or, having been cut short, done after all."""
    if outcome.error is not None:
        return outcome
    for run in change_set.undoes:
        settle(run, work.errand.host, UNDONE)
    for run in cut:
        settle(run, work.errand.host, DONE)
    return replace(outcome, completes=(*outcome.completes, *cut))


def _finished(work: Work, change_set: ChangeSet, outcome: ErrandEnd) -> ErrandEnd:
    """What is left to do once the files are as wished. Where that fails they stay so, and a later run does it."""
    if change_set.finish is None:
        return outcome
    try:
        with work.doing(change_set.finish.step):
            change_set.finish.run()
    except PackageProblem as problem:
        return replace(outcome, code=ExitCode.NOT_ROLLED_BACK, error=str(problem))
    return replace(outcome, changed=True)


def _changed(work: Work, change_set: ChangeSet, looks: Sequence[PlannedEdit], below: Sequence[Run]) -> ErrandEnd:
    """Writes the files on top of runs that were cut short, and has the daemon take them up."""
    work.recorder.go_on_from(below)
    if change_set.daemon is not None:
        work.recorder.begin(TakeUp(change_set.engine))
    changes = changes_of(looks)
    _write(work, changes, change_set.engine, change_set.takes_away)
    outcome = _taken_up(work, change_set, looks)
    # A reload unsets nothing in some daemons: what the files do not say any more holds until the next start.
    return outcome if outcome.restarted else replace(outcome, keeps=kept(change_set, looks))


def _write(work: Work, looks: Sequence[PlannedEdit], engine: str, takes_away: bool = False) -> None:
    for one in looks:
        replacement = replacement_of(one.before, one.new, takes_away, one.edit.aside)
        with work.doing(one.step), work.recorder.doing(FileWrite(engine, replacement, _sets(one))):
            replace_file(replacement, one.before, one.new, one.edit.inspect)


def _sets(look: PlannedEdit) -> tuple[Value, ...] | None:
    """What gpuctl sets in a file that is others' as well: an uninstall takes that out, and nothing else."""
    read = look.edit.values
    return tuple(changed_values(read(look.before.raw or b""), read(look.new or b""))) if read else None


def _taken_up(work: Work, change_set: ChangeSet, looks: Sequence[PlannedEdit]) -> ErrandEnd:
    """Has the daemon take the files up. Raises DaemonProblem."""
    daemon, (reloading, restarting) = change_set.daemon, telling(change_set)
    with work.held.let_through():
        if daemon is not None and reloading is not None:
            with work.doing(reloading):
                daemon.reload(contents(looks, daemon), work.errand.wish.deadline)
        if daemon is not None and restarting is not None:
            # Only now: a file that a reload rejects keeps the daemon from starting.
            with work.doing(restarting):
                work.recorder.begin(Restart(change_set.engine))
                daemon.restart(contents(looks, daemon), RESTART_DEADLINE)
    told = reloading is not None or restarting is not None
    return ErrandEnd(told=told, verified=told, restarted=restarting is not None)


def _told_anew(work: Work, change_set: ChangeSet, looks: Sequence[PlannedEdit]) -> ErrandEnd:
    """The files are as wished; the daemon may not have taken them up, after an edit by hand or a killed run."""
    if change_set.daemon is None:
        return ErrandEnd()
    if not change_set.daemon.difference(contents(looks, change_set.daemon)) and not change_set.restart:
        keeps = kept(change_set, looks)
        return ErrandEnd(verified=not (keeps and keeps.until_restart), keeps=keeps)
    try:
        outcome = _taken_up(work, change_set, looks)
        return outcome if outcome.restarted else replace(outcome, keeps=kept(change_set, looks))
    except DaemonProblem as problem:
        if work.recorder.to_undo:  # packages, that came in for it
            raise
        work.recorder.end(STUCK)
        code = ExitCode.NOT_ROLLED_BACK if isinstance(problem, NotUp) else ExitCode.PROBLEM
        error = (
            f"{problem} {config_of(work.errand, change_set)} says so already and was left as it is. {change_set.look}"
        )
        return ErrandEnd(code, error.strip())


def _words(cause: BaseException) -> str:
    if isinstance(cause, INTERRUPTIONS):
        return "Interrupted."
    limit = limit_reached(cause)
    return f"gpuctl could not go on: {limit}." if limit else str(cause)


def _undone(work: Work, change_set: ChangeSet, cause: BaseException) -> ErrandEnd:
    """Undoes what was done, and says how the host stands. Raises `cause` where nothing had been done or to be said."""
    recorder, words = work.recorder, _words(cause)
    entries = recorder.to_undo
    if not entries and not isinstance(cause, NotPutBack):
        recorder.forget()
        if isinstance(cause, (Refused, *LIMITS, *INTERRUPTIONS)):
            raise cause
        return ErrandEnd(ExitCode.ROLLED_BACK, f"{words} {UNTOUCHED}")
    troubles = undo(work.errand.host, entries, change_set.daemon, work.errand.wish.deadline)
    stuck = [trouble for trouble in troubles if trouble.stays]
    if stuck or isinstance(cause, NotPutBack):
        recorder.end(STUCK)
        left = [trouble.entry for trouble in stuck] or recorder.entries
        kept = tuple(File(one.replacement.path, one.replacement.kept) for one in left if isinstance(one, FileWrite))
        others = as_before([entry for entry in entries if entry not in left])
        error = " ".join(dict.fromkeys([words, *(trouble.text for trouble in stuck), *others]))
        return ErrandEnd(ExitCode.NOT_ROLLED_BACK, error, changed=bool(kept), files=kept)
    recorder.end(ROLLED_BACK)
    said = [words, *as_before(entries), change_set.look, *(trouble.text for trouble in troubles)]
    return ErrandEnd(ExitCode.ROLLED_BACK, " ".join(filter(None, said)))
