"""What gpuctl notes for its own next run. Losing it costs time only, so no failure here is an error.

A note is believed only where nobody else can have written it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Iterator, List

from gpuctl.host.places import caches

_FILE = "verified-tables"
_KEPT = 16
_LIMIT = 4096
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def noted(digest: str) -> bool:
    """Returns whether this user, or root, has noted that tables of this digest were verified."""
    return any(digest in _noted_in(folder, owner) for folder, owner in caches())


def note(digest: str) -> None:
    """Notes that tables of this digest were verified, for this user; where root does, for all."""
    from gpuctl.host.write.files import FileProblem
    from gpuctl.host.write.publish import create_public

    folder, owner = caches()[0]
    with contextlib.suppress(OSError, FileProblem):
        if owner == 0:
            create_public(folder)
        os.makedirs(folder, mode=0o755, exist_ok=True)  # an umask of 002 would let the group write
        with _opened(folder, owner) as directory:
            there = _lines(directory, owner)
            if digest in there:
                return
            new = "%s.%d" % (_FILE, os.getpid())
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=directory)
            with open(descriptor, "w", encoding="ascii") as file:
                os.fchmod(descriptor, 0o644)
                file.write("\n".join([*there, digest][-_KEPT:]) + "\n")
            os.rename(new, _FILE, src_dir_fd=directory, dst_dir_fd=directory)


def _noted_in(folder: str, owner: int) -> List[str]:
    with contextlib.suppress(OSError), _opened(folder, owner) as directory:
        return _lines(directory, owner)
    return []


@contextlib.contextmanager
def _opened(folder: str, owner: int) -> Iterator[int]:
    """Hands out a folder that only its owner can write to. Raises OSError for any other."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_owner(directory, owner)
        yield directory
    finally:
        os.close(directory)


def _lines(directory: int, owner: int) -> List[str]:
    try:
        descriptor = os.open(_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return []
    with open(descriptor, "rb") as file:
        _check_owner(descriptor, owner)
        return file.read(_LIMIT).decode("ascii", "replace").split()


def _check_owner(descriptor: int, owner: int) -> None:
    seen = os.fstat(descriptor)
    if seen.st_uid != owner or seen.st_mode & _OTHERS_WRITE or stat.S_ISFIFO(seen.st_mode):
        raise PermissionError(errno.EPERM, "others may have written it")
