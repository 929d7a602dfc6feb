"""Work on what strangers wrote, in a process of its own, which has little time and memory and can always be ended.

A thread that is busy in Python's own code, with a text made for it, hears no signal and no deadline.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from typing import BinaryIO, Callable, Iterator, Sequence, Tuple, TypeVar, Union

from gpuctl.bounds import amount
from gpuctl.host.act.signals import ENDING
from gpuctl.host.look.deadline import keep_to_one_thread

T = TypeVar("T")

SECONDS = 4
"""Of processor time. An ordinary snapshot takes a tenth of it."""
MEMORY = 256 << 20
"""Bytes that may be written to. An ordinary snapshot takes a third of it, most for the threads' stacks."""
STACK = 1 << 20
"""Bytes of a thread's stack: of the system's usual eight, forty threads would take all."""
ANSWER = 4 << 20
"""Bytes of what the work on one thing comes to."""
_SIZE = 4
"""Bytes in which an answer says how long it is."""


class Exceeded(Exception):
    """The work was given up; the message is a clause that says why."""


@lru_cache(maxsize=None)
def confine() -> None:
    """Goes on in a child process of little time and memory. This one waits, and ends as the child does.

    What ends this process from outside ends the child at once. Raises Exceeded, here, where the child took too much.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    child = os.fork()
    if child == 0:
        _limit()
        return
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status))
    raise Exceeded(_reason(os.WTERMSIG(status)))


def each_confined(things: Sequence[T], work: Callable[[T], bytes]) -> Iterator[Tuple[T, Union[bytes, Exceeded]]]:
    """Yields each thing with what the work on it comes to, or why it was given up; the others go on.

    The work is done in a child process, one thing after another, each in SECONDS. That of which the child dies is tried
    again by a child that has done nothing else: a machine that stood still for seconds has them counted as work. Then
    it is given up. Call it where no other thread runs. The work must not raise.
    """
    done, tried = 0, -1
    while done < len(things):
        child, answers = _begun(things[done:], work)
        status = 0
        try:
            for answer in answers:
                yield things[done], answer
                done += 1
        finally:
            answers.close()
            status = _ended(child)
        if done < len(things) and tried < done:
            tried = done
        elif done < len(things):
            yield things[done], Exceeded(answers.why or _reason_of(status))
            done += 1


def _begun(things: Sequence[T], work: Callable[[T], bytes]) -> Tuple[int, _Answers]:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, _Answers(open(reading, "rb"))  # closed where all have been read
    try:
        os.close(reading)
        _limit()
        keep_to_one_thread()
        with open(writing, "wb") as file:
            for thing in things:
                _limit_seconds()
                answer = work(thing)
                file.write(len(answer).to_bytes(_SIZE, "big") + answer)
                file.flush()
        os._exit(0)
    except BrokenPipeError:  # nobody listens any more
        os._exit(0)
    finally:
        os._exit(1)


class _Answers:
    """What a child writes, an answer at a time, until it ends or says too much; then `why` says so."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.why = file, ""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            head = self._file.read(_SIZE)
            size = int.from_bytes(head, "big")
            if size > ANSWER:
                self.why = "what is said of it is longer than %s" % amount(ANSWER)
            answer = self._file.read(size) if len(head) == _SIZE and not self.why else b""
            if len(answer) != size or not head:
                return
            yield answer

    def close(self) -> None:
        self._file.close()


def _ended(child: int) -> int:
    """How a child ended, which is ended where it still runs."""
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        return status
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _reason_of(status: int) -> str:
    if os.WIFSIGNALED(status):
        return _reason(os.WTERMSIG(status))
    return "what reads it failed"


def _limit_seconds() -> None:
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    limit = int(used) + 1 + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _limit() -> None:
    for number in ENDING:  # the one who waits is told, and ends us
        signal.signal(number, signal.SIG_IGN)
    threading.stack_size(STACK)
    for what, limit in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_DATA, MEMORY), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _reason(number: int) -> str:
    if number == signal.SIGXCPU:
        return "it takes more than %d seconds of processor time" % SECONDS
    return "what reads it was ended by signal %d" % number
