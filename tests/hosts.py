"""Machines written by hand, for tests: say what is there, and everything else is absent."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from gpuctl.facts.containerd.daemon import STATUS
from gpuctl.host.look.reading import Outcome, Reading
from gpuctl.host.record.snapshot import SnapshotHost, key
from gpuctl.model import Remedy

Answer = str | Reading
BOOTED = 1_700_000_000.0
PCI = "/sys/bus/pci/devices"
NO_NVML = ({"error": "NVML Shared Library Not Found", "code": 12},)


def shown(remedy: Remedy | None) -> tuple[str, ...]:
    """A remedy's commands as they are shown."""
    return tuple(map(str, remedy.commands)) if remedy else ()


def denied(detail: str = "Permission denied") -> Reading:
    """A look that was refused."""
    return Reading("", Outcome.DENIED, detail=detail)


def absent() -> Reading:
    """Nothing is there, where the builder would have something by default."""
    return Reading("", Outcome.ABSENT, detail="No such file or directory")


def hung(seconds: float = 5.0, text: str = "") -> Reading:
    """A look that did not end in time; `text` is what had come by then."""
    return Reading("", Outcome.TIMEOUT, text, detail=f"no answer within {seconds:g} s")


def broken(detail: str) -> Reading:
    """A look that failed otherwise, like "Connection refused"."""
    return Reading("", Outcome.ERROR, detail=detail)


def failed(code: int, stderr: str = "", stdout: str = "") -> Reading:
    """A command that ended with an exit status other than 0, or a request with another HTTP status than 200."""
    return Reading("", Outcome.OK, stdout, code, stderr)


def host(
    *,
    files: Mapping[str, Answer] = {},
    links: Mapping[str, Answer] = {},
    lists: Mapping[str, Answer | Sequence[str]] = {},
    stats: Mapping[str, Reading | Mapping[str, Any]] = {},
    commands: Mapping[str, Answer] = {},
    which: Mapping[str, str] = {},
    sockets: Mapping[str, Reading | Mapping[str, Any]] = {},
    calls: Mapping[str, Answer] = {},
    peers: Mapping[str, int | Reading] = {},
    nvml: Reading | Sequence[Mapping[str, Any]] = NO_NVML,
    env: Mapping[str, str] = {},
) -> SnapshotHost:
    """Returns a machine that has what is given and nothing else: a mounted /proc and /sys, no module, no PCI device.

    Where a text is expected, `denied()` and the like fit.

    `lists` is only for directories that are empty or cannot be read: the others follow from the paths given.
    `stats` are partial: {"type": "char", "major": 195}; a file or directory that is given anyway needs none.
    `commands` are keyed by the command line as typed; a program with a canned command is on PATH in /usr/bin.
    `sockets` maps endpoints (unix:///var/run/docker.sock) to {request path: body as text or as JSON value}, or to
    what every request meets. `calls` are those over gRPC, of which `cri` makes some. `peers` are the process ids
    behind sockets. `nvml` are its lines. `env` has euid 0.

    It booted at the second BOOTED, so that a process whose /proc/PID/stat has 1503 ticks started 15.03 s later. A
    process is root's unless its /proc/PID/status says otherwise.
    """
    files = {**_of_root(files), **files}
    readings = _Readings()
    programs = {_words(line)[0]: "/usr/bin/" + _words(line)[0] for line in commands} | dict(which)
    unix = [endpoint.removeprefix("unix://") for endpoint in sockets if endpoint.startswith("unix://")]
    readings.add("list", PCI, "")
    readings.add("nvml", "NVML", nvml if isinstance(nvml, Reading) else _json_lines(nvml))
    readings.add_all("read", {"/proc/modules": "", **files})
    readings.add_all("link", links)
    readings.add_all("run", {shlex.join(_words(line)): answer for line, answer in commands.items()})
    readings.add_all("which", programs)
    readings.add_all("get", _requests(sockets))
    readings.add_all("call", calls)
    readings.add_all("peer", {f"peer of {endpoint}": _peer(pid) for endpoint, pid in peers.items()})
    readings.add_all("env", {"$" + name: value for name, value in {"euid": "0", "booted": str(BOOTED), **env}.items()})
    _add_tree(readings, [PCI, "/proc/modules", *files, *links, *stats, *lists, *programs.values(), *unix])
    readings.add_all("stat", dict.fromkeys(unix, _stat(type="socket", mode=0o660)))
    readings.add_all("stat", dict.fromkeys(programs.values(), _stat(mode=0o755)))
    readings.add_all("stat", {p: seen if isinstance(seen, Reading) else _stat(**seen) for p, seen in stats.items()})
    readings.add_all("list", {p: names if isinstance(names, Answer) else _lines(names) for p, names in lists.items()})
    return SnapshotHost(readings)


