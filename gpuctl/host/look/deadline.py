"""Work in threads: begun side by side, and cut off when it does not come back.

A blocked system call cannot be interrupted, only left behind.
"""

from __future__ import annotations

import _thread
import errno
from typing import Callable, List, Optional, TypeVar

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
        finally:
            ended.release()

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
        # Not threading's: that waits for the thread to say that it runs, which one without memory never does.
        _thread.start_new_thread(body, ())
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
