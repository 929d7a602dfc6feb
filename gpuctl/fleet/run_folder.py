"""The folder of a fleet's run: which hosts were asked what, how each one ended, and their snapshots.

    RUN/run.json                     {"schema": "gpuctl.fleet-run/1", "gpuctl": "1.0", "at": 1764000000.1,
                                      "question": ["doctor"], "hosts": ["gpu01", "gpu02"]}
    RUN/hosts.jsonl                  {"host": "gpu01", "state": "reported", "at": 1764000003.2, "detail": "",
                                      "snapshot": "snapshots/gpu01.jsonl.gz"}
    RUN/snapshots/gpu01.jsonl.gz     as `gpuctl collect` writes it

A host's line is on the disk before the next host's comes, its snapshot before its line: whatever ends a run loses
nothing of what had come. The last line of a host counts. What a cut left of a line is no line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any
from urllib.parse import quote

from gpuctl.bounds import plain, with_end
from gpuctl.command import Command, command
from gpuctl.frozen import dataclass
from gpuctl.host.decode import moment_in, parse_object, text_in, texts_in
from gpuctl.host.write.appended import append_lines
from gpuctl.host.write.files import is_there, read_named
from gpuctl.host.write.output import folder_for, write_new, write_whole

SCHEMA, CHANGE_SCHEMA = "gpuctl.fleet-run/1", "gpuctl.fleet-change/1"
WHOSE = {SCHEMA: "gpuctl fleet doctor, check, collect, smoke or merge", CHANGE_SCHEMA: "gpuctl fleet apply"}
"""Which commands make a run's folder."""
RUN, HOSTS, SNAPSHOTS = "run.json", "hosts.jsonl", "snapshots"
MOST_HOSTS = 100_000
"""Ten times as many as the largest fleet that one run was measured with."""
LONGEST_NAME = 253
"""Characters of a host's name, as many as DNS allows (RFC 1035, 2.3.4)."""
LONGEST_DETAIL = 1000
_NAMES_HOSTS = ("-i", "--hosts", "--slurm", "--limit")
_GIVES_RIGHTS = ("--become", "-K")
_LONGEST_FILE_NAME = 200
"""Bytes before `.jsonl.gz`: file systems take 255, and a file is written beside its place first."""


class State(str, Enum):
    """How a host ended: each one ends in one of these."""

    REPORTED = "reported"
    """Its snapshot is here."""
    BROKEN = "broken"
    """It was reached, and what was to record it failed, or what came back is no snapshot."""
    UNREACHABLE = "unreachable"
    NO_PYTHON = "no-python"
    PYTHON_TOO_OLD = "python-too-old"
    NO_RIGHTS = "no-rights"
    LOST = "lost"
    """Nothing came back from it before the deadline."""


WAYS_ON = {
    State.UNREACHABLE: "ssh HOST, by hand, shows whether the name, the network, the key or the host is at fault.",
    State.NO_PYTHON: "Install python3 there, or name another one by ansible_python_interpreter.",
    State.PYTHON_TOO_OLD: "Install a newer one beside it, and name it by ansible_python_interpreter.",
    State.NO_RIGHTS: "-K asks for the password to become root with; who may become root, sudoers says there.",
    State.LOST: "--host-timeout and --run-timeout give more time; --resume asks again.",
}
"""What to do where hosts ended so; a broken one says itself what is wrong."""
WITHOUT_GPUCTL = (
    "Install gpuctl there, or have its single file come along (--zipapp), which needs a Python 3.10 there; in a "
    "checkout of gpuctl, pyz/build.py makes it."
)
"""What to do where a host has no gpuctl that runs."""


class BadRun(ValueError):
    """A folder is none of a run; the message says why, in words that go after its name."""


