"""A plan carried out as a whole or not at all: what was done is undone where a later step fails.

Whatever an undo needs is in the journal before the host is changed, so that `gpuctl rollback` can do it for a run that
was killed, as for one that went well: a rollback is a setup like any other.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gpuctl.engines.merge import Value
from gpuctl.engines.merge import changed as changed_values
from gpuctl.facts.changes import DONE, ROLLED_BACK, STUCK, UNDONE, Run
from gpuctl.facts.journal_entries import PACKAGES, FileWrite, Installation, Restart, TakeUp
from gpuctl.host import files
from gpuctl.host.limits import limit_reached
from gpuctl.host.lock import locked
from gpuctl.host.publish import create_public
from gpuctl.host.reading import Host
from gpuctl.host.replace import NotPutBack, remove_leftovers, replacement_of
from gpuctl.host.replace import replace as replace_file
from gpuctl.host.signals import HeldSignals
from gpuctl.model import ExitCode, Plan
from gpuctl.provision.package_plan import PackagePlan, PackageProblem
from gpuctl.provision.plan import Look, changes_of, contents, look, planned, telling
from gpuctl.provision.recorder import Recorder, cut_short, settle
from gpuctl.provision.result import NO_STEPS, UNTOUCHED, File, Refused, Result, Say, Wish
from gpuctl.provision.setup import DaemonProblem, Edit, NotUp, Setup
from gpuctl.provision.undo import RESTART_DEADLINE, as_before, undo

INTERRUPTIONS = (KeyboardInterrupt, SystemExit)
LIMITS = (MemoryError, OSError)
FAILURES = (Refused, files.FileProblem, DaemonProblem, PackageProblem, *LIMITS, *INTERRUPTIONS)


@dataclass(frozen=True)
class Job:
    """One run: what was wished, where it is written down, and who is told of the steps."""

    host: Host
    wish: Wish
    recorder: Recorder
    say: Say
    held: HeldSignals


def conduct(
    host: Host,
    command: str,
    wish: Wish,
    plan: Callable[[], Setup],
    say: Say,
    packages: PackagePlan | None = None,
) -> Result:
    """Plans, and carries the plan out unless it is empty or a dry run. Returns how it ended.

    `plan` is asked again once packages have come in: the host is another one then.
    """
    result = Result(config=wish.config, dry_run=wish.dry_run)
    try:
        setup = plan()
        result = _described(result, setup)
        if wish.config is not None:
            files.check_near(wish.config)
        before = planned(setup, packages)
        result = replace(result, plan=Plan(before.steps), changed=before.changes, diff=before.diff)
        result = replace(result, verified=before.agrees and not before.changes)
        if wish.dry_run or not (before.steps or setup.undoes or _cut_short(host, setup)):
            return result
        return _carried_out(host, Recorder(host, command, setup.undoes), setup, plan, packages, result, wish, say)
    except Refused as refused:
        return refusal(result, refused)
    except files.FileProblem as problem:
        return replace(result, code=ExitCode.PROBLEM, error=f"{problem} {UNTOUCHED}")


def refusal(result: Result, refused: Refused) -> Result:
    """Returns the result of a change that was not begun."""
    error = f"{refused} {UNTOUCHED}"
    told = replace(result, changed=False, verified=False, plan=NO_STEPS, notes=(), restart_needed=None)
    return replace(told, code=refused.code, error=error, remedy=refused.remedy, diff=refused.diff)


def _described(result: Result, setup: Setup) -> Result:
    return replace(
        result,
        engine=setup.engine,
        title=setup.title,
        config=setup.edits[0].path if setup.edits else result.config,
        restart_needed=setup.restart_needed,
        notes=(*setup.notes, *setup.late),
        remedy=setup.remedy,
    )


def _carried_out(
    host: Host,
    recorder: Recorder,
    setup: Setup,
    plan: Callable[[], Setup],
    packages: PackagePlan | None,
    result: Result,
    wish: Wish,
    say: Say,
) -> Result:
    """Returns `result` completed by what was done. Raises Refused, nothing being changed then."""
    result = replace(result, changed=False, diff="", verified=False)
    with locked(), HeldSignals() as held:
        job = Job(host, wish, recorder, say, held)
        try:
            sources: tuple[Look, ...] = ()
            if packages and packages.steps:
                sources = _bring_in(job, packages)
                setup = plan()
                result = _described(result, setup)
            return _set_up(job, setup, sources, result)
        except FAILURES as cause:
            return _undone(job, setup, cause, result)


def _bring_in(job: Job, packages: PackagePlan) -> tuple[Look, ...]:
    """Installs packages, and returns the files that tell the package manager whence. Raises what FAILURES has."""
    packages.keep()
    sources = changes_of(_look_again(packages.edits))
    _write(job, sources, PACKAGES)
    with job.recorder.doing(Installation(packages.manager, packages.before)):
        for step in packages.steps:
            job.say(step, False)
        packages.install()
        for step in packages.steps:
            job.say(step, True)
    return sources


def _look_again(edits: Sequence[Edit]) -> tuple[Look, ...]:
    for edit in edits:
        create_public(posixpath.dirname(files.behind_links(edit.path)))
        remove_leftovers(edit.path, edit.aside)
    return look(edits)


def _set_up(job: Job, setup: Setup, sources: Sequence[Look], result: Result) -> Result:
    looks = _look_again(setup.edits)
    changes, cut = changes_of(looks), _cut_short(job.host, setup)
    if changes:
        job.recorder.go_on_from([run for run in cut if not run.undoes])
        if setup.daemon is not None:
            job.recorder.begin(TakeUp(setup.engine))
        _write(job, changes, setup.engine, setup.takes_away)
        result = _told(result, setup, _take_up(job, setup, looks))
    else:
        result = _told_anew(job, setup, looks, result)
    if result.error is not None:
        return result
    job.recorder.end()
    written = (*changes, *sources)
    result = replace(
        _with_what_stays(setup, changes, result),
        changed=bool(job.recorder.done),
        files=job.recorder.files,
        diff="".join(one.step.diff for one in written),
        run=job.recorder.id,
    )
    return _settled(job, setup, [run for run in cut if run.undoes or not changes], _finished(job, setup, result))


def _cut_short(host: Host, setup: Setup) -> list[Run]:
    """The runs about nothing but these files that were cut short: what they began, this one completes."""
    paths = {files.behind_links(edit.path) for edit in setup.edits}
    about = [run for run in cut_short(host) if run not in setup.undoes and not run.installs]
    return [run for run in about if run.paths <= paths]


def _settled(job: Job, setup: Setup, cut: Sequence[Run], result: Result) -> Result:
    """Writes down how earlier runs stand now: undone by this one, or, having been cut short, done after all."""
    if result.error is None:
        for run in setup.undoes:
            settle(run, job.host, UNDONE)
        for run in cut:
            settle(run, job.host, DONE)
    return result


def _finished(job: Job, setup: Setup, result: Result) -> Result:
    """What is left to do once the files are as wished. Where that fails they stay so, and a later run does it."""
    if setup.finish is None:
        return result
    job.say(setup.finish.step, False)
    try:
        setup.finish.run()
    except PackageProblem as problem:
        return replace(result, code=ExitCode.NOT_ROLLED_BACK, error=str(problem))
    job.say(setup.finish.step, True)
    return replace(result, changed=True)


def _with_what_stays(setup: Setup, changes: Sequence[Look], result: Result) -> Result:
    """A reload unsets nothing in some daemons: what the files do not say any more holds until the next start."""
    if setup.daemon is None or result.restarted or not (setup.takes_away and changes):
        return result
    stays = setup.daemon.keeps({one.before.path: one.before.raw for one in changes}, contents(changes))
    if not stays:
        return replace(result, restart_needed=False)
    note = f"{setup.title} keeps {stays} until it is restarted: a reload unsets nothing."
    return replace(result, restart_needed=True, notes=(*result.notes, note))


def _write(job: Job, looks: Sequence[Look], engine: str, takes_away: bool = False) -> None:
    for one in looks:
        replacement = replacement_of(one.before, one.new, takes_away, one.edit.aside)
        job.say(one.step, False)
        with job.recorder.doing(FileWrite(engine, replacement, _sets(one))):
            replace_file(replacement, one.before, one.new, one.edit.inspect)
        job.say(one.step, True)


def _sets(look: Look) -> tuple[Value, ...] | None:
    """What gpuctl sets in a file that is others' as well: an uninstall takes that out, and nothing else."""
    read = look.edit.values
    return tuple(changed_values(read(look.before.raw or b""), read(look.new or b""))) if read else None


