"""The writing half of the door, for results: a new file, or another content for one of the person's own."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile

from gpuctl.host.files import FileProblem, explained

__all__ = ["FileProblem", "NoPlaceForFile", "write_whole"]


class NoPlaceForFile(FileProblem):
    """The path cannot name a regular file: it is a directory or a device, or its directory does not exist."""


def write_whole(path: str, raw: bytes) -> None:
    """Writes a file, as a whole or not at all; one that is there is replaced and keeps its mode.

    Raises NoPlaceForFile or another FileProblem, and leaves what was there untouched.
    """
    real = os.path.realpath(path)
    with explained("write", path):
        mode = _mode(path, real)
        descriptor, temporary = tempfile.mkstemp(prefix=".gpuctl-", suffix=".tmp", dir=os.path.dirname(real))
        try:
            with open(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            os.rename(temporary, real)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


def _mode(path: str, real: str) -> int:
    """The mode for the file: that of the one that is there, else what the umask leaves. Raises NoPlaceForFile."""
    if not path or not os.path.isdir(os.path.dirname(real)):
        raise NoPlaceForFile("cannot write %r: there is no such directory. Create it, or name another." % path)
    try:
        found = os.stat(real)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
    if not stat.S_ISREG(found.st_mode):
        what = "a directory" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise NoPlaceForFile("cannot write %s: it is %s. Name a file." % (path, what))
    return stat.S_IMODE(found.st_mode)
