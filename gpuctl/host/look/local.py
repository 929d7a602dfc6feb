"""The machine that gpuctl runs on."""

from __future__ import annotations

import errno
import json
import os
import shlex
import stat
import sys
import time
from dataclasses import replace
from functools import lru_cache, partial
from typing import Callable, Dict, List, Mapping, Optional, Sequence

from gpuctl.bounds import TEXT_LIMIT, unpacked, whole
from gpuctl.host.look.deadline import DeadlineExceeded, within
from gpuctl.host.look.programs import failed_look, run_program
from gpuctl.host.look.reading import NO_SOCKET, Outcome, Reading, http_source
from gpuctl.host.machine_id import known_as
from gpuctl.host.trust import Distrusted, distrusted, opened

FILE_DEADLINE = 3.0
_CLOCK_TRIES = 5
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_TYPES = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "dir"),
    (stat.S_ISCHR, "char"),
    (stat.S_ISBLK, "block"),
    (stat.S_ISSOCK, "socket"),
)
# The parent's import path is handed over by hand: -I keeps the current directory, which anybody may have
# written to, out of a process that may run as root. What -S leaves out has made that path already.
# A third of its time would go by for looking for circles in nvidia-ml-py's many classes, and for taking them apart.
_NVML_CHILD = (
    "import gc, os, sys; gc.disable(); sys.path[:] = sys.argv[1:];"
    "from gpuctl.host.look.nvml import main; main(); os._exit(0)"
)

MACHINE_ID = "/etc/machine-id"
UNIX = "unix://"


class LocalHost:
    """Reads this machine, each look under a deadline."""

    def read(self, path: str) -> Reading:
        return _look(path, lambda: _read_text(path))

    def read_all(self, paths: Sequence[str]) -> List[Reading]:
        found: List[Reading] = []

        def read() -> str:
            found.extend(_reading(path, partial(_read_text, path)) for path in paths)
            return ""

        end = _look("", read)
        seen = found[:]  # whom the deadline has cut off may still go on
        return seen + [replace(end, source=path) for path in paths[len(seen) :]]

    def list(self, path: str) -> Reading:
        return _look(path, lambda: "\n".join(sorted(os.listdir(path))))

    def link(self, path: str) -> Reading:
        return _look(path, lambda: os.readlink(path))

    def stat(self, path: str) -> Reading:
        return _look(path, lambda: _stat_json(path))

    def which(self, name: str) -> Reading:
        places = [name] if "/" in name else [os.path.join(folder, name) for folder in search_path().split(os.pathsep)]
        doubts = {place: distrusted(place) for place in places if _is_program(place)}
        found = next((place for place, doubt in doubts.items() if not doubt), None)
        if found:
            return Reading(name, Outcome.OK, found)
        doubt = next(iter(doubts.values()), "")
        return Reading(name, Outcome.ERROR if doubt else Outcome.ABSENT, detail=doubt or "not on PATH")

    def run(self, argv: Sequence[str], deadline: float = 5.0, stdin: str = "", most: int = TEXT_LIMIT) -> Reading:
        source = shlex.join(argv)
        program = self.which(argv[0])
        if program.outcome is Outcome.ABSENT:
            return Reading(source, Outcome.ABSENT, detail="%s is not on PATH" % argv[0])
        if not program.ok:
            return Reading(source, program.outcome, detail=program.detail)
        return run_program(source, [program.text, *argv[1:]], child_environment(), deadline, stdin, most)

    def get(self, endpoint: str, path: str, deadline: float = 5.0) -> Reading:
        if endpoint.startswith(UNIX):
            there = self.stat(endpoint[len(UNIX) :])
            if there.detail == os.strerror(errno.ENOENT):  # what speaks to sockets takes longer to load than to look
                return Reading(http_source(endpoint, path), Outcome.ABSENT, detail=NO_SOCKET)
        from gpuctl.host.look.http import get

        return get(endpoint, path, deadline)

    def call(
        self, endpoint: str, method: str, message: str = "", namespace: str = "", deadline: float = 5.0
    ) -> Reading:
        from gpuctl.host.look.grpc import call

        return call(endpoint, method, message, namespace, deadline)

    def peer(self, endpoint: str) -> Reading:
        from gpuctl.host.look.unix import peer

        return _look("peer of " + endpoint, lambda: str(peer(endpoint[len(UNIX) :], FILE_DEADLINE)))

    def nvml(self, deadline: float = 8.0) -> Reading:
        return ask_nvml(child_environment(), deadline)

    def env(self, name: str) -> Reading:
        ours: Dict[str, Callable[[], Optional[str]]] = {
            "euid": lambda: str(os.geteuid()),
            "booted": lambda: "%.6f" % _boot_time(),
            "machine_id": lambda: known_as(self.read(MACHINE_ID).text),
        }
        value = ours[name]() if name in ours else os.environ.get(name)
        return Reading("$" + name, Outcome.ABSENT) if value is None else Reading("$" + name, Outcome.OK, value)


