"""The writing half of the door: reading a file that is to be changed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from typing import BinaryIO, Iterator, Optional, Set, Tuple

from gpuctl.bounds import FILE_LIMIT, TooLong, opened_pieces, whole
from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import DeadlineExceeded, within
from gpuctl.host.trust import Distrusted, check

_HANDED_OVER = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")
READ_DEADLINE = 5.0
_PIECE = 1 << 20
_HINTS = {
    errno.EACCES: "Run gpuctl as root.",
    errno.EPERM: "Run gpuctl as root; if you are, see whether the file is immutable (lsattr).",
    errno.EROFS: "Its file system is mounted read-only.",
    errno.ENOSPC: "Make room and run gpuctl again.",
    errno.EDQUOT: "Make room and run gpuctl again.",
    errno.EBADF: "Its file system cannot lock files.",
    errno.ENOLCK: "Its file system cannot lock files.",
}


class FileProblem(Exception):
    """A file could not be read or replaced. The message says what happened, to which file, and what to do.

    Unless it says otherwise, the file is untouched.
    """


@dataclass(frozen=True)
class FileState:
    """A file as it was read. `path` is behind all symbolic links; `raw` is None where there is no file.

    `identity` changes with every write: device, inode, size, times of modification and of change in nanoseconds.
    """

    path: str
    raw: Optional[bytes]
    identity: Optional[Tuple[int, ...]]


def read(path: str) -> FileState:
    """Returns the file's state. Raises FileProblem when it is there and cannot be read, or is no regular file."""
    with explained("read", path):
        check(path)
        return within(READ_DEADLINE, lambda: state(os.path.realpath(path)))


def is_stream(path: str) -> bool:
    """Returns whether what a person named is standard input or a pipe handed over: it can be read once."""
    return path == "-" or path.startswith(_HANDED_OVER)


def check_named(path: str) -> None:
    """Raises OSError for a path of which reading may never end, as that of a FIFO or a device, or that is not there.

    A pipe that the shell hands over has a writer.
    """
    if is_stream(path):
        return
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file")


def read_named(path: str) -> bytes:
    """Returns what is in a file that a person named to have it looked at: whosever it is, it steers nothing.

    "-" is standard input; a pipe that the shell hands over is read to its end. Raises FileProblem, also where there is
    no such file.
    """
    with explained("read", path), contextlib.ExitStack() as stack:
        check_named(path)
        file = sys.stdin.buffer if path == "-" else stack.enter_context(open(path, "rb"))
        return whole(file.read, FILE_LIMIT)


def pieces_named(path: str, limit: int) -> Iterator[bytes]:
    """Yields what is in a file that a person named, as `read_named` returns it, a piece at a time; opened, if packed.

    Raises FileProblem, also where there is more than `limit` bytes of it.
    """
    with explained("read", path), contextlib.ExitStack() as stack:
        check_named(path)
        file = sys.stdin.buffer if path == "-" else stack.enter_context(open(path, "rb"))
        left = limit
        for piece in opened_pieces(iter(lambda: file.read(_PIECE), b"")):
            left -= len(piece)
            if left < 0:
                raise TooLong(limit)
            yield piece


def state(real: str) -> FileState:
    """Returns the state of a path that is no link. Raises OSError."""
    try:
        # O_NONBLOCK: a FIFO or a device in a file's place must not hold us.
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return FileState(real, None, None)
    with open(descriptor, "rb") as file:
        seen = os.fstat(descriptor)
        raw = content(file, FILE_LIMIT)
    return FileState(real, raw, (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))


def content(file: BinaryIO, limit: int) -> bytes:
    """Returns all bytes of an open file. Raises OSError for one that is no regular file, or has more than `limit`."""
    seen = os.fstat(file.fileno())
    if not stat.S_ISREG(seen.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    # Not what stat says alone: a file of /proc has the size 0.
    if seen.st_size > limit:
        raise TooLong(limit)
    return whole(file.read, limit)


def behind_links(path: str) -> str:
    """Returns the path of what a path leads to, whether or not a file is there yet."""
    return os.path.realpath(path)


def is_there(path: str) -> bool:
    """Returns whether something lies there, be it a link that leads nowhere."""
    return os.path.lexists(path)


def same_file(one: str, other: str) -> bool:
    """Returns whether both paths lead to one place, whether or not a file is there yet."""
    try:
        return os.path.realpath(one) == os.path.realpath(other)
    except ValueError:  # no file can have such a name: it holds a NUL, or half a character
        return False


def examine(path: str) -> None:
    """Raises FileProblem when it can be seen beforehand that the file cannot be replaced as a whole."""
    real = os.path.realpath(path)
    folder = os.path.dirname(real)
    if os.path.islink(path) and not os.path.isdir(folder):
        raise FileProblem("%s is a link into %s, which does not exist. Create that directory." % (path, folder))
    with explained("replace", real):
        check_writable(folder)
        if real in _mount_points():
            raise FileProblem("%s is a mount of its own, which cannot be replaced. Edit the file behind it." % real)
        if os.path.exists(real):
            _check_replaceable(real, os.stat(real))


def check_near(path: str) -> None:
    """Raises FileProblem for a path that somebody typed in whose folder and the one above it are both not there."""
    above = os.path.dirname(os.path.dirname(os.path.realpath(path)))
    if not os.path.isdir(above):
        raise FileProblem("there is no directory %s, in which %s would lie. Name another file." % (above, path))


def _check_replaceable(real: str, seen: os.stat_result) -> None:
    if not stat.S_ISREG(seen.st_mode):
        raise FileProblem("%s is not a regular file. Move away what is there, or name another file." % real)
    if seen.st_nlink > 1:
        raise FileProblem("%s has several hard links, which replacing it would part. Make it one file." % real)
    if _is_immutable(real):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def check_writable(folder: str) -> None:
    """Raises OSError when this user may not write to a folder, or where it is not there, to the one to make it in."""
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    if os.access(folder, os.W_OK | os.X_OK):
        return
    read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
    number = errno.EROFS if read_only else errno.EPERM if _is_immutable(folder) else errno.EACCES
    raise OSError(number, os.strerror(number))


def _is_immutable(path: str) -> bool:
    """Whether even root may not write there. For others it is not told: a mode may keep them from it as well."""
    return os.geteuid() == 0 and not os.access(path, os.W_OK)


def _mount_points() -> Set[str]:
    """The fifth field of each line of /proc/self/mountinfo, in which white space stands as octal (proc(5))."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        fields = [line.split(" ")[4] for line in file]
    return {re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field) for field in fields}


@contextlib.contextmanager
def explained(doing: str, path: str) -> Iterator[None]:
    """Turns an operating system's error in the body into a FileProblem with a sentence."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "")
        raise FileProblem(("cannot %s %s: %s. %s" % (doing, path, error.strerror, hint)).rstrip()) from error
    except (DeadlineExceeded, Distrusted) as error:
        raise FileProblem("cannot %s %s: %s." % (doing, path, error)) from error
