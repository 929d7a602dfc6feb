"""The writing half of the door: having the host to oneself."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from typing import Iterator

from gpuctl.host.places import lock_folder
from gpuctl.host.trust import check
from gpuctl.host.write.files import explained
from gpuctl.host.write.publish import create_public

LOCK_DEADLINE = 60.0
_PAUSE = 0.02


@contextlib.contextmanager
def locked(deadline: float = LOCK_DEADLINE, name: str = "lock") -> Iterator[None]:
    """Keeps all other runs that change this host waiting. Raises FileProblem when one does not end in time.

    `deadline` in seconds; `name`: of the lock, for those that keep out none but their own kind. The lock is a file that
    nobody else may open: whoever may read a file or folder could hold one on that.
    """
    folder = lock_folder()
    create_public(folder)
    with explained("lock", folder):
        check(folder)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(os.path.join(folder, name), flags, 0o600)
    try:
        with explained("lock", folder):
            _lock(descriptor, time.monotonic() + deadline)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked_file(path: str) -> Iterator[None]:
    """Keeps others out that would lock this file of one's own. Raises FileProblem where another one has locked it."""
    with explained("lock", path):
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with explained("lock", path):
            _lock(descriptor, 0.0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, end: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise OSError(errno.EWOULDBLOCK, "another gpuctl holds it") from None
            time.sleep(_PAUSE)
