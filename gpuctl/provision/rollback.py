"""Undoing a run of gpuctl, by the journal: one that was cut short, else the last that changed something.

What a run was killed before is found not to have come to be. What is taken away stays beside the file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuctl.facts.own.journal import INTERRUPTED, ROLLED_BACK, ROOTS, RUNNING, UNDONE, Changes, Run
from gpuctl.facts.own.journal_entries import FileWrite, Installation, JournalEntry
from gpuctl.host.look.reading import Host
from gpuctl.host.write.files import same_file
from gpuctl.host.write.replace import content_before, digest
from gpuctl.host.write.replacement import Replacement
from gpuctl.model import ENGINES, CannotTell, Disturbs, ExitCode, Step
from gpuctl.provision.aside import aside
from gpuctl.provision.change_set import ChangeSet, Edit, Finish, Show
from gpuctl.provision.engines.choose import engine_of, reader, restart, show_of, untold
from gpuctl.provision.errand import Errand
from gpuctl.provision.packages.files import show_source
from gpuctl.provision.packages.packages import undo_packages
from gpuctl.provision.result import Refused, Result, Say, Wish
from gpuctl.provision.run.transaction import conduct

COMMAND = "rollback"


def rollback(host: Host, wish: Wish, name: str | None, say: Say) -> Result:
    """Returns how it ended; with `dry_run`, what would be done. `name` is a run's, None for the last one's.

    A second rollback changes nothing. Files that others have edited since are refused, unless the wish is to force it.
    """
    return conduct(Errand(host, COMMAND, wish, lambda journal: _plan(host, journal, wish, name), say))


def own_runs(host: Host, journal: Changes) -> tuple[Run, ...]:
    """Returns this user's runs, oldest first. Raises Refused where they cannot be read, or are not understood."""
    if journal.strange.value:
        raise Refused(
            f"The journal holds a run that is not understood: {journal.strange.value}. Use the gpuctl that wrote it."
        )
    try:
        runs = journal.runs.get() or ()
    except CannotTell as reason:
        if host.env("euid").text != "0":
            raise Refused(ROOTS, ExitCode.USAGE) from None
        raise Refused(f"The journal cannot be read: {reason}.", ExitCode.UNDETERMINED) from None
    user = host.env("euid").text
    own = tuple(run for run in runs if str(run.by) == user)
    if not own and user != "0":
        raise Refused(ROOTS, ExitCode.USAGE)
    return own


def _plan(host: Host, journal: Changes, wish: Wish, name: str | None) -> ChangeSet:
    runs = [run for run in own_runs(host, journal) if run.state != ROLLED_BACK]
    run = _named(runs, name) if name else _last(runs, wish.config)
    if run is None:
        what = f"not changed {wish.config}" if wish.config else "changed nothing here that still stands"
        return _nothing(f"gpuctl has {what}: there is nothing to roll back.")
    if run.state == RUNNING:
        raise Refused(f"The run {run.id} (gpuctl {run.command}) is still going on.")
    if run.state == UNDONE:
        return _nothing(f"The run {run.id} (gpuctl {run.command}) is rolled back already.")
    chain = _chain(runs, run)
    writes = [write for one in chain for write in reversed(one.writes)]
    engine = next((write.engine for write in writes if write.engine in ENGINES), "")
    edits = tuple(_edits(writes, wish.force))
    daemon = reader(host, engine, [edit.path for edit in edits]) if wish.reload else None
    return ChangeSet(
        engine=engine,
        title=engine_of(engine).title if engine in ENGINES else "",
        edits=edits,
        daemon=daemon,
        finish=_packages_back(host, [entry for one in chain for entry in reversed(one.entries)]),
        undoes=chain,
        takes_away=True,
        notes=untold(daemon, wish, [edit.path for edit in edits]),
        remedy=restart(host, daemon),
    )


def _nothing(why: str) -> ChangeSet:
    return ChangeSet("", "", (), None, notes=(why,))


def _named(runs: Sequence[Run], name: str) -> Run:
    found = next((run for run in runs if run.id == name), None)
    if found is None:
        raise Refused(f"There is no run {name}: `gpuctl history` lists them.")
    return found


def _last(runs: Sequence[Run], config: str | None) -> Run | None:
    """The last that was cut short, else the last of all; a rollback that was cut short stands for what it undoes."""
    about = [run for run in runs if config is None or any(same_file(path, config) for path in run.paths)]
    cut = next((run for run in reversed(about) if run.state == INTERRUPTED), None)
    if cut is not None and cut.undoes:
        return next((run for run in runs if run.id == cut.undoes[0]), None)
    return cut or next((run for run in reversed(about) if not run.undoes), None)


def _chain(runs: Sequence[Run], run: Run) -> tuple[Run, ...]:
    """A run and those on top of which it went on, newest first."""
    before = runs[: runs.index(run)]
    below = next((one for one in before if one.id == run.continues), None)
    return (run, *(_chain(before, below) if below else ()))


def _edits(writes: Sequence[FileWrite], force: bool) -> list[Edit]:
    """`writes` are newest first, and may be of one file more than once."""
    paths = dict.fromkeys(write.replacement.path for write in writes)
    return [_edit(path, [write for write in writes if write.replacement.path == path], force) for path in paths]


def _edit(path: str, writes: Sequence[FileWrite], force: bool) -> Edit:
    engine = writes[0].engine
    show = show_of(engine, path) if engine in ENGINES else show_source
    changes = [write.replacement for write in writes]
    return Edit(path, _restorer(path, changes, show, force), show, aside=changes[0].aside or aside(path))


def _packages_back(host: Host, entries: Sequence[JournalEntry]) -> Finish | None:
    """`entries` are newest first: what was there before the first installation is what comes back."""
    installations = [entry for entry in entries if isinstance(entry, Installation)]
    if not installations:
        return None
    first = installations[-1]
    kept = (f"{name} {version}" for name, version in first.before.items() if version)
    back = ", ".join(kept) or "none of the toolkit's"
    step = Step(f"bring the packages back to what they were: {back}", Disturbs.NEW_CONTAINERS)
    return Finish(step, lambda: undo_packages(host, first))


def _restorer(
    path: str, changes: Sequence[Replacement], show: Show, force: bool
) -> Callable[[bytes | None], bytes | None]:
    """`changes` are newest first."""

    def restore(raw: bytes | None) -> bytes | None:
        now, first = raw, changes[-1]
        for change in changes:
            if digest(now) == change.after or (force and digest(now) != change.before):
                now = content_before(change)
            elif digest(now) != change.before:
                message = f"{path} was edited since gpuctl changed it. Use --force to lose those edits as well."
                raise Refused(message, diff=show(path, raw, content_before(first)))
        return now

    return restore
