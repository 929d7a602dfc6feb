"""The machine that gpuctl runs on."""

from __future__ import annotations

import atexit
import errno
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
import zlib
from contextlib import suppress
from itertools import islice
from typing import Callable, Dict, Sequence, Set

from gpuctl.host.deadline import DeadlineExceeded, within
from gpuctl.host.reading import Outcome, Reading
from gpuctl.host.signals import ignore_endings
from gpuctl.host.trust import Distrusted, check, distrusted

FILE_DEADLINE = 3.0
TEXT_LIMIT = 4 << 20
"""Bytes. What is longer is no answer: a piece of it would be read as the whole."""
_PIECE = 1 << 16
_CLOCK_TRIES = 5
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV)
_TYPES = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "dir"),
    (stat.S_ISCHR, "char"),
    (stat.S_ISBLK, "block"),
    (stat.S_ISSOCK, "socket"),
)
# The parent's import path is handed over by hand: -I keeps the current directory, which anybody may have
# written to, out of a process that may run as root.
_NVML_CHILD = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from gpuctl.host.nvml import main; main()"


class LocalHost:
    """Reads this machine, each look under a deadline."""

    def read(self, path: str) -> Reading:
        return _look(path, lambda: _read_text(path))

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

    def run(self, argv: Sequence[str], deadline: float = 5.0, stdin: str = "") -> Reading:
        source = shlex.join(argv)
        program = self.which(argv[0])
        if program.outcome is Outcome.ABSENT:
            return Reading(source, Outcome.ABSENT, detail="%s is not on PATH" % argv[0])
        if not program.ok:
            return Reading(source, program.outcome, detail=program.detail)
        return _run(source, [program.text, *argv[1:]], deadline, stdin)

    def get(self, endpoint: str, path: str, deadline: float = 5.0) -> Reading:
        from gpuctl.host.http_get import get

        return get(endpoint, path, deadline)

    def call(
        self, endpoint: str, method: str, message: str = "", namespace: str = "", deadline: float = 5.0
    ) -> Reading:
        from gpuctl.host.grpc_call import call

        return call(endpoint, method, message, namespace, deadline)

    def peer(self, endpoint: str) -> Reading:
        from gpuctl.host.unix import peer

        return _look("peer of " + endpoint, lambda: str(peer(endpoint[len("unix://") :], FILE_DEADLINE)))

    def nvml(self, deadline: float = 8.0) -> Reading:
        argv = [sys.executable, "-I", "-c", _NVML_CHILD, json.dumps([os.path.abspath(p) for p in sys.path])]
        return _run("NVML", argv, deadline)

    def env(self, name: str) -> Reading:
        ours = {"euid": lambda: str(os.geteuid()), "booted": lambda: "%.6f" % _boot_time()}
        value = ours[name]() if name in ours else os.environ.get(name)
        return Reading("$" + name, Outcome.ABSENT) if value is None else Reading("$" + name, Outcome.OK, value)


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
    """The environment of every command that gpuctl starts: untranslated output, full PATH."""
    return {**os.environ, "PATH": search_path(), "LC_ALL": "C"}


def _look(source: str, work: Callable[[], str]) -> Reading:
    try:
        return Reading(source, Outcome.OK, within(FILE_DEADLINE, work))
    except DeadlineExceeded as error:
        return Reading(source, Outcome.TIMEOUT, detail=str(error))
    except Distrusted as error:
        return Reading(source, Outcome.ERROR, detail=str(error))
    except OSError as error:
        return Reading(source, _outcome(error), detail=error.strerror or str(error))
    except ValueError as error:  # no file can have such a name: it holds a NUL, or half a character
        return Reading(source, Outcome.ABSENT, detail=str(error))


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _outcome(error: OSError) -> Outcome:
    if error.errno in _ABSENT:
        return Outcome.ABSENT
    return Outcome.DENIED if isinstance(error, PermissionError) else Outcome.ERROR


def _read_text(path: str) -> str:
    check(path)
    # O_NONBLOCK: a FIFO or a device in a file's place must not hold us.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        # In pieces: /proc/sys refuses a single large read with ENOMEM.
        pieces = iter(lambda: file.read(_PIECE), b"")
        raw = b"".join(islice(pieces, TEXT_LIMIT // _PIECE + 1))
    if len(raw) > TEXT_LIMIT:
        raise OSError(errno.EFBIG, "larger than %d MiB" % (TEXT_LIMIT >> 20))
    return (_unpacked(raw) if path.endswith(".gz") else raw).decode("utf-8", "replace")


def _unpacked(raw: bytes) -> bytes:
    """What gzip packed, up to the limit: a few bytes can hold gigabytes."""
    try:
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)  # 16: with gzip's header
        text = unpack.decompress(raw, TEXT_LIMIT + 1)
    except zlib.error as error:
        raise OSError(errno.EINVAL, "gzip cannot have packed this") from error
    if len(text) > TEXT_LIMIT:
        raise OSError(errno.EFBIG, "larger than %d MiB when unpacked" % (TEXT_LIMIT >> 20))
    if not unpack.eof:
        raise OSError(errno.EINVAL, "it is cut off")
    return text


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


running: Set[int] = set()
"""The process groups of commands that have not ended yet: what gpuctl leaves behind when it ends is killed then."""
_starting = threading.Lock()
"""Held from a command's start until it is in `running`: one that starts while gpuctl ends must not be missed."""
_LAST_START = 2.0
"""Seconds."""


def _run(source: str, argv: Sequence[str], deadline: float, stdin: str = "") -> Reading:
    try:
        with _starting:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=child_environment(),
                start_new_session=True,
            )
            running.add(process.pid)
    except OSError as error:
        return Reading(source, _outcome(error), detail=error.strerror or str(error))
    try:
        out, err = process.communicate(stdin.encode() or None, timeout=deadline)
    except subprocess.TimeoutExpired as error:
        kill_group(process.pid)
        return Reading(source, Outcome.TIMEOUT, _text(error.output), detail="no answer within %g s" % deadline)
    except BaseException:  # a signal, or no memory for what it says: nobody waits for it any more
        kill_group(process.pid)
        raise
    finally:
        running.discard(process.pid)
    if len(out) > TEXT_LIMIT:
        return Reading(source, Outcome.ERROR, detail="it printed more than %d MiB" % (TEXT_LIMIT >> 20))
    return Reading(source, Outcome.OK, _text(out), process.returncode, _text(err))


def kill_group(pid: int) -> None:
    """Kills a command and what it started."""
    # Not waited for: a process that is stuck in the driver cannot die, and must not hold gpuctl.
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


@atexit.register
def _kill_running() -> None:
    ignore_endings()
    _starting.acquire(timeout=_LAST_START)  # for ever: no thread starts anything any more
    for pid in list(running):
        kill_group(pid)


def _text(raw: object) -> str:
    return raw[:TEXT_LIMIT].decode("utf-8", "replace") if isinstance(raw, bytes) else ""