@dataclass(frozen=True)
class Run:
    """What was asked of which hosts, when (seconds since the epoch), by which gpuctl.

    `asked`: the options by which the same hosts are asked in the same way, None where that is not known.
    """

    gpuctl: str
    at: float
    question: tuple[str, ...]
    hosts: tuple[str, ...]
    asked: tuple[str, ...] | None = None

    @property
    def is_smoke(self) -> bool:
        """Whether the hosts were asked to run `gpuctl smoke`, with the options that follow in the question."""
        return self.question[:1] == ("smoke",)


@dataclass(frozen=True)
class HostOutcome:
    """How one host ended, when (seconds since the epoch), and a sentence on why. `snapshot`: its path in the folder."""

    host: str
    state: State
    at: float
    detail: str = ""
    snapshot: str | None = None


@dataclass(frozen=True)
class RecordedRun:
    """A run as its folder has it: what was asked, and the outcome of each host that has one, in order of coming."""

    folder: str
    run: Run
    outcomes: Mapping[str, HostOutcome]

    @property
    def hosts(self) -> tuple[str, ...]:
        """All hosts of the run: those that were wanted, and such that came besides."""
        return tuple(dict.fromkeys((*self.run.hosts, *self.outcomes)))

    @property
    def unasked(self) -> tuple[str, ...]:
        """Hosts that were wanted and of which nothing is known: the run ended before their turn, or amid it."""
        return tuple(host for host in self.run.hosts if host not in self.outcomes)

    @property
    def unreported(self) -> tuple[str, ...]:
        """Hosts that were wanted and of which no snapshot came, the unasked among them: what a run asks once more."""
        return tuple(host for host in self.run.hosts if not self._has_reported(host))

    @property
    def go_on(self) -> Command | None:
        """The command that asks those hosts again of which no snapshot came."""
        words = self.run.asked
        return (
            None if words is None else command("gpuctl", "fleet", *self.run.question, "--resume", self.folder, *words)
        )

    @property
    def mend(self) -> Command | None:
        """The command that plans to mend what gpuctl can on the same hosts, None where nobody knows how to ask them."""
        words = self.run.asked
        plan = ("gpuctl", "fleet", "plan", "doctor", "--fix")
        return None if words is None else command(*plan, *_whom(words), "-o", "PLAN")

    def _has_reported(self, host: str) -> bool:
        return host in self.outcomes and self.outcomes[host].state is State.REPORTED

    def snapshot(self, outcome: HostOutcome) -> bytes:
        """Returns what is in a reported host's snapshot. Raises FileProblem."""
        return read_named(f"{self.folder}/{outcome.snapshot}")


def _whom(asked: Sequence[str]) -> Iterator[str]:
    """Of the options by which hosts were asked, those that say which, and with which rights."""
    words = iter(asked)
    for word in words:
        if word in _NAMES_HOSTS:
            yield from (word, next(words, ""))
        elif word in _GIVES_RIGHTS:
            yield word


def create_run(folder: str, run: Run) -> None:
    """Makes a run's folder, which nobody but its owner may enter. Raises FileProblem where something is there."""
    head = {"schema": SCHEMA, "gpuctl": run.gpuctl, "at": run.at, "question": run.question, "hosts": run.hosts}
    head |= {} if run.asked is None else {"asked": run.asked}
    with folder_for(folder), folder_for(f"{folder}/{SNAPSHOTS}"):
        write_new(f"{folder}/{RUN}", (json.dumps(head) + "\n").encode())


def add_host(folder: str, outcome: HostOutcome, snapshot: bytes | None = None) -> None:
    """Writes down how a host ended, and its snapshot before; returns when both are on the disk. Raises FileProblem.

    `snapshot` is a whole file of `gpuctl collect`, of a host that has reported; of no other. The line says where it
    lies, whatever the outcome says.
    """
    _check_snapshot(outcome.state, snapshot is not None)
    place = None if snapshot is None else snapshot_place(outcome.host)
    if snapshot is not None:
        write_whole(f"{folder}/{place}", snapshot, private=True)
    line = {
        "host": outcome.host,
        "state": outcome.state.value,
        "at": outcome.at,
        "detail": with_end(plain(outcome.detail), LONGEST_DETAIL),
        "snapshot": place,
    }
    append_lines(f"{folder}/{HOSTS}", [line], 0o600)


