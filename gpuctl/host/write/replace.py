"""The writing half of the door: a file is replaced as a whole or not at all, and what it was stays beside it.

A change leaves one of these beside FILE, or in a folder aside. Its name holds the time, and the digest of what was
written instead:

    FILE.gpuctl-20261124T035010.123456Z-3fa94c1b77aa.bak      what FILE was, with its mode, owner and attributes
    FILE.gpuctl-20261124T035010.123456Z-3fa94c1b77aa.absent   empty: there was no FILE
    FILE.gpuctl-20261124T035010.123456Z-3fa94c1b77aa.undone   what a rollback took away

While the change is being made there is also .FILE.gpuctl-…-….tmp. Where that one is left, a run was killed: before the
new file came into its place it holds the new one, and the next run removes both; after that it holds the old one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import time
from typing import Callable, Dict, Optional, Tuple, Union

from gpuctl.host.write.files import FileProblem, FileState, explained, read, state
from gpuctl.host.write.replacement import Replacement
from gpuctl.host.write.swap import into_place

BACKUP, ABSENT, UNDONE = "bak", "absent", "undone"
NEW_FILE_MODE = 0o644
PERMISSIONS = 0o777
"""What is kept of a file's mode: never the bits by which a program runs as its owner."""

_MARK = r"\.gpuctl-\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{12}"
_ACL = "system.posix_acl_access"
_CONTENT_BOUND = ("security.ima", "security.evm")
"""Attributes that sign a file's content: on another content they would be wrong."""


class NotPutBack(FileProblem):
    """A change stays, although it was to be undone. The message says why, and where what the file was is kept."""


def digest(raw: Optional[bytes]) -> Optional[str]:
    """Returns the digest of a file's content; None for no file."""
    return None if raw is None else hashlib.sha256(raw).hexdigest()


def replacement_of(before: FileState, new: Optional[bytes], undoes: bool = False, aside: str = "") -> Replacement:
    """Returns what `replace` is to do. `undoes`: what the file was is kept as `.undone`.

    `aside` is the folder in which it is kept, "" for that of the file.
    """
    kind = UNDONE if undoes else ABSENT if before.raw is None else BACKUP
    mark = (digest(new) or "")[:12].ljust(12, "0")
    folder, name = os.path.split(before.path)
    kept = os.path.join(aside or folder, "%s.gpuctl-%s-%s.%s" % (name, stamp(), mark, kind))
    return Replacement(before.path, digest(before.raw), digest(new), kept)


def replace(replacement: Replacement, before: FileState, new: Optional[bytes], inspect: Callable[[str], None]) -> None:
    """Writes `new` in the place of what was read; None removes the file. Call it with the lock held.

    `inspect` sees the path of the complete new file before it counts, and may raise. Raises FileProblem, the file being
    untouched then.
    """
    real, kept, temporary = replacement.path, replacement.kept, _temporary(replacement.kept)
    with explained("replace", real):
        try:
            if new is not None:
                _create(temporary, new, real)
                inspect(temporary)
                _create(kept, before.raw or b"", real, times=before.identity)
                sync(os.path.dirname(kept))
            if state(real) != before or (new is not None and not into_place(temporary, before)):
                raise FileProblem("%s was changed by another program just now. Run gpuctl again." % real)
            if new is None:
                os.rename(real, kept)
        except BaseException:
            _abandon(temporary)
            raise
        try:
            sync(os.path.dirname(real))
        except OSError:
            put_back(replacement)
            raise


def put_back(replacement: Replacement) -> None:
    """Undoes a replacement, as if it had never been; one that never was is none to undo. Call it with the lock held.

    Raises NotPutBack when the file is no longer as gpuctl wrote it, or cannot be replaced: it stays as it is then.
    """
    real, kept = replacement.path, replacement.kept
    try:
        seen = state(real)
        now = digest(seen.raw)
        if now not in (replacement.before, replacement.after):
            raise _changed(replacement)
        if now != replacement.before and replacement.before is not None:
            if digest(state(kept).raw) != replacement.before:
                raise NotPutBack("cannot put back %s: %s is gone or was changed." % (real, kept))
            if not into_place(kept, seen):
                raise _changed(replacement)
        elif now != replacement.before:
            os.unlink(real)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(kept)
        with contextlib.suppress(OSError):  # a crash now leaves the one file or the other, whole
            sync(os.path.dirname(real))
    except OSError as error:
        raise NotPutBack("cannot put back %s: %s. What it was is kept in %s." % (real, error.strerror, kept)) from error