def _take_up(job: Job, setup: Setup, looks: Sequence[Look]) -> bool:
    """Has the daemon take the files up. Returns whether it was restarted. Raises DaemonProblem."""
    daemon, (reloading, restarting) = setup.daemon, telling(setup)
    with job.held.let_through():
        if daemon is not None and reloading is not None:
            job.say(reloading, False)
            daemon.reload(contents(looks), job.wish.deadline)
            job.say(reloading, True)
        if daemon is not None and restarting is not None:
            # Only now: a file that a reload rejects keeps the daemon from starting.
            job.say(restarting, False)
            job.recorder.begin(Restart(setup.engine))
            daemon.restart(contents(looks), RESTART_DEADLINE)
            job.say(restarting, True)
    return restarting is not None


def _told(result: Result, setup: Setup, restarted: bool) -> Result:
    """The result once the daemon has what the files say. What waited for a restart does not wait after one."""
    told = any(telling(setup))
    result = replace(result, reloaded=told, verified=told, restarted=restarted)
    if not restarted:
        return result
    notes = tuple(note for note in result.notes if note not in setup.late)
    return replace(result, restart_needed=False, notes=notes, remedy=None)


def _told_anew(job: Job, setup: Setup, looks: Sequence[Look], result: Result) -> Result:
    """The files are as wished; the daemon may not have taken them up, after an edit by hand or a killed run."""
    if setup.daemon is None:
        return result
    if not setup.daemon.difference(contents(looks)) and not setup.restart:
        return replace(result, verified=True)
    try:
        restarted = _take_up(job, setup, looks)
    except DaemonProblem as problem:
        if job.recorder.to_undo:  # packages, that came in for it
            raise
        job.recorder.end(STUCK)
        code = ExitCode.NOT_ROLLED_BACK if isinstance(problem, NotUp) else ExitCode.PROBLEM
        error = f"{problem} {result.config} says so already and was left as it is. {setup.look}"
        return replace(result, code=code, error=error.strip())
    return _told(result, setup, restarted)


