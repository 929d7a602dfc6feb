"""Work in threads: begun side by side, and cut off when it does not come back.

A blocked system call cannot be interrupted, only left behind.
"""

from __future__ import annotations

import _thread
import errno
import os
from contextlib import suppress
from typing import Callable, List, Optional, Tuple, TypeVar

from gpuctl.host.look.limits import NO_THREAD

T = TypeVar("T")


class DeadlineExceeded(Exception):
    """The work did not end in time; its thread is left behind and ends with the process."""


_ONE_THREAD: List[bool] = []


def keep_to_one_thread() -> None:
    """Has all further work of this process done where it is begun, one after another, without a deadline.

    For a process that looks at recorded hosts only, and is itself ended from outside: nothing blocks there, and threads
    take longer than the work.
    """
    _ONE_THREAD.append(True)


def within(seconds: float, work: Callable[[], T]) -> T:
    """Returns what `work` returns, raises what it raises, or DeadlineExceeded after `seconds`.

    Raises OSError where there can be no more threads: without one nothing is cut off.
    """
    return start(work)(seconds)


def begin(work: Callable[[], T]) -> Callable[[], T]:
    """Begins `work` in a thread. Returns a function that waits for its end, and returns or raises what it did."""
    wait = start(work)
    return lambda: wait(None)


def start(work: Callable[[], T]) -> Callable[[Optional[float]], T]:
    """Begins `work` in a thread. Returns what `within` is to the seconds that it is then given, None for no end."""
    if _ONE_THREAD:
        return _done(work)
    results: List[T] = []
    errors: List[BaseException] = []
    ended = _thread.allocate_lock()

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed to whoever waits, whatever it is
            errors.append(error)

    def wait(seconds: Optional[float]) -> T:
        if ended.acquire(timeout=-1 if seconds is None else min(seconds, _thread.TIMEOUT_MAX)):
            ended.release()
        if errors:
            raise errors[0]
        if not results:
            raise DeadlineExceeded("no answer within %g s" % (seconds or 0))
        return results[0]

    ended.acquire()
    try:
        _worker().do(body, ended)
    except RuntimeError:
        errors.append(OSError(errno.EAGAIN, NO_THREAD))
        ended.release()
    return wait


def _done(work: Callable[[], T]) -> Callable[[Optional[float]], T]:
    try:
        result = work()
    except Exception as error:
        failure = error

        def fail(seconds: Optional[float]) -> T:
            raise failure

        return fail
    return lambda seconds: result


def _worker() -> _Worker:
    """An idle one, else a new one. Raises RuntimeError."""
    with suppress(IndexError):  # of two that look for the last idle one at once
        return _idle.pop()
    return _Worker()


class _Worker:
    """A thread that does one thing after another, and waits among the idle ones in between.

    A look at the host takes a few microseconds, and a new thread for it a hundred. One that does not come back is not
    among the idle any more.
    """

    def __init__(self) -> None:
        """Raises RuntimeError where there can be no more threads."""
        self._told = _thread.allocate_lock()
        self._told.acquire()
        self._next: List[Tuple[Callable[[], None], _thread.LockType]] = []
        # Not threading's: that waits for the thread to say that it runs, which one without memory never does.
        _thread.start_new_thread(self._run, ())

    def do(self, work: Callable[[], None], ended: _thread.LockType) -> None:
        """Has it do something that raises nothing, and release a lock when that is done."""
        self._next.append((work, ended))
        self._told.release()

    def _run(self) -> None:
        stays = True
        while stays:
            self._told.acquire()
            work, ended = self._next.pop()
            work()
            del work  # and what it holds
            stays = len(_idle) < _MOST_IDLE
            if stays:
                _idle.append(self)
            ended.release()


_MOST_IDLE = 32
_idle: List[_Worker] = []
os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads
