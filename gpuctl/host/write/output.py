"""The writing half of the door, for results: a new file, or another content for one of the person's own."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from typing import Iterator, List, Optional

from gpuctl.host.trust import distrusted, user_called
from gpuctl.host.write.files import FileProblem, explained
from gpuctl.host.write.replace import NEW_FILE_MODE, PERMISSIONS
from gpuctl.regex import regex

__all__ = [
    "ClosedFolder",
    "FileProblem",
    "NoPlaceForFile",
    "folder_for",
    "is_stdout",
    "make_folder",
    "replaces",
    "write_new",
    "write_whole",
]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDED_OVER = regex(r"/(?:dev|proc/self)/fd/([0-9]{1,6})")
_INVOKERS = ("SUDO_UID", "PKEXEC_UID")
"""Who became root to run this: root's results may lie where that user could have put them (sudo(8), pkexec(1))."""
_INVOKER = "DOAS_USER"
"""The same, by name (doas(1))."""


class NoPlaceForFile(FileProblem):
    """The path cannot name a regular file of one's own: it is a directory, a link or a device, or its directory is not
    there, or is others' where root writes.
    """


class ClosedFolder(FileProblem):
    """This user may not write in the folder in which the path lies: another folder will do, and takes no root."""


def write_whole(path: str, raw: bytes, mode: Optional[int] = None, private: bool = False) -> None:
    """Writes a file, as a whole or not at all; one of this user's that is there is replaced and keeps its permissions.

    A new file gets `mode`; None: what the umask leaves of 0644. So does another user's, of which nothing is kept.
    `private`: nobody but its owner may read it, whatever was there.

    "-" is standard output; a descriptor that the shell hands over, /dev/fd/63, is written to as it is.

    Raises NoPlaceForFile or another FileProblem, and leaves what was there untouched.
    """
    if is_stdout(path):
        if sys.stdout is None or sys.stdout.name == os.devnull:  # closed: its number may be another file's by now
            raise FileProblem("cannot write standard output: it is closed.")
        sys.stdout.flush()
        # By a descriptor of its own: the stream drops what cannot be written. A reader that goes away wanted no more.
        own = os.dup(sys.stdout.fileno())
        with explained("write", "standard output"), contextlib.suppress(BrokenPipeError), open(own, "wb") as file:
            file.write(raw)
        return
    handed_over = _HANDED_OVER.fullmatch(path)
    if handed_over:
        with explained("write", path), open(os.dup(int(handed_over[1])), "wb") as file:
            file.write(raw)
        return
    with _placed("write", path), _folder(path) as folder:
        kept = _permissions(path)
        mode = 0o600 if private else mode if kept is None else kept
        temporary = ".gpuctl-%s.tmp" % secrets.token_hex(8)
        _create(temporary, folder, raw, mode)
        try:
            os.rename(temporary, os.path.basename(path), src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            os.unlink(temporary, dir_fd=folder)
            raise


def is_stdout(path: str) -> bool:
    """Returns whether a path that a person named for a result means standard output."""
    return path in ("-", "/dev/stdout")


def replaces(path: str) -> bool:
    """Returns whether a result with this name takes the place of a file that is there."""
    return not (is_stdout(path) or _HANDED_OVER.fullmatch(path)) and os.path.isfile(path)


def write_new(path: str, raw: bytes) -> None:
    """Writes a file that is not there yet, and that nobody but its owner may read.

    Raises NoPlaceForFile or another FileProblem, and leaves what was there untouched.
    """
    with _placed("write", path), _folder(path) as folder:
        _create(os.path.basename(path), folder, raw, 0o600)


def make_folder(path: str) -> None:
    """Makes a folder that is not there yet, and that nobody but its owner may enter; one that is empty will do.

    Raises NoPlaceForFile or another FileProblem, and leaves what was there untouched.
    """
    with _placed("create", path), _folder(path.rstrip("/")) as above:
        name = os.path.basename(path.rstrip("/"))
        try:
            os.mkdir(name, 0o700, dir_fd=above)
        except FileExistsError:
            _take_empty(path, name, above)


@contextlib.contextmanager
def _placed(doing: str, path: str) -> Iterator[None]:
    """Does as `explained`; where a folder is closed to this user the message names it."""
    with explained(doing, path):
        try:
            yield
        except PermissionError as error:
            if error.errno != errno.EACCES:
                raise
            folder = os.path.dirname(os.path.abspath(path.rstrip("/")))
            sentence = "cannot %s %s: %s. The folder %s is closed to this user: name a place in another."
            raise ClosedFolder(sentence % (doing, path, error.strerror, folder)) from error


@contextlib.contextmanager
def folder_for(path: str) -> Iterator[None]:
    """Makes a folder as `make_folder` does, before what is to lie in it is there.

    Where the body ends with an error and has put nothing in it, what was made is gone again.
    """
    was_there = os.path.isdir(path)
    make_folder(path)
    try:
        yield
    except BaseException:
        if not was_there:
            with contextlib.suppress(OSError):  # by now it has something
                os.rmdir(path)
        raise


def _take_empty(path: str, name: str, above: int) -> None:
    try:
        found = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    except OSError:
        raise NoPlaceForFile("cannot create %s: something else lies there. Name another folder." % path) from None
    try:
        if os.listdir(found):
            raise NoPlaceForFile("cannot create %s: it is there, and not empty. Name another folder." % path)
        os.fchmod(found, 0o700)
    finally:
        os.close(found)


def _create(name: str, folder: int, raw: bytes, mode: Optional[int]) -> None:
    descriptor = os.open(name, _CREATE, NEW_FILE_MODE if mode is None else mode & NEW_FILE_MODE, dir_fd=folder)
    try:
        with open(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            if mode is not None:
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        raise


@contextlib.contextmanager
def _folder(path: str) -> Iterator[int]:
    """Hands out the directory of a file, held open: another one cannot be put in its place any more."""
    place = os.path.dirname(path) or "."
    if not path or not os.path.isdir(place):
        raise NoPlaceForFile("cannot write %r: there is no such directory. Create it, or name another." % path)
    doubt = distrusted(place, _invokers()) if os.geteuid() == 0 else ""
    if doubt:
        raise NoPlaceForFile("cannot write %s: %s. Name a file in a directory of root's." % (path, doubt))
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _invokers() -> List[int]:
    named = [os.environ.get(name, "") for name in _INVOKERS]
    by_name = user_called(os.environ[_INVOKER]) if _INVOKER in os.environ else None
    return [int(uid) for uid in named if uid.isdecimal()] + ([] if by_name is None else [by_name])


def _permissions(path: str) -> Optional[int]:
    """The permissions of the file of ours that is there, None where none is. Raises NoPlaceForFile.

    Never the bits that let others act as its owner (set-user-ID): another content was meant by them.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode):
        raise NoPlaceForFile("cannot write %s: it is a link. Name what it leads to." % path)
    if not stat.S_ISREG(found.st_mode):
        what = "a directory" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise NoPlaceForFile("cannot write %s: it is %s. Name a file." % (path, what))
    return found.st_mode & PERMISSIONS if found.st_uid == os.geteuid() else None
