"""Undoing what a run has begun, last things first: files, and the daemons that read them, and packages."""

from __future__ import annotations

from collections.abc import Sequence

from gpuctl.facts.own.journal_entries import FileWrite, Installation, JournalEntry, Restart, TakeUp
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.host.write import files
from gpuctl.host.write.files import FileProblem
from gpuctl.host.write.replace import put_back
from gpuctl.provision.change_set import Contents, DaemonProblem, NotUp, RunningEngine
from gpuctl.provision.packages.packages import undo_packages
from gpuctl.provision.packages.plan import PackageProblem

RESTART_DEADLINE = 60.0


@dataclass(frozen=True)
class Trouble:
    """What went wrong while one thing was undone. `stays`: the host is not as it was."""

    entry: JournalEntry
    text: str
    stays: bool


def undo(
    host: Host, entries: Sequence[JournalEntry], daemon: RunningEngine | None, deadline: float
) -> tuple[Trouble, ...]:
    """Undoes what was begun, and returns what went wrong. What was begun and never came to be is none to undo.

    Call it with the locks on the files' directories held. `deadline` in seconds, for the daemon's answer.
    """
    troubles = []
    for entry in reversed(entries):
        try:
            if isinstance(entry, FileWrite):
                put_back(entry.replacement)
            elif isinstance(entry, TakeUp):
                _tell(daemon, entries, deadline)
            elif isinstance(entry, Installation):
                undo_packages(host, entry)
        except (FileProblem, DaemonProblem, PackageProblem) as problem:
            stays = isinstance(problem, NotUp) or not isinstance(problem, DaemonProblem)
            troubles.append(Trouble(entry, str(problem), stays))
    return tuple(troubles)


def as_before(entries: Sequence[JournalEntry]) -> tuple[str, ...]:
    """Returns, in sentences, what is as it was before."""
    paths = (entry.replacement.path for entry in entries if isinstance(entry, FileWrite))
    written = tuple(f"{path} is as it was before." for path in paths)
    installed = any(isinstance(entry, Installation) for entry in entries)
    return (*written, *(("The packages are as they were before.",) if installed else ()))


def _tell(daemon: RunningEngine | None, entries: Sequence[JournalEntry], deadline: float) -> None:
    """Has a daemon take up the old files; one that was restarted on the new ones is restarted if it has to be."""
    if daemon is None:
        return
    restarted = any(isinstance(entry, Restart) for entry in entries)
    paths = [entry.replacement.path for entry in entries if isinstance(entry, FileWrite)]
    contents: Contents = {path: files.read(path).raw for path in paths if daemon.reads(path)}
    try:
        if daemon.reloading:
            daemon.reload(contents, deadline)
        elif restarted:
            daemon.restart(contents, RESTART_DEADLINE)
    except DaemonProblem as problem:
        if not restarted or isinstance(problem, NotUp):
            raise type(problem)(f"The daemon does not take up the old one either: {problem}") from None
        daemon.restart(contents, RESTART_DEADLINE)
