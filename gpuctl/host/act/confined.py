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

from gpuctl.host.act.signals import ENDING

SECONDS = 4
"""Of processor time. An ordinary snapshot takes a tenth of it."""
MEMORY = 256 << 20
"""Bytes that may be written to. An ordinary snapshot takes a third of it, most for the threads' stacks."""
STACK = 1 << 20
"""Bytes of a thread's stack: of the system's usual eight, forty threads would take all."""
_BY_SIGNAL = 128


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