def ask_nvml(environment: Mapping[str, str], deadline: float) -> Reading:
    """Returns what NVML says to a Python of its own, in this environment."""
    argv = [sys.executable, "-I", "-S", "-c", _NVML_CHILD, *map(os.path.abspath, sys.path)]
    return run_program("NVML", argv, environment, deadline)


def _boot_time() -> float:
    """The two clocks are read together: of some tries the one counts in which least time went by between them."""
    tries = [
        (time.clock_gettime(time.CLOCK_BOOTTIME), time.time(), time.clock_gettime(time.CLOCK_BOOTTIME))
        for _ in range(_CLOCK_TRIES)
    ]
    before, now, after = min(tries, key=lambda clocks: clocks[2] - clocks[0])
    return now - (before + after) / 2


def search_path() -> str:
    """PATH with the sbin directories behind it: a plain user's PATH lacks dockerd and modinfo on Debian."""
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join([part for part in path if part] + [part for part in _SBIN if part not in path])


def child_environment() -> Dict[str, str]:
    """The environment of every command that gpuctl starts: untranslated output, full PATH.

    Of PATH only what gpuctl goes by itself: what it starts looks there for further programs.
    """
    return {**os.environ, "PATH": _trusted_path(search_path()), "LC_ALL": "C"}


@lru_cache(maxsize=1)
def _trusted_path(path: str) -> str:
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if os.path.isabs(folder) and _is_trusted(folder))


def _is_trusted(folder: str) -> bool:
    try:
        return not distrusted(folder)
    except OSError:  # one that may not be entered, or that links lead round to: no program is found in it
        return False


def _look(source: str, work: Callable[[], str]) -> Reading:
    return _reading(source, lambda: within(FILE_DEADLINE, work))


def _reading(source: str, work: Callable[[], str]) -> Reading:
    try:
        return Reading(source, Outcome.OK, work())
    except DeadlineExceeded as error:
        return Reading(source, Outcome.TIMEOUT, detail=str(error))
    except Distrusted as error:
        return Reading(source, Outcome.ERROR, detail=str(error))
    except OSError as error:
        return Reading(source, failed_look(error), detail=error.strerror or str(error))
    except ValueError as error:  # no file can have such a name: it holds a NUL, or half a character
        return Reading(source, Outcome.ABSENT, detail=str(error))


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _read_text(path: str) -> str:
    descriptor = opened(path)
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        raw = whole(file.read, TEXT_LIMIT)
    return (unpacked(raw, TEXT_LIMIT) if path.endswith(".gz") else raw).decode("utf-8", "replace")


def _stat_json(path: str) -> str:
    seen = os.stat(path)
    kind = next((name for test, name in _TYPES if test(seen.st_mode)), "other")
    return json.dumps(
        {
            "type": kind,
            "mode": stat.S_IMODE(seen.st_mode),
            "uid": seen.st_uid,
            "gid": seen.st_gid,
            "major": os.major(seen.st_rdev),
            "minor": os.minor(seen.st_rdev),
            "mtime": seen.st_mtime,
            "ctime": seen.st_ctime,
        }
    )
