"""Snapshots that came by srun, a job or a stick, as a run of their own; runs of parts of a fleet as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any

from gpuctl.bounds import plain
from gpuctl.facts.collect import HOST_NAMES
from gpuctl.fleet.identity import ALSO
from gpuctl.fleet.judge import heard, words
from gpuctl.fleet.run_folder import (
    LONGEST_NAME,
    SCHEMA,
    WHOSE,
    BadRun,
    HostOutcome,
    RecordedRun,
    Run,
    State,
    add_host,
    create_run,
    is_run,
    read_run,
)
from gpuctl.frozen import dataclass
from gpuctl.host.act.confined import each_confined
from gpuctl.host.look.tree import is_folder, look_at_tree
from gpuctl.host.record.archive import decode
from gpuctl.host.write.files import is_stream, read_named

QUESTION = "merge"
SUFFIXES = (".jsonl.gz", ".jsonl")
"""How `gpuctl collect` and people call snapshots; in a folder, other files are none."""


class NothingToMerge(ValueError):
    """What was named holds no snapshot and no run; the message is a sentence that says what it holds instead."""


@dataclass(frozen=True)
class Brought:
    """A file that was brought, whose it says to be, and when it was recorded (seconds since the epoch).

    `broken` is why it is no snapshot; it is named after its file then.
    """

    path: str
    name: str
    machine: str = ""
    at: float = 0.0
    broken: str = ""


@dataclass(frozen=True)
class Merged:
    """What a run is to be made of: files by the names of their hosts, and outcomes of other runs.

    `older` are files of hosts of which a newer one was brought. `streams` is what came of those that are read once.
    """

    files: tuple[Brought, ...]
    outcomes: tuple[tuple[RecordedRun, HostOutcome], ...]
    older: tuple[str, ...]
    streams: Mapping[str, bytes]

    def raw(self, path: str) -> bytes:
        """Returns what is in one of the files. Raises FileProblem."""
        return self.streams[path] if path in self.streams else read_named(path)


def look_through(paths: Sequence[str]) -> Merged:
    """Returns what lies at paths: snapshots, folders of such, and folders of runs.

    Raises NothingToMerge, and FileProblem for what cannot be read. Call it where no other thread runs.
    """
    runs = [_run(path) for path in paths if is_run(path)]
    files = [file for path in paths if not is_run(path) for file in _files(path)]
    streams = {path: read_named(path) for path in files if is_stream(path)}
    brought = list(_identified(dict.fromkeys(files), streams))
    if brought and not runs and all(one.broken for one in brought):
        raise NothingToMerge(f"{brought[0].path} is no snapshot that gpuctl can read: {brought[0].broken}.")
    outcomes = [(run, outcome) for run in runs for outcome in run.outcomes.values()]
    newest, older = _newest(brought)
    named = _named(newest, {outcome.host for _, outcome in outcomes})
    return Merged(tuple(named), tuple(outcomes), tuple(older), streams)


def write_run(folder: str, merged: Merged, gpuctl: str, at: float) -> None:
    """Makes a run's folder of what was brought; of two outcomes of one host in several runs the later counts.

    Raises FileProblem.
    """
    by_host = {outcome.host: (run, outcome) for run, outcome in sorted(merged.outcomes, key=lambda one: one[1].at)}
    hosts = (*by_host, *(one.name for one in merged.files))
    create_run(folder, Run(gpuctl, at, (QUESTION,), tuple(hosts)))
    for run, outcome in by_host.values():
        add_host(folder, outcome, run.snapshot(outcome) if outcome.state is State.REPORTED else None)
    for one in merged.files:
        if one.broken:
            add_host(
                folder,
                HostOutcome(one.name, State.BROKEN, at, f"{one.path} is no snapshot: {one.broken}."),
            )
        else:
            add_host(folder, HostOutcome(one.name, State.REPORTED, one.at), merged.raw(one.path))


def _run(path: str) -> RecordedRun:
    try:
        return read_run(path)
    except BadRun as problem:
        raise NothingToMerge(f"{path} is no run of {WHOSE[SCHEMA]}: {problem}.") from None


def _files(path: str) -> Iterator[str]:
    if not is_folder(path):
        yield path
        return
    tree = look_at_tree(path)
    found = [f"{path.rstrip('/')}/{file}" for file in tree.files if file.endswith(SUFFIXES)]
    if not found:
        raise NothingToMerge(f"there is no file {' or '.join('*' + one for one in SUFFIXES)} in {path}.")
    yield from found


def _identified(paths: Iterable[str], streams: Mapping[str, bytes]) -> Iterator[Brought]:
    def identity(path: str) -> bytes:
        return words(lambda: _identity(streams[path] if path in streams else read_named(path)))

    for path, answer in each_confined(tuple(paths), identity):
        said = heard(answer)
        stem = _stem(path)
        if "broken" in said:
            yield Brought(path, stem, broken=said["broken"].removesuffix("."))
        else:
            yield Brought(path, said["hostname"] or stem, said["machine"], said["at"])


def _identity(raw: bytes) -> dict[str, Any]:
    snapshot = decode(raw)
    if snapshot.anonymised:
        return {"hostname": "", "machine": "", "at": snapshot.at}
    name = plain(snapshot.host.read(HOST_NAMES[0]).text.strip())[:LONGEST_NAME]
    return {"hostname": name, "machine": snapshot.host.env("machine_id").text[:LONGEST_NAME], "at": snapshot.at}


def _stem(path: str) -> str:
    name = path.rstrip("/").rpartition("/")[2]
    stem = next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)
    return plain(stem)[:LONGEST_NAME] or "-"


def _newest(brought: Iterable[Brought]) -> tuple[list[Brought], list[str]]:
    """Of several snapshots of one machine under one name the newest, and the files of the others."""
    newest: dict[tuple[str, ...], Brought] = {}
    older = []
    for one in brought:
        key = (one.name, one.machine) if one.machine else (one.path,)
        other = newest.get(key)
        if other is not None:
            older.append(min(one, other, key=lambda each: each.at).path)
        newest[key] = one if other is None or one.at >= other.at else other
    return list(newest.values()), older


def _named(brought: Iterable[Brought], taken: set[str]) -> Iterator[Brought]:
    """Each under a name of its own: of a second machine of one name, its file's is added, or a number."""
    for one in brought:
        second = f"{one.name[:100]}{ALSO}{_stem(one.path)[:100]}"
        numbered = (f"{second}.{number}" for number in count(2))
        name = next(choice for choice in chain((one.name, second), numbered) if choice not in taken)
        taken.add(name)
        yield Brought(one.path, name, one.machine, one.at, one.broken)