def _words(cause: BaseException) -> str:
    if isinstance(cause, INTERRUPTIONS):
        return "Interrupted."
    limit = limit_reached(cause)
    return f"gpuctl could not go on: {limit}." if limit else str(cause)


def _undone(job: Job, setup: Setup, cause: BaseException, result: Result) -> Result:
    """Undoes what was done, and says how the host stands. Raises `cause` where nothing had been done or to be said."""
    recorder, words = job.recorder, _words(cause)
    entries = recorder.to_undo
    if not entries and not isinstance(cause, NotPutBack):
        recorder.forget()
        if isinstance(cause, (Refused, *LIMITS, *INTERRUPTIONS)):
            raise cause
        return replace(result, code=ExitCode.ROLLED_BACK, error=f"{words} {UNTOUCHED}")
    troubles = undo(job.host, entries, setup.daemon, job.wish.deadline)
    stuck = [trouble for trouble in troubles if trouble.stays]
    if stuck or isinstance(cause, NotPutBack):
        recorder.end(STUCK)
        left = [trouble.entry for trouble in stuck] or recorder.entries
        kept = tuple(File(one.file.path, one.file.kept) for one in left if isinstance(one, FileWrite))
        others = as_before([entry for entry in entries if entry not in left])
        error = " ".join(dict.fromkeys([words, *(trouble.text for trouble in stuck), *others]))
        return replace(result, code=ExitCode.NOT_ROLLED_BACK, changed=bool(kept), files=kept, error=error)
    recorder.end(ROLLED_BACK)
    said = [words, *as_before(entries), setup.look, *(trouble.text for trouble in troubles)]
    return replace(result, code=ExitCode.ROLLED_BACK, error=" ".join(filter(None, said)))
