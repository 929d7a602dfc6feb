"""Writing a run down in the journal while it changes the host."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from gpuctl.facts.changes import (
    BOOT_ID,
    DONE,
    PACKAGES,
    SCHEMA,
    WRITE,
    Change,
    Run,
    journal_folder,
    probe_changes,
    process_start,
)
from gpuctl.host.files import FileProblem
from gpuctl.host.journal import Journal
from gpuctl.host.reading import Host
from gpuctl.provision.result import File


class Recorder:
    """One run's part of the journal. It comes to be with the first change, so a run that changes nothing leaves none.

    `changes` are those that were begun, `done` the numbers of those that were completed.
    """

    def __init__(self, host: Host, command: str, undoes: Sequence[Run] = ()) -> None:
        self.host, self.command, self.undoes = host, command, tuple(undoes)
        self.changes: list[Change] = []
        self.done: set[int] = set()
        self._journal = Journal(journal_folder(host))
        self._continues: Run | None = None

    @property
    def id(self) -> str | None:
        """The run's name in the journal; None while it has changed nothing."""
        return self._journal.id if self.changes else None

    @property
    def to_undo(self) -> tuple[Change, ...]:
        """What undoing has to look at: all but files that never came to be others. Nothing where only they were."""
        begun = tuple(one for one in self.changes if one.kind != WRITE or one.number in self.done)
        return begun if any(one.kind in (WRITE, PACKAGES) for one in begun) else ()

    @property
    def files(self) -> tuple[File, ...]:
        """The files that were changed, those of the engine first."""
        written = [one.about for one in self.changes if one.kind == WRITE and one.number in self.done]
        return tuple(
            File(one["path"], one["kept"]) for one in sorted(written, key=lambda one: one["engine"] == PACKAGES)
        )

    def go_on_from(self, cut: Sequence[Run]) -> None:
        """Takes the last of these runs, which were cut short, for a part of this one: it is about the same files."""
        self._continues = cut[-1] if cut else None

    def begin(self, kind: str, **about: Any) -> int:
        """Writes down what is to be done, and all that undoing it needs. Returns its number. Raises FileProblem."""
        number = len(self.changes)
        line = {"begins": number, "kind": kind, **about}
        self._journal.append([*([] if number else [self._head()]), line])
        self.changes.append(Change(number, kind, line))
        return number

    @contextmanager
    def doing(self, kind: str, **about: Any) -> Iterator[None]:
        """Writes down what the body is going to do, and that it is done."""
        number = self.begin(kind, **about)
        yield
        self.done.add(number)
        self._journal.append([{"done": number}])

    def end(self, state: str = DONE) -> None:
        """Writes down how the run ended. Where that is not possible it counts as cut short."""
        if not self.changes:
            return
        with suppress(FileProblem):
            self._journal.append([{"end": state, "at": time.time()}])

    def forget(self) -> None:
        """Leaves no trace of a run that changed nothing in the end."""
        if self.changes:
            self._journal.forget()
        self.changes = []

    def _head(self) -> dict[str, Any]:
        pid = os.getpid()
        return {
            "schema": SCHEMA,
            "sequence": 1 + (probe_changes(self.host).last.value or 0),
            "run": self.command,
            "at": time.time(),
            "by": os.geteuid(),
            "pid": pid,
            "start": process_start(self.host, pid),
            "boot": self.host.read(BOOT_ID).text.strip(),
            "continues": self._continues.id if self._continues else None,
            "undoes": [run.id for run in self.undoes],
        }


def cut_short(host: Host) -> tuple[Run, ...]:
    """Returns this user's runs that were cut short, oldest first; none where that cannot be told."""
    changes = probe_changes(host)
    return () if changes.runs.unknown else changes.interrupted


def settle(run: Run, host: Host, state: str) -> None:
    """Writes down how an earlier run stands now. Losing that is no error."""
    with suppress(FileProblem):
        Journal(journal_folder(host), run.id).append([{"end": state, "at": time.time()}])
