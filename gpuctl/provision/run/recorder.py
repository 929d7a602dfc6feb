"""Writing a run down in the journal while it changes the host."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from gpuctl.bounds import plain
from gpuctl.facts.own.journal import BOOT_ID, DONE, SCHEMA, Changes, Run, journal_folder, process_start
from gpuctl.facts.own.journal_entries import PACKAGES, FileWrite, Installation, JournalEntry, line_of
from gpuctl.host.look.reading import Host
from gpuctl.host.write.files import FileProblem
from gpuctl.host.write.journal import ASKED_BY, Journal
from gpuctl.provision.result import File


class Recorder:
    """One run's part of the journal. It comes to be with the first change, so a run that changes nothing leaves none.

    `journal` is what stands there already, read with the lock held. `entries` are what was begun, `done` the places
    among them of what was completed.
    """

    def __init__(self, host: Host, command: str, journal: Changes, undoes: Sequence[Run] = ()) -> None:
        self.host, self.command, self.undoes = host, command, tuple(undoes)
        self.sequence = 1 + (journal.last.value or 0)
        self.entries: list[JournalEntry] = []
        self.done: set[int] = set()
        self._journal = Journal(journal_folder(host))
        self._continues: Run | None = None

    @property
    def id(self) -> str | None:
        """The run's name in the journal; None while it has changed nothing."""
        return self._journal.id if self.entries else None

    @property
    def to_undo(self) -> tuple[JournalEntry, ...]:
        """What undoing has to look at: all but files that never came to be others. Nothing where only they were."""
        written = self._written()
        begun = tuple(one for one in self.entries if not isinstance(one, FileWrite) or one in written)
        return begun if any(isinstance(one, (FileWrite, Installation)) for one in begun) else ()

    @property
    def files(self) -> tuple[File, ...]:
        """The files that were changed, those of the engine first."""
        written = sorted(self._written(), key=lambda one: one.engine == PACKAGES)
        return tuple(File(one.replacement.path, one.replacement.kept) for one in written)

    def _written(self) -> list[FileWrite]:
        return [one for place, one in enumerate(self.entries) if isinstance(one, FileWrite) and place in self.done]

    def go_on_from(self, cut: Sequence[Run]) -> None:
        """Takes the last of these runs, which were cut short, for a part of this one: it is about the same files."""
        self._continues = cut[-1] if cut else None

    def begin(self, entry: JournalEntry) -> int:
        """Writes down what is to be done, and all that undoing it needs. Returns its number. Raises FileProblem."""
        number = len(self.entries)
        self._journal.append([*([] if number else [self._head()]), line_of(number, entry)])
        self.entries.append(entry)
        return number

    @contextmanager
    def doing(self, entry: JournalEntry) -> Iterator[None]:
        """Writes down what the body is going to do, and that it is done."""
        number = self.begin(entry)
        yield
        self.done.add(number)
        self._journal.append([{"done": number}])

    def end(self, state: str = DONE) -> None:
        """Writes down how the run ended. Where that is not possible it counts as cut short."""
        if not self.entries:
            return
        with suppress(FileProblem):
            self._journal.append([{"end": state, "at": time.time()}])

    def forget(self) -> None:
        """Leaves no trace of a run that changed nothing in the end."""
        if self.entries:
            self._journal.forget()
        self.entries = []

    def _head(self) -> dict[str, Any]:
        pid = os.getpid()
        return {
            "schema": SCHEMA,
            "sequence": self.sequence,
            "run": self.command,
            "at": time.time(),
            "by": os.geteuid(),
            "pid": pid,
            "start": process_start(self.host, pid),
            "boot": self.host.read(BOOT_ID).text.strip(),
            "continues": self._continues.id if self._continues else None,
            "undoes": [run.id for run in self.undoes],
            "asked_by": plain(self.host.env(ASKED_BY).text) or None,
        }


def cut_short(journal: Changes) -> tuple[Run, ...]:
    """Returns the runs that were cut short, oldest first; none where that cannot be told."""
    return () if journal.runs.unknown else journal.interrupted


def settle(run: Run, host: Host, state: str) -> None:
    """Writes down how an earlier run stands now. Losing that is no error."""
    with suppress(FileProblem):
        Journal(journal_folder(host), run.id).append([{"end": state, "at": time.time()}])
