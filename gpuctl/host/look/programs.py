"""Programs that gpuctl starts: listened to up to a limit, and ended with all that they started."""

from __future__ import annotations

import atexit
import errno
import os
import posixpath
import selectors
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from typing import IO, Any, Iterator, Mapping, Sequence, Set, Tuple

from gpuctl.bounds import ENDLESS, PIECE, TEXT_LIMIT, TooLong, amount
from gpuctl.host.act.signals import ignore_endings
from gpuctl.host.look.reading import Outcome, Reading

LOGS = ("journalctl", "dmesg")
"""Programs of which the end of what they print is an answer by itself."""
PRINTED = "it printed more than"

running: Set[int] = set()
"""The process groups of commands that have not ended yet: what gpuctl leaves behind when it ends is killed then."""
_starting = threading.Lock()
"""Held from a command's start until it is in `running`: one that starts while gpuctl ends must not be missed."""
_LAST_START = 2.0
"""Seconds."""
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV)
LOOK = 0.05
"""Seconds between two looks whether a program has ended whose pipes are still open."""


class _Pipe:
    """What a program says on one of its pipes: at most `kept` bytes, of more the end."""

    def __init__(self, file: IO[bytes], kept: int) -> None:
        self._file, self._kept = file, kept
        self._raw, self._heard = bytearray(), 0

    def fileno(self) -> int:
        return self._file.fileno()

    def take(self, limit: int) -> bool:
        """Takes what has come, and returns whether there may be more. Raises TooLong after `limit` bytes."""
        piece = os.read(self.fileno(), PIECE)
        self._heard += len(piece)
        if self._heard > limit:
            raise TooLong(limit, PRINTED)
        self._raw += piece
        del self._raw[: -self._kept]
        return bool(piece)

    @property
    def cut(self) -> bool:
        return self._heard > self._kept

    @property
    def text(self) -> str:
        """What is kept; of what was cut, from the first whole line on."""
        start = self._raw.find(b"\n") + 1 if self.cut else 0
        return self._raw[start:].decode("utf-8", "replace")


def start(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Starts a program in a session of its own, which is killed when gpuctl ends. Raises OSError, ValueError."""
    with _starting:
        process = subprocess.Popen(argv, start_new_session=True, **options)
        running.add(process.pid)
    return process


def run_program(
    source: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    deadline: float,
    told: str = "",
    most: int = TEXT_LIMIT,
) -> Reading:
    """Returns how a program ended, and what it printed: up to `most` bytes, and of a log's the end.

    `told` is what it reads, at most as much as a pipe holds. It is killed after `deadline` seconds, and when it prints
    more than it may.
    """
    limit = ENDLESS if posixpath.basename(argv[0]) in LOGS else most
    try:
        stdin = subprocess.PIPE if told else subprocess.DEVNULL
        process = start(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    except OSError as error:
        return Reading(source, failed_look(error), detail=error.strerror or str(error))
    out, err = (_Pipe(pipe, most) for pipe in (process.stdout, process.stderr) if pipe)
    try:
        with _listening(process):
            _tell(process, told)
            _listen(process, (out, err), time.monotonic() + deadline, limit)
    except subprocess.TimeoutExpired:
        return Reading(source, Outcome.TIMEOUT, out.text, detail="no answer within %g s" % deadline)
    except TooLong as error:
        return Reading(source, Outcome.ERROR, detail=error.words)
    note = "only the end of it is read: %s %s\n" % (PRINTED, amount(most)) if out.cut else ""
    return Reading(source, Outcome.OK, out.text, process.returncode, note + err.text)


@contextmanager
def _listening(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kills a program to which nobody listens any more, and tells what it started by closing the pipes."""
    try:
        yield
    except BaseException:
        kill_group(process.pid)
        raise
    finally:
        running.discard(process.pid)
        for pipe in filter(None, (process.stdout, process.stderr)):
            pipe.close()


def _tell(process: subprocess.Popen[bytes], told: str) -> None:
    if process.stdin:
        with suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(told.encode())


def _listen(process: subprocess.Popen[bytes], pipes: Tuple[_Pipe, ...], end: float, limit: int) -> None:
    """Until the program has ended and nothing is left in the pipes: a service that it started may hold them open.

    Raises subprocess.TimeoutExpired and TooLong.
    """
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ, pipe)
        while selector.get_map():
            ended = process.poll() is not None
            left = end - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(process.args, 0)
            ready = selector.select(0 if ended else min(left, LOOK))
            if ended and not ready:
                return
            for key, _ in ready:
                if not key.data.take(limit):
                    selector.unregister(key.fileobj)
    process.wait(max(0.0, end - time.monotonic()))


def failed_look(error: OSError) -> Outcome:
    """Returns the outcome of a look that ended with this error."""
    if error.errno in _ABSENT:
        return Outcome.ABSENT
    return Outcome.DENIED if isinstance(error, PermissionError) else Outcome.ERROR


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
