"""The writing half of the door, for results: a new file, or another content for one of the person's own."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import Optional

from gpuctl.host.files import FileProblem, explained
from gpuctl.host.replace import NEW_FILE_MODE

__all__ = ["FileProblem", "NoPlaceForFile", "write_whole"]

_PERMISSIONS = 0o777


class NoPlaceForFile(FileProblem):
    """The path cannot name a regular file: it is a directory or a device, or its directory does not exist."""


def write_whole(path: str, raw: bytes, mode: Optional[int] = None, private: bool = False) -> None:
    """Writes a file, as a whole or not at all; one of this user's that is there is replaced and keeps its permissions.

    A new file gets `mode`; None: what the umask leaves of 0644. So does another user's, of which nothing is kept.
    `private`: nobody but its owner may read it, whatever was there.

    Raises NoPlaceForFile or another FileProblem, and leaves what was there untouched.
    """
    real = os.path.realpath(path)
    with explained("write", path):
        kept = _mode(path, real)
        mode = 0o600 if private else mode if kept is None else kept
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        temporary = os.path.join(os.path.dirname(real), ".gpuctl-%s.tmp" % secrets.token_hex(8))
        descriptor = os.open(temporary, flags, 0o600 if private else NEW_FILE_MODE)
        try:
            with open(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                if mode is not None:
                    os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            os.rename(temporary, real)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


def _mode(path: str, real: str) -> Optional[int]:
    """The permissions of the file of ours that is there, None where none is. Raises NoPlaceForFile.

    Never the bits that let others act as its owner (set-user-ID): another content was meant by them.
    """
    if not path or not os.path.isdir(os.path.dirname(real)):
        raise NoPlaceForFile("cannot write %r: there is no such directory. Create it, or name another." % path)
    try:
        found = os.stat(real)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        what = "a directory" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise NoPlaceForFile("cannot write %s: it is %s. Name a file." % (path, what))
    return found.st_mode & _PERMISSIONS if found.st_uid == os.geteuid() else None
