"""A plan carried out as a whole or not at all: what was done is undone where a later step fails.

Whatever an undo needs is in the journal before the host is changed, so that `gpuctl rollback` can do it for a run that
was killed, as for one that went well: a rollback is a setup like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gpuctl.engines.merge import Values
from gpuctl.engines.merge import changed as changed_values
from gpuctl.facts.changes import DONE, ENGINE, RESTART, ROLLED_BACK, STUCK, UNDONE, WRITE, Run
from gpuctl.host import files
from gpuctl.host.files import State
from gpuctl.host.reading import Host
from gpuctl.host.replace import NotPutBack, change_of, remove_leftovers
from gpuctl.host.replace import replace as replace_file
from gpuctl.host.signals import HeldSignals
from gpuctl.model import ExitCode, Plan, Step
from gpuctl.provision.recorder import Recorder, cut_short, settle
from gpuctl.provision.result import NO_STEPS, UNTOUCHED, File, Refused, Result, Say, Wish
from gpuctl.provision.setup import Contents, DaemonProblem, Edit, NotUp, Setup
from gpuctl.provision.steps import writing
from gpuctl.provision.undo import as_before, undo

RESTART_DEADLINE = 60.0
INTERRUPTIONS = (KeyboardInterrupt, SystemExit)


@dataclass(frozen=True)
class Look:
    """A file as it was read under an edit, and what it becomes."""

    edit: Edit
    before: State
    new: bytes | None

    @property
    def changes(self) -> bool:
        """Whether it becomes another."""
        return self.new != self.before.raw

    @property
    def step(self) -> Step:
        """The step that writes it."""
        diff = self.edit.show(self.edit.path, self.before.raw, self.new)
        return writing(self.edit.path, removes=self.new is None, diff=diff)


def conduct(host: Host, command: str, wish: Wish, plan: Callable[[], Setup], say: Say) -> Result:
    """Plans, and carries the plan out unless it is empty or a dry run. Returns how it ended."""
    result = Result(config=wish.config, dry_run=wish.dry_run)
    try:
        setup = plan()
        result = replace(
            result, engine=setup.engine, title=setup.title, config=setup.edits[0].path if setup.edits else None
        )
        for edit in setup.edits:
            files.examine(edit.path)
        result = planned(setup, result)
        if wish.dry_run or not (result.plan.steps or setup.undoes or _cut_short(host, setup)):
            return result
        return _carried_out(Recorder(host, command, setup.undoes), setup, wish, result, say)
    except Refused as refused:
        return refusal(result, refused)
    except files.FileProblem as problem:
        return replace(result, code=ExitCode.PROBLEM, error=f"{problem} {UNTOUCHED}")


def refusal(result: Result, refused: Refused) -> Result:
    """Returns the result of a change that was not begun."""
    error = f"{refused} {UNTOUCHED}"
    told = replace(result, changed=False, verified=False, plan=NO_STEPS, notes=(), restart_needed=None)
    return replace(told, code=refused.code, error=error, remedy=refused.remedy, diff=refused.diff)


def planned(setup: Setup, result: Result) -> Result:
    """Returns `result` with the plan, and with what is so already. Raises Refused and FileProblem."""
    looks = _look(setup.edits)
    changes = [one for one in looks if one.changes]
    agrees = setup.daemon is not None and not setup.daemon.difference(_contents(looks))
    telling = _telling(setup) if changes or not agrees or setup.restart else ()
    steps = (*(one.step for one in changes), *filter(None, telling))
    return replace(
        result,
        changed=bool(changes),
        diff="".join(one.step.diff for one in changes),
        verified=agrees and not changes,
        restart_needed=setup.restart_needed,
        plan=Plan(steps),
        notes=(*result.notes, *setup.notes, *setup.late),
        remedy=setup.remedy,
    )


def _look(edits: Sequence[Edit]) -> tuple[Look, ...]:
    read = [(edit, files.read(edit.path)) for edit in edits]
    return tuple(Look(edit, before, edit.change(before.raw)) for edit, before in read)


def _contents(looks: Sequence[Look]) -> Contents:
    return {one.before.path: one.new for one in looks}


def _telling(setup: Setup) -> tuple[Step | None, Step | None]:
    """The steps by which the daemon takes the files up: its reload, where it has one, and its restart, if wished."""
    if setup.daemon is None:
        return None, None
    restarting = setup.daemon.restarting if setup.restart else None
    if setup.restart and restarting is None:
        raise Refused(
            f"systemd does not run this {setup.title}: restart it as it was started, and leave out --restart."
        )
    return setup.daemon.reloading, restarting


def _carried_out(recorder: Recorder, setup: Setup, wish: Wish, result: Result, say: Say) -> Result:
    """Returns `result` completed by what was done. Raises Refused, nothing being changed then."""
    result = replace(result, changed=False, diff="", verified=False)
    try:
        with recorder.alone(), files.locked([edit.path for edit in setup.edits]):
            return _changed(recorder, setup, wish, result, say)
    except files.FileProblem as problem:
        return replace(result, code=ExitCode.ROLLED_BACK, error=f"{problem} {UNTOUCHED}")


def _changed(recorder: Recorder, setup: Setup, wish: Wish, result: Result, say: Say) -> Result:
    for edit in setup.edits:
        remove_leftovers(edit.path)
    looks = _look(setup.edits)
    changes, contents = [one for one in looks if one.changes], _contents(looks)
    cut = _cut_short(recorder.host, setup)
    if not changes:
        result = _told_anew(recorder, setup, contents, wish, result, say)
        return _settled(recorder.host, setup, cut, result)
    recorder.go_on_from([run for run in cut if not run.undoes])
    with HeldSignals() as held:
        try:
            kept = _write(recorder, setup, changes, say)
            with held.let_through():
                restarted = _take_up(recorder, setup, contents, wish, say)
        except (Refused, files.FileProblem, DaemonProblem, *INTERRUPTIONS) as cause:
            return _undone(recorder, setup, cause, wish, result)
        recorder.end()
    diff = "".join(one.step.diff for one in changes)
    result = replace(_told(result, setup, restarted), changed=True, files=kept, diff=diff, run=recorder.id)
    return _settled(recorder.host, setup, [run for run in cut if run.undoes], _with_what_stays(setup, changes, result))


def _cut_short(host: Host, setup: Setup) -> list[Run]:
    """The runs about nothing but these files that were cut short: what they began, this one completes."""
    paths = {files.behind_links(edit.path) for edit in setup.edits}
    return [run for run in cut_short(host) if run.paths <= paths and run not in setup.undoes]


def _settled(host: Host, setup: Setup, cut: Sequence[Run], result: Result) -> Result:
    """Writes down how earlier runs stand now: undone by this one, or, having been cut short, done after all."""
    if result.error is None:
        for run in setup.undoes:
            settle(run, host, UNDONE)
        for run in cut:
            settle(run, host, DONE)
    return result


def _with_what_stays(setup: Setup, changes: Sequence[Look], result: Result) -> Result:
    """A reload unsets nothing in some daemons: what the files do not say any more holds until the next start."""
    if setup.daemon is None or result.restarted or not setup.takes_away:
        return result
    stays = setup.daemon.keeps({one.before.path: one.before.raw for one in changes}, _contents(changes))
    if not stays:
        return replace(result, restart_needed=False)
    note = f"{setup.title} keeps {stays} until it is restarted: a reload unsets nothing."
    return replace(result, restart_needed=True, notes=(*result.notes, note))


def _write(recorder: Recorder, setup: Setup, looks: Sequence[Look], say: Say) -> tuple[File, ...]:
    if setup.daemon is not None:
        recorder.begin(ENGINE, engine=setup.engine)
    kept = []
    for one in looks:
        change = change_of(one.before, one.new, setup.takes_away)
        say(one.step, False)
        with recorder.doing(WRITE, engine=setup.engine, **vars(change), sets=_sets(one)):
            replace_file(change, one.before, one.new, one.edit.inspect)
        say(one.step, True)
        kept.append(File(one.edit.path, change.kept))
    return tuple(kept)


def _sets(look: Look) -> Values | None:
    """What gpuctl sets in a file that is others' as well: an uninstall takes that out, and nothing else."""
    read = look.edit.values
    return changed_values(read(look.before.raw or b""), read(look.new or b"")) if read else None


