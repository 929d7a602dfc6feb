"""Work in threads: begun side by side, and cut off when it does not come back.

A blocked system call cannot be interrupted, only left behind.
"""

from __future__ import annotations

import errno
import threading
from functools import lru_cache
from typing import Callable, List, Optional, TypeVar

from gpuctl.host.limits import NO_THREAD

T = TypeVar("T")


class DeadlineExceeded(Exception):
    """The work did not end in time; its thread is left behind as a daemon and ends with the process."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """Returns what `work` returns, raises what it raises, or DeadlineExceeded after `seconds`.

    Raises OSError where there can be no more threads: without one nothing is cut off.
    """
    return _begin(work)(seconds)


def begin(work: Callable[[], T]) -> Callable[[], T]:
    """Begins `work` in a thread. Returns a function that waits for its end, and returns or raises what it did.

    Where there can be no more threads, the work is done when it is waited for.
    """
    try:
        wait = _begin(work)
    except OSError:
        return lru_cache(maxsize=None)(work)
    return lambda: wait(None)


def _begin(work: Callable[[], T]) -> Callable[[Optional[float]], T]:
    results: List[T] = []
    errors: List[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed to whoever waits, whatever it is
            errors.append(error)

    thread = threading.Thread(target=body, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        raise OSError(errno.EAGAIN, NO_THREAD) from None

    def wait(seconds: Optional[float]) -> T:
        thread.join(seconds)
        if errors:
            raise errors[0]
        if not results:
            raise DeadlineExceeded("no answer within %g s" % (seconds or 0))
        return results[0]

    return wait
