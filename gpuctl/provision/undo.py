"""Undoing what a run has begun, last things first: files, and the daemons that read them, and packages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpuctl.facts.changes import ENGINE, PACKAGES, RESTART, WRITE, Change
from gpuctl.host import files
from gpuctl.host.files import FileProblem
from gpuctl.host.reading import Host
from gpuctl.host.replace import Change as FileChange
from gpuctl.host.replace import put_back
from gpuctl.provision.package_plan import PackageProblem
from gpuctl.provision.packages import undo_packages
from gpuctl.provision.setup import Contents, Daemon, DaemonProblem, NotUp

RESTART_DEADLINE = 60.0


@dataclass(frozen=True)
class Trouble:
    """What went wrong while a change was undone. `stays`: the host is not as it was."""

    change: Change
    text: str
    stays: bool


def undo(host: Host, changes: Sequence[Change], daemon: Daemon | None, deadline: float) -> tuple[Trouble, ...]:
    """Undoes the changes, and returns what went wrong. What was begun and never came to be is none to undo.

    Call it with the locks on the files' directories held. `deadline` in seconds, for the daemon's answer.
    """
    troubles = []
    for change in reversed(changes):
        try:
            if change.kind == WRITE:
                put_back(file_change(change))
            elif change.kind == ENGINE:
                _tell(daemon, changes, deadline)
            elif change.kind == PACKAGES:
                undo_packages(host, change.about["before"], change.about["manager"])
        except (FileProblem, DaemonProblem, PackageProblem) as problem:
            stays = isinstance(problem, NotUp) or not isinstance(problem, DaemonProblem)
            troubles.append(Trouble(change, str(problem), stays))
    return tuple(troubles)


def file_change(change: Change) -> FileChange:
    """Returns the change of a file as the journal has it."""
    about = change.about
    return FileChange(about["path"], about["before"], about["after"], about["kept"])


def as_before(changes: Sequence[Change]) -> tuple[str, ...]:
    """Returns, in sentences, what is as it was before."""
    written = tuple(f"{change.about['path']} is as it was before." for change in changes if change.kind == WRITE)
    installed = any(change.kind == PACKAGES for change in changes)
    return (*written, *(("The packages are as they were before.",) if installed else ()))


def _tell(daemon: Daemon | None, changes: Sequence[Change], deadline: float) -> None:
    """Has a daemon take up the old files; one that was restarted on the new ones is restarted if it has to be."""
    if daemon is None:
        return
    restarted = any(change.kind == RESTART for change in changes)
    paths = [change.about["path"] for change in changes if change.kind == WRITE]
    contents: Contents = {path: files.read(path).raw for path in paths}
    try:
        if daemon.reloading:
            daemon.reload(contents, deadline)
        elif restarted:
            daemon.restart(contents, RESTART_DEADLINE)
    except DaemonProblem as problem:
        if not restarted or isinstance(problem, NotUp):
            raise type(problem)(f"The daemon does not take up the old one either: {problem}") from None
        daemon.restart(contents, RESTART_DEADLINE)
