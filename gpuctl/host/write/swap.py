"""A file comes into its place only where the one that was seen is still there: an edit made between is not lost.

rename(2) replaces whatever is there by then. renameat2(2) can exchange two files in one step instead, so that what came
out can be looked at, and put back; glibc has it from 2.28 on, and not every file system carries it out. Who reads the
file in the moment between sees the new one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from typing import Optional, Tuple

from gpuctl.host.write.files import FileState, state

_HERE = -100  # AT_FDCWD
_NOREPLACE, _EXCHANGE = 1, 2
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS)
_Known = Tuple[Optional[bytes], Tuple[int, ...]]
_LIBC = ctypes.CDLL(None, use_errno=True)


def into_place(new: str, seen: FileState) -> bool:
    """Returns whether a new file took the place of the one that was seen, which is gone then.

    Where that is no longer the one in the place, what others made of it stays there, and the new file where it was.
    Raises OSError, with the same effect. Where this system cannot exchange files, it replaces what is there.
    """
    try:
        if seen.raw is None:
            return _created(new, seen.path)
        return _exchanged(new, seen)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        os.rename(new, seen.path)
        return True


def _created(new: str, real: str) -> bool:
    try:
        _rename(new, real, _NOREPLACE)
    except FileExistsError:
        return False
    return True


def _exchanged(new: str, seen: FileState) -> bool:
    put, expected = _known(state(new)), _known(seen)
    try:
        _rename(new, seen.path, _EXCHANGE)
    except FileNotFoundError:  # somebody removed it
        return False
    try:
        out = _known(state(new))
    except OSError:
        _rename(new, seen.path, _EXCHANGE)
        raise
    if out == expected:
        with contextlib.suppress(OSError):  # it is done: the next change of the file removes it
            os.unlink(new)
        return True
    _put_newest_back(new, seen.path, put, out)
    return False


def _put_newest_back(new: str, real: str, put: _Known, out: _Known) -> None:
    """`out` came out when `put` came into the place. Each time a still later edit may come out instead of `put`."""
    while True:
        _rename(new, real, _EXCHANGE)
        came = _known(state(new))
        if came == put:
            return
        put, out = out, came


def _known(one: FileState) -> _Known:
    """What makes a file that file under each name: a rename changes the time of its last change."""
    return one.raw, (one.identity or ())[:-1]


def _rename(one: str, other: str, flags: int) -> None:
    renameat2 = getattr(_LIBC, "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), flags):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
