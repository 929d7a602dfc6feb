"""What gpuctl changed on this host and when, by its journal; and runs that were cut short.

The journal is FOLDER/RUN.jsonl. The lines of a file, in the order in which they come to be:

    {"schema": "gpuctl.journal/1", "sequence": 7, "run": "install-runtime", "at": 1764000000.1, "by": 0, "pid": 812, …}
    {"begins": 0, "kind": "write", "path": "/etc/docker/daemon.json", "before": "…", "after": "…", "kept": "…", …}
    {"done": 0}
    {"end": "done", "at": 1764000001.3}

`before` and `after` are digests, null for no file. In the first line, `sequence` is one more than that of every run
before it: a clock can go back. `start` and `boot` tell the process from others with its number, `continues` names a
run that was cut short, on top of which this one went on, and `undoes` the runs that a rollback undoes. Runs of before
0.3 have neither `schema` nor `sequence`: they come before all others, in the order of their names, which are times.
"""

from __future__ import annotations

import posixpath
from dataclasses import replace
from typing import Any, Dict, FrozenSet, List, Mapping, Optional, Sequence, Tuple

from gpuctl.facts.machine.processes import parse_start
from gpuctl.facts.own.journal_entries import FileWrite, Installation, JournalEntry, parse_entry
from gpuctl.frozen import dataclass
from gpuctl.host.decode import LAST_SECOND, number_in, parse_object, text_in
from gpuctl.host.look.reading import Host, Outcome, failure
from gpuctl.model import Fact
from gpuctl.regex import regex

SCHEMA = "gpuctl.journal/1"
ROOT_FOLDER = "/var/lib/gpuctl/journal"
ROOTS = "This user has no runs of gpuctl here, and root's are root's: run this as root, with sudo."
"""What a user is told who asks for runs and has none."""
BOOT_ID = "/proc/sys/kernel/random/boot_id"
DONE, ROLLED_BACK, UNDONE, STUCK = "done", "rolled-back", "undone", "stuck"
"""How a run ended: as wished; failed, and put back by itself; undone by `gpuctl rollback`; failed, and not put back."""
ENDS = (DONE, ROLLED_BACK, UNDONE, STUCK)
RUNNING, INTERRUPTED = "running", "interrupted"
_RUN = regex(r"(\d{8}T\d{6}\.\d{6}Z)\.jsonl")


@dataclass(frozen=True)
class Run:
    """One run: when it began (seconds since the epoch), whose it was (user id), what it began to do, how it ended.

    `state` is one of the above. `ended` is when, None while it has not. `asked_by`: a fleet's run that had it done.
    """

    id: str
    command: str
    at: float
    by: int
    entries: Tuple[JournalEntry, ...]
    state: str
    ended: Optional[float] = None
    continues: Optional[str] = None
    undoes: Tuple[str, ...] = ()
    sequence: int = 0
    asked_by: Optional[str] = None

    @property
    def installs(self) -> bool:
        """Whether it was about packages."""
        return any(isinstance(entry, Installation) for entry in self.entries)

    @property
    def writes(self) -> Tuple[FileWrite, ...]:
        """The files that it replaced, or began to, in their order."""
        return tuple(entry for entry in self.entries if isinstance(entry, FileWrite))

    @property
    def paths(self) -> FrozenSet[str]:
        """The files that it was about."""
        return frozenset(write.replacement.path for write in self.writes)


@dataclass(frozen=True)
class Changes:
    """All runs that changed something, oldest first: those that could be read, where `runs` is unknown."""

    runs: Fact[Tuple[Run, ...]]
    strange: Fact[str]
    """The file of a run that this gpuctl does not understand, and why: another one wrote it."""
    last: Fact[int]
    """The highest number of a run, whether or not it is understood."""

    @property
    def interrupted(self) -> Tuple[Run, ...]:
        """The runs that were cut short, and not completed or undone since. Raises CannotTell."""
        return tuple(run for run in self.runs.get() or () if run.state == INTERRUPTED)


def journal_folder(host: Host) -> str:
    """Returns where this user's runs are written down: root's for the whole host, others' in their home folder."""
    if host.env("euid").text == "0":
        return ROOT_FOLDER
    base = host.env("XDG_STATE_HOME").text
    if not base.startswith("/"):  # the XDG specification says to ignore a relative one
        base = host.env("HOME").text + "/.local/state"
    return base + "/gpuctl/journal"


