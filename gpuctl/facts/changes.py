"""What gpuctl changed on this host and when, by its journal; and runs that were cut short.

The journal is FOLDER/RUN.jsonl. The lines of a file, in the order in which they come to be:

    {"run": "install-runtime", "at": 1764000000.1, "by": 0, "pid": 812, "start": 4711, "boot": "…"}
    {"begins": 0, "kind": "write", "path": "/etc/docker/daemon.json", "before": "…", "after": "…", "kept": "…"}
    {"done": 0}
    {"end": "done", "at": 1764000001.3}

`before` and `after` are digests, null for no file. In the first line, `continues` names a run that was cut short, on
top of which this one went on, and `undoes` the runs that a rollback undoes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, FrozenSet, List, Mapping, Optional, Tuple

from gpuctl.documents import load_json
from gpuctl.facts.docker_process import parse_start
from gpuctl.host.reading import Host, Outcome
from gpuctl.model import Fact

ROOT_FOLDER = "/var/lib/gpuctl/journal"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
DONE, ROLLED_BACK, UNDONE, STUCK = "done", "rolled-back", "undone", "stuck"
"""How a run ended: as wished; failed, and put back by itself; undone by `gpuctl rollback`; failed, and not put back."""
ENDS = (DONE, ROLLED_BACK, UNDONE, STUCK)
WRITE, ENGINE, RESTART, PACKAGES = "write", "engine", "restart", "packages"
"""A file is written; a daemon is to take files up; it is restarted; packages are installed."""
RUNNING, INTERRUPTED = "running", "interrupted"
_RUN = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)\.jsonl")


@dataclass(frozen=True)
class Change:
    """One thing that a run began to do: `about` has what its undoing needs, by the names above."""

    number: int
    kind: str
    about: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One run: when it began (seconds since the epoch), whose it was (user id), what it did, how it ended.

    `state` is one of the above. `ended` is when, None while it has not.
    """

    id: str
    command: str
    at: float
    by: int
    changes: Tuple[Change, ...]
    state: str
    ended: Optional[float] = None
    continues: Optional[str] = None
    undoes: Tuple[str, ...] = ()

    @property
    def installs(self) -> bool:
        """Whether it was about packages."""
        return any(change.kind == PACKAGES for change in self.changes)

    @property
    def paths(self) -> FrozenSet[str]:
        """The files that it was about."""
        return frozenset(change.about["path"] for change in self.changes if change.kind == WRITE)


@dataclass(frozen=True)
class Changes:
    """All runs that changed something, oldest first."""

    runs: Fact[Tuple[Run, ...]]

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
    read = [_read_folder(host, folder) for folder in folders]
    unknown = next((runs.unknown for runs in read if runs.unknown), None)
    runs = sorted((run for folder in read for run in folder.value or ()), key=lambda run: run.id)
    return Changes(Fact(_settled(tuple(runs)), ", ".join(folders), unknown))


def _read_folder(host: Host, folder: str) -> Fact[Tuple[Run, ...]]:
    names = host.list(folder)
    if names.outcome is Outcome.ABSENT:
        return Fact((), folder)
    if not names.ok:
        return Fact((), folder, unknown=names.detail or names.outcome.value)
    matches = [match for match in map(_RUN.fullmatch, names.text.splitlines()) if match]
    readings = [(match.group(1), host.read("%s/%s" % (folder, match.group()))) for match in matches]
    failed = next((reading for _, reading in readings if not reading.ok), None)
    if failed:
        return Fact((), failed.source, unknown=failed.detail or failed.outcome.value)
    runs = [parse_run(id, reading.text) for id, reading in readings]
    return Fact(tuple(_seen(host, run, head) for run, head in runs if run), folder)


def parse_run(id: str, text: str) -> Tuple[Optional[Run], Mapping[str, Any]]:
    """Returns the run, as interrupted where it has no end, and its first line; None where it changed nothing.

    Lines that are not understood count as not there, as the last one after a power cut.
    """
    lines = [line for line in map(_line, filter(None, text.splitlines())) if line]
    head = next((line for line in lines if isinstance(line.get("run"), str)), {})
    begun = [line for line in lines if is_change(line)]
    end: Mapping[str, Any] = next((line for line in reversed(lines) if line.get("end") in ENDS), {})
    if not head or not begun:
        return None, head
    continues, undoes = head.get("continues"), head.get("undoes")
    run = Run(
        id=id,
        command=head["run"],
        at=_number(head.get("at")),
        by=int(_number(head.get("by"))),
        changes=tuple(Change(line["begins"], line["kind"], line) for line in begun),
        state=end.get("end", INTERRUPTED),
        ended=_number(end.get("at")) if end else None,
        continues=continues if isinstance(continues, str) else None,
        undoes=tuple(map(str, undoes)) if isinstance(undoes, list) else (),
    )
    return run, head


def is_change(line: Mapping[str, Any]) -> bool:
    """Returns whether a line says what was begun, with all that its kind needs."""
    texts, digests = ("path", "kept", "engine"), ("before", "after")
    if not isinstance(line.get("begins"), int) or line.get("kind") not in (WRITE, ENGINE, RESTART, PACKAGES):
        return False
    if line["kind"] == PACKAGES:
        return isinstance(line.get("before"), dict) and isinstance(line.get("manager"), str)
    if line["kind"] != WRITE:
        return True
    whole = all(isinstance(line.get(name), str) for name in texts)
    return whole and all(isinstance(line.get(name, 0), (str, type(None))) for name in digests)


def _line(text: str) -> Optional[Mapping[str, Any]]:
    try:
        line = load_json(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


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


def _settled(runs: Tuple[Run, ...]) -> Tuple[Run, ...]:
    """A run that was cut short is done once another has gone on on top of it."""
    continued: List[Optional[str]] = [run.continues for run in runs if run.state == DONE]
    return tuple(replace(run, state=DONE) if run.state == INTERRUPTED and run.id in continued else run for run in runs)