def _changed(replacement: Replacement) -> NotPutBack:
    told = "%s was changed by another program meanwhile. What it was is kept in %s."
    return NotPutBack(told % (replacement.path, replacement.kept))


def content_before(replacement: Replacement) -> Optional[bytes]:
    """Returns what a replaced file was. Raises FileProblem where the backup is not there, or was changed."""
    if replacement.before is None:
        return None
    raw = read(replacement.kept).raw
    if digest(raw) != replacement.before:
        raise FileProblem("%s, which kept what %s was, is gone or was changed." % (replacement.kept, replacement.path))
    return raw


def remove_leftovers(path: str, aside: str = "") -> None:
    """Removes what killed runs left of a change of the file. Call it with the lock held. Raises FileProblem."""
    folder, name = os.path.split(os.path.realpath(path))
    folder = aside or folder
    pattern = re.compile(r"\." + re.escape(name) + _MARK + r"\.tmp")
    with explained("tidy", folder):
        for leftover in filter(pattern.fullmatch, os.listdir(folder)):
            _abandon(os.path.join(folder, leftover))


def _abandon(temporary: str) -> None:
    """Removes a new file that never came into its place, and before it the record of a change that never was.

    What came out of that place stands under the same name: then the change was made, and its record stays.
    """
    if not os.path.lexists(temporary):
        return
    folder, name = os.path.split(temporary)
    never = (digest(state(temporary).raw) or "")[:12] in name
    for kind in (BACKUP, ABSENT, UNDONE) if never else ():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, "%s.%s" % (name[1 : -len(".tmp")], kind)))
    os.unlink(temporary)


def _temporary(kept: str) -> str:
    marked, _ = os.path.splitext(os.path.basename(kept))
    return os.path.join(os.path.dirname(kept), ".%s.tmp" % marked)


def stamp() -> str:
    """Returns the present time as it stands in the names."""
    now = time.time_ns()
    seconds = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 10**9))
    return "%s.%06dZ" % (seconds, now % 10**9 // 1000)


def _create(path: str, raw: bytes, like: str, times: Optional[Tuple[int, ...]] = None) -> None:
    # Closed to others until it has the mode of the file it is like: the content may hold secrets.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        _make_alike(descriptor, like)
        if times:
            os.utime(descriptor, ns=(times[3], times[3]))
        os.fsync(descriptor)


def _make_alike(descriptor: int, like: str) -> None:
    """Gives a file the owner, attributes and mode of another; where that does not exist, its directory's owner."""
    exists = os.path.exists(like)
    model, own = os.stat(like if exists else os.path.dirname(like)), os.fstat(descriptor)
    if (model.st_uid, model.st_gid) != (own.st_uid, own.st_gid) and (exists or os.geteuid() == 0):
        os.fchown(descriptor, model.st_uid, model.st_gid)
    if exists:
        _copy_attributes(descriptor, like)
    os.fchmod(descriptor, model.st_mode & PERMISSIONS if exists else NEW_FILE_MODE)


def _copy_attributes(descriptor: int, like: str) -> None:
    wanted = {name: value for name, value in _attributes(like).items() if name not in _CONTENT_BOUND}
    given = _attributes(descriptor)
    if _ACL in given and _ACL not in wanted:  # from the directory's default ACL: it may open the file to others
        os.removexattr(descriptor, _ACL)
    for name, value in wanted.items():
        if given.get(name) != value:
            os.setxattr(descriptor, name, value)


def _attributes(file: Union[str, int]) -> Dict[str, bytes]:
    try:
        return {name: os.getxattr(file, name) for name in os.listxattr(file)}
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise


def sync(folder: str) -> None:
    """Makes what was done to a folder survive a loss of power. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