def cri(socket: str, runtimes: Mapping[str, str], default: str = "runc") -> dict[str, Answer]:
    """What containerd's CRI answers at that socket of the runtimes that it has, name to program."""
    entries = {name: {"options": {"BinaryName": program}} for name, program in runtimes.items()}
    config = json.dumps({"containerd": {"defaultRuntimeName": default, "runtimes": entries}})
    info = _field(1, "config") + _field(2, config)
    return {f"{STATUS[0]} (unix://{socket})": _field(2, info)}


def _field(number: int, text: str) -> str:
    """A field of Protocol Buffers that holds bytes, each of which is the character of its number."""
    size, octets = len(text), ""
    while size > 127:
        octets, size = octets + chr(128 | size & 127), size >> 7
    return f"{chr(number << 3 | 2)}{octets}{chr(size)}{text}"


class _Readings(dict[str, Reading]):
    """What was not added is absent, where a real snapshot would say that it was not looked at."""

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else Reading(name.partition(":")[2], Outcome.ABSENT, detail="not there")

    def add(self, kind: str, source: str, answer: Answer) -> None:
        is_told = isinstance(answer, Reading)
        self[key(kind, source)] = replace(answer, source=source) if is_told else Reading(source, Outcome.OK, answer)

    def add_all(self, kind: str, answers: Mapping[str, Answer]) -> None:
        for source, answer in answers.items():
            self.add(kind, source, answer)


def _peer(pid: int | Reading) -> Answer:
    return pid if isinstance(pid, Reading) else str(pid)


def _lines(names: Sequence[str]) -> str:
    return "\n".join(sorted(names))


def _json_lines(lines: Sequence[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def _requests(sockets: Mapping[str, Reading | Mapping[str, Any]]) -> dict[str, Answer]:
    requests: dict[str, Answer] = {}
    for endpoint, answers in sockets.items():
        if isinstance(answers, Reading):
            answers = dict.fromkeys(("/version", "/info", "/images/json"), answers)
        for path, answer in answers.items():
            requests[f"GET {path} ({endpoint})"] = answer if isinstance(answer, Answer) else json.dumps(answer)
    return requests


def _of_root(files: Mapping[str, Answer]) -> dict[str, Answer]:
    processes = [path.rpartition("/")[0] for path in files if path.startswith("/proc/") and path.endswith("/cmdline")]
    return {f"{process}/status": "Uid:\t0\t0\t0\t0\n" for process in processes}


def _add_tree(readings: _Readings, paths: Sequence[str]) -> None:
    children: dict[str, set[str]] = {}
    for path in paths:
        for folder, name in _way_to(path):
            children.setdefault(folder, set()).add(name)
    for path in paths:
        readings.add("stat", path, _stat())
    for folder, names in children.items():
        readings.add("list", folder, "\n".join(sorted(names)))
        readings.add("stat", folder, _stat(type="dir", mode=0o755))


@cache
def _words(line: str) -> list[str]:
    return shlex.split(line)


@cache
def _way_to(path: str) -> list[tuple[str, str]]:
    """The folders above it, each with the name that is in it on the way."""
    return [(str(below.parent), below.name) for below in [PurePosixPath(path), *PurePosixPath(path).parents][:-1]]


@cache
def _stat(**seen: Any) -> str:
    usual = {"type": "file", "mode": 0o644, "uid": 0, "gid": 0, "major": 0, "minor": 0, "mtime": 0.0, "ctime": 0.0}
    return json.dumps(usual | seen)