def snapshot_place(host: str) -> str:
    """Returns where in a run's folder a host's snapshot lies: never outside, and for each host another place."""
    name = quote(host, safe="", errors="replace").replace("~", "%7E")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > _LONGEST_FILE_NAME:  # no quoted name has a "~"
        name = f"{name[:100]}~{hashlib.sha256(host.encode('utf-8', 'replace')).hexdigest()}"
    return f"{SNAPSHOTS}/{name}.jsonl.gz"


def read_run(folder: str) -> RecordedRun:
    """Returns what a run's folder has; snapshots are read when they are asked for.

    Raises BadRun for one that was not written so, and FileProblem where it cannot be read.
    """
    try:
        head = parse_object(read_named(f"{folder}/{RUN}"))
        run = _run(head)
    except ValueError as error:
        raise BadRun(f"{RUN}: {error}") from None
    return RecordedRun(folder, run, {one.host: one for one in _outcomes(folder)})


def is_run(folder: str) -> bool:
    """Returns whether a folder is one of a run: it says so, whether or not it can be read."""
    return is_there(f"{folder}/{RUN}")


def check_schema(head: Mapping[str, Any], wanted: str) -> None:
    """Raises ValueError for the first line of a run's folder that is of another kind."""
    found = text_in(head, "schema") or ""
    if found != wanted:
        raise ValueError(f"it is one of {WHOSE[found]}" if found in WHOSE else f"it is none of {wanted}")


def _run(head: Mapping[str, Any]) -> Run:
    check_schema(head, SCHEMA)
    hosts = texts_in(head, "hosts")
    if len(hosts) > MOST_HOSTS:
        raise ValueError(f"it has more than {MOST_HOSTS} hosts")
    asked = texts_in(head, "asked") if "asked" in head else None
    names = tuple(map(checked_name, hosts))
    return Run(text_in(head, "gpuctl") or "", moment_in(head, "at"), texts_in(head, "question"), names, asked)


def _outcomes(folder: str) -> Iterator[HostOutcome]:
    for number, line in lines_in(f"{folder}/{HOSTS}"):
        try:
            yield _outcome(line)
        except ValueError as error:
            raise BadRun(f"{HOSTS}, line {number}: {error}") from None


def lines_in(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the whole lines of a file of a run's, each with its number; none where it has not come to be yet.

    What a cut or a full disk left of a line is none. Raises FileProblem.
    """
    for number, raw in enumerate(read_named(path).split(b"\n") if is_there(path) else (), 1):
        line = _line(raw)
        if line is not None:
            yield number, line


def _line(raw: bytes) -> dict[str, Any] | None:
    if not raw.rstrip().endswith(b"}"):
        return None
    try:
        return parse_object(raw)
    except ValueError:  # it was cut behind a brace
        return None


def _outcome(line: Mapping[str, Any]) -> HostOutcome:
    host = checked_name(text_in(line, "host") or "")
    told, place = text_in(line, "state") or "", text_in(line, "snapshot")
    if told not in {state.value for state in State}:
        raise ValueError(f"{told[:40]!r} is none of the states of a host")
    if place not in (None, snapshot_place(host)):  # it would lead out of the folder, or to another host's
        raise ValueError(f"its snapshot is not {snapshot_place(host)}")
    _check_snapshot(State(told), place is not None)
    return HostOutcome(
        host, State(told), moment_in(line, "at"), with_end(text_in(line, "detail") or "", LONGEST_DETAIL), place
    )


def _check_snapshot(state: State, has_snapshot: bool) -> None:
    if (state is State.REPORTED) != has_snapshot:
        raise ValueError("a host that has reported has a snapshot, and another one has none")


def checked_name(host: str) -> str:
    """Returns a host's name. Raises ValueError for one that none can have."""
    if not host or len(host) > LONGEST_NAME or not host.isprintable():
        raise ValueError(f"{host[:40]!r} is no name of a host")
    return host