def _take_up(recorder: Recorder, setup: Setup, contents: Contents, wish: Wish, say: Say) -> bool:
    """Has the daemon take the files up. Returns whether it was restarted. Raises DaemonProblem."""
    daemon, (reloading, restarting) = setup.daemon, _telling(setup)
    if daemon is not None and reloading is not None:
        say(reloading, False)
        daemon.reload(contents, wish.deadline)
        say(reloading, True)
    if daemon is not None and restarting is not None:  # only now: a file that a reload rejects keeps it from starting
        say(restarting, False)
        recorder.begin(RESTART, engine=setup.engine)
        daemon.restart(contents, RESTART_DEADLINE)
        say(restarting, True)
    return restarting is not None


def _told(result: Result, setup: Setup, restarted: bool) -> Result:
    """The result once the daemon has what the files say. What waited for a restart does not wait after one."""
    told = setup.daemon is not None and any(_telling(setup))
    result = replace(result, reloaded=told, verified=told, restarted=restarted)
    if not restarted:
        return result
    notes = tuple(note for note in result.notes if note not in setup.late)
    return replace(result, restart_needed=False, notes=notes, remedy=None)


def _told_anew(recorder: Recorder, setup: Setup, contents: Contents, wish: Wish, result: Result, say: Say) -> Result:
    """The files are as wished; the daemon may not have taken them up, after an edit by hand or a killed run."""
    if setup.daemon is None:
        return result
    if not setup.daemon.difference(contents) and not setup.restart:
        return replace(result, verified=True)
    try:
        restarted = _take_up(recorder, setup, contents, wish, say)
    except DaemonProblem as problem:
        recorder.end(STUCK)
        code = ExitCode.NOT_ROLLED_BACK if isinstance(problem, NotUp) else ExitCode.PROBLEM
        error = f"{problem} {result.config} says so already and was left as it is. {setup.look}"
        return replace(result, code=code, error=error.strip())
    recorder.end()
    return _told(result, setup, restarted)