def probe_changes(host: Host) -> Changes:
    """Returns the runs of this user, and those of root."""
    folders = sorted({ROOT_FOLDER, journal_folder(host)})
    files, unread = _files(host, folders)
    runs, strange = [], []
    for path, text in files:
        try:
            run, head = parse_run(_RUN.sub(r"\1", posixpath.basename(path)), text)
            runs += [_seen(host, run, head)] if run else []
        except ValueError as error:
            strange.append("%s: %s" % (path, error))
    runs.sort(key=lambda run: (run.sequence, run.id))
    source, first = ", ".join(folders), strange[0] if strange else None
    last = max((_sequence(_head(_lines(text))) for _, text in files), default=None)
    return Changes(Fact(_settled(runs), source, unread or first), Fact(first, source), Fact(last, source))


def _files(host: Host, folders: Sequence[str]) -> Tuple[List[Tuple[str, str]], Optional[str]]:
    """The journal's files, each with its text, and why some could not be read."""
    names = [host.list(folder) for folder in folders]
    paths = [
        posixpath.join(one.source, name) for one in names for name in one.text.splitlines() if _RUN.fullmatch(name)
    ]
    read = [host.read(path) for path in paths]
    unread = [one for one in (*names, *read) if not one.ok and one.outcome is not Outcome.ABSENT]
    return [(one.source, one.text) for one in read if one.ok], failure(unread[0]) if unread else None


def parse_run(id: str, text: str) -> Tuple[Optional[Run], Mapping[str, Any]]:
    """Returns the run, as interrupted where it has no end, and its first line; None where it changed nothing.

    Lines that are no JSON count as not there, as the last one after a power cut. Raises ValueError where another
    gpuctl wrote it, or it began what this one does not know: nobody can tell then what its undoing takes.
    """
    lines = _lines(text)
    head = _head(lines)
    if head.get("schema", SCHEMA) != SCHEMA:
        raise ValueError("its schema is %.40r, and this gpuctl knows %s" % (head["schema"], SCHEMA))
    begun = [line for line in lines if "begins" in line]
    end: Mapping[str, Any] = next((line for line in reversed(lines) if line.get("end") in ENDS), {})
    if not head or not begun:
        return None, head
    continues, undoes = head.get("continues"), head.get("undoes")
    run = Run(
        id=id,
        command=text_in(head, "run") or "",
        at=_number(head.get("at")),
        by=int(_number(head.get("by"))),
        entries=tuple(map(parse_entry, begun)),
        state=end.get("end", INTERRUPTED),
        ended=_number(end.get("at")) if end else None,
        continues=continues if isinstance(continues, str) else None,
        undoes=tuple(map(str, undoes)) if isinstance(undoes, list) else (),
        sequence=number_in(head, "sequence") or 0,
        asked_by=text_in(head, "asked_by"),
    )
    return run, head


def _lines(text: str) -> List[Dict[str, Any]]:
    return [line for line in map(_line, filter(None, text.splitlines())) if line]


def _head(lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next((line for line in lines if "schema" in line or isinstance(line.get("run"), str)), {})


def _sequence(head: Mapping[str, Any]) -> int:
    try:
        return number_in(head, "sequence") or 0
    except ValueError:
        return 0


def _line(text: str) -> Optional[Dict[str, Any]]:
    try:
        return parse_object(text)
    except ValueError:
        return None


def _number(value: Any) -> float:
    """What a calendar can show, or the number of a process or user."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < LAST_SECOND
    return float(value) if known else 0.0


def _seen(host: Host, run: Run, head: Mapping[str, Any]) -> Run:
    """A run without an end goes on where its process still lives."""
    return replace(run, state=RUNNING) if run.state == INTERRUPTED and is_alive(host, head) else run


def is_alive(host: Host, head: Mapping[str, Any]) -> bool:
    """Returns whether the process that wrote this line runs: the same one, of this boot."""
    if head.get("boot") != host.read(BOOT_ID).text.strip():
        return False
    start = process_start(host, int(_number(head.get("pid"))))
    return start is not None and start == head.get("start")


def process_start(host: Host, pid: int) -> Optional[float]:
    """Returns when a process began, in seconds after the kernel's start; None where there is none."""
    seen = host.read("/proc/%d/stat" % pid)
    try:
        return parse_start(seen.text) if seen.ok else None
    except (ValueError, IndexError):
        return None


def _settled(runs: Sequence[Run]) -> Tuple[Run, ...]:
    """A run that was cut short is done once another has gone on on top of it."""
    continued: List[Optional[str]] = [run.continues for run in runs if run.state == DONE]
    return tuple(replace(run, state=DONE) if run.state == INTERRUPTED and run.id in continued else run for run in runs)
