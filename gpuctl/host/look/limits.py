"""The limits that the system sets gpuctl itself: reaching one says nothing of what was looked at, and is no bug."""

from __future__ import annotations

import errno
from typing import Optional

NO_THREAD = "the system lets gpuctl start no more threads"
_REACHED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


def limit_reached(error: BaseException) -> Optional[str]:
    """Returns, in words, which limit an error is about; None where it is about something else."""
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return NO_THREAD
    return error.strerror if isinstance(error, OSError) and error.errno in _REACHED else None