def _undone(recorder: Recorder, setup: Setup, cause: BaseException, wish: Wish, result: Result) -> Result:
    """Undoes what was done, and says how the host stands. Raises Refused where nothing had been done."""
    words = "Interrupted." if isinstance(cause, INTERRUPTIONS) else str(cause)
    changes = recorder.to_undo
    if not changes and not isinstance(cause, NotPutBack):
        recorder.forget()
        if isinstance(cause, Refused):
            raise cause
        return replace(result, code=ExitCode.ROLLED_BACK, error=f"{words} {UNTOUCHED}")
    troubles = undo(changes, setup.daemon, wish.deadline)
    stuck = [trouble for trouble in troubles if trouble.stays]
    if stuck or isinstance(cause, NotPutBack):
        recorder.end(STUCK)
        left = [trouble.change for trouble in stuck] or recorder.changes
        kept = tuple(File(one.about["path"], one.about["kept"]) for one in left if one.kind == WRITE)
        error = " ".join(dict.fromkeys([words, *(trouble.text for trouble in stuck)]))
        return replace(result, code=ExitCode.NOT_ROLLED_BACK, changed=bool(kept), files=kept, error=error)
    recorder.end(ROLLED_BACK)
    said = [words, *as_before(changes), setup.look, *(trouble.text for trouble in troubles)]
    return replace(result, code=ExitCode.ROLLED_BACK, error=" ".join(filter(None, said)))
