"""What changes come to on this host: the files that change, and the steps in their order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from gpuctl.facts.own.journal import Run
from gpuctl.frozen import dataclass
from gpuctl.host.write import files
from gpuctl.host.write.files import FileState
from gpuctl.model import Disturbs, Step
from gpuctl.provision.change_set import ChangeSet, Contents, Edit, Kept, RunningEngine
from gpuctl.provision.engines.daemons import not_restarted
from gpuctl.provision.packages.plan import PackagePlan


@dataclass(frozen=True)
class PlannedEdit:
    """A file as it was read under an edit, and what it becomes."""

    edit: Edit
    before: FileState
    new: bytes | None

    @property
    def changes(self) -> bool:
        """Whether it becomes another."""
        return self.new != self.before.raw

    @property
    def held(self) -> bytes | None:
        """What the file held while what is taken away was in it, even where it is gone already."""
        with_taken = self.edit.with_taken
        return self.before.raw if self.changes or with_taken is None else with_taken(self.new)

    @cached_property
    def step(self) -> Step:
        """The step that writes it, or removes it."""
        path, diff = self.edit.path, self.edit.show(self.edit.path, self.before.raw, self.new)
        aside = self.edit.aside
        if self.new is None:
            text = f"remove {path}, and keep what it was {f'in {aside}' if aside else 'beside where it was'}"
            return Step(text, Disturbs.NOTHING, "put it back", diff)
        if self.before.raw is None:
            return Step(f"write {path}, which is not there yet", Disturbs.NOTHING, "remove it", diff)
        text = f"write {path}, and keep what it was {f'in {aside}' if aside else 'beside it'}"
        return Step(text, Disturbs.NOTHING, "put back what it was", diff)


@dataclass(frozen=True)
class Planned:
    """The steps that would be taken; `changes`: files or packages become others by them.

    `agrees`: the daemon has all that the files are to say. `keeps` is what it will still have of what is taken away,
    None where only a reload can tell.
    """

    steps: tuple[Step, ...]
    changes: bool
    agrees: bool
    keeps: Kept | None

    @property
    def diff(self) -> str:
        """What becomes of all files."""
        return "".join(step.diff for step in self.steps)


def planned(change_set: ChangeSet, packages: PackagePlan | None) -> Planned:
    """Returns what is to be done. Raises Refused and FileProblem; nothing is changed."""
    edits = (*(packages.edits if packages else ()), *change_set.edits)
    for edit in edits:
        files.examine(edit.path)
    sources = changes_of(look(packages.edits)) if packages else ()
    looks = look(change_set.edits)
    changes = changes_of(looks)
    agrees = change_set.daemon is not None and not change_set.daemon.difference(contents(looks, change_set.daemon))
    steps = (
        *(packages.keeping if packages else ()),
        *(one.step for one in sources),
        *(packages.steps if packages else ()),
        *(one.step for one in changes),
        *(filter(None, telling(change_set)) if changes or not agrees or change_set.restart else ()),
        *((change_set.finish.step,) if change_set.finish else ()),
    )
    brings_in = bool(packages and packages.steps)
    keeps = None if changes and change_set.daemon and change_set.daemon.reloading else kept(change_set, looks)
    return Planned(steps, bool(sources or changes or brings_in or change_set.finish), agrees, keeps)


def kept(change_set: ChangeSet, looks: Sequence[PlannedEdit]) -> Kept | None:
    """Returns what the daemon has of what is taken away, or was by an earlier run; None where nothing is."""
    if change_set.daemon is None or not change_set.takes_away:
        return None
    now = contents(looks, change_set.daemon)
    return change_set.daemon.keeps({one.before.path: one.held for one in looks if one.before.path in now}, now)


def look(edits: Sequence[Edit]) -> tuple[PlannedEdit, ...]:
    """Returns the files as they are, and what they become. Raises Refused and FileProblem."""
    read = [(edit, files.read(edit.path)) for edit in edits]
    return tuple(PlannedEdit(edit, before, edit.change(before.raw)) for edit, before in read)


def completed_by(change_set: ChangeSet, cut: Sequence[Run]) -> list[Run]:
    """Returns those of the runs that were cut short about nothing but these files: what they began, this completes."""
    paths = {files.behind_links(edit.path) for edit in change_set.edits}
    return [run for run in cut if run not in change_set.undoes and not run.installs and run.paths <= paths]


def changes_of(looks: Sequence[PlannedEdit]) -> tuple[PlannedEdit, ...]:
    """Returns those that become others."""
    return tuple(one for one in looks if one.changes)


def contents(looks: Sequence[PlannedEdit], daemon: RunningEngine) -> Contents:
    """Returns what the files are to hold of which the daemon is told: a CDI specification is none of its settings."""
    return {one.before.path: one.new for one in looks if daemon.reads(one.before.path)}


def telling(change_set: ChangeSet) -> tuple[Step | None, Step | None]:
    """Returns the steps by which the daemon takes the files up: its reload, if it has one, its restart, if wished.

    Raises Refused where gpuctl cannot tell it.
    """
    if change_set.daemon is None:
        return None, None
    restarting = change_set.daemon.restarting if change_set.restart else None
    if change_set.restart and restarting is None:
        raise not_restarted(change_set.title)
    return change_set.daemon.reloading, restarting
