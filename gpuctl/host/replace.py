"""The writing half of the door: a file is replaced as a whole or not at all, and what it was stays beside it.

Beside FILE, a change leaves one of these, whose name holds the time and the digest of what was written instead:

    FILE.gpuctl-20261124T035010.123456Z-3fa94c1b77aa.bak      what FILE was, with its mode, owner and attributes
    FILE.gpuctl-20261124T035010.123456Z-3fa94c1b77aa.absent   empty: there was no FILE
    FILE.gpuctl-20261124T035010.123456Z-3fa94c1b77aa.undone   what a rollback took away

While the change is being made there is also .FILE.gpuctl-…-….tmp. Where that one is left, a run was killed before its
rename: FILE is the old one, and the next run removes both.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import time
from dataclasses import dataclass
from typing import Callable, Dict, Optional, Tuple, Union

from gpuctl.host.files import FileProblem, State, explained, read, state

BACKUP, ABSENT, UNDONE = "bak", "absent", "undone"
NEW_FILE_MODE = 0o644

_MARK = r"\.gpuctl-\d{8}T\d{6}\.\d{6}Z-(?P<digest>[0-9a-f]{12})"
_ACL = "system.posix_acl_access"
_CONTENT_BOUND = ("security.ima", "security.evm")
"""Attributes that sign a file's content: on another content they would be wrong."""


class NotPutBack(FileProblem):
    """A change stays, although it was to be undone. The message says why, and where what the file was is kept."""


@dataclass(frozen=True)
class Change:
    """A file that was replaced: the state before, the state after, and the path of what it was."""

    before: State
    after: State
    kept: str


@dataclass(frozen=True)
class Kept:
    """What a file was before gpuctl changed it. `raw` is None where there was no file."""

    path: str
    raw: Optional[bytes]
    digest: str
    """Of what was written instead."""


def digest(raw: Optional[bytes]) -> str:
    """Returns the digest that stands in the names; that of no bytes for no file."""
    return hashlib.sha256(raw or b"").hexdigest()[:12]


def replace(before: State, new: Optional[bytes], inspect: Callable[[str], None], undoes: bool = False) -> Change:
    """Writes `new` in the place of what was read; None removes the file. Call it with the lock held.

    `inspect` sees the path of the complete new file before it counts, and may raise. `undoes`: what the file was is
    kept as `.undone`. Raises FileProblem, the file being untouched then.
    """
    real = before.path
    marked = "%s.gpuctl-%s-%s" % (real, stamp(), digest(new))
    temporary = _temporary(marked)
    kept = "%s.%s" % (marked, UNDONE if undoes else ABSENT if before.raw is None else BACKUP)
    with explained("replace", real):
        try:
            if new is not None:
                _create(temporary, new, real)
                inspect(temporary)
                _create(kept, before.raw or b"", real, times=before.identity)
                sync(os.path.dirname(real))
            if state(real) != before:
                raise FileProblem("%s was changed by another program just now. Run gpuctl again." % real)
            os.rename(*((temporary, real) if new is not None else (real, kept)))
        finally:
            _abandon(temporary)
        change = Change(before, State(real, new, state(real).identity), kept)
        try:
            sync(os.path.dirname(real))
        except OSError:
            put_back(change)
            raise
    return change


def put_back(change: Change) -> None:
    """Undoes a change, as if it had never been. Call it with the lock held.

    Raises NotPutBack when the file is no longer as gpuctl wrote it, or cannot be replaced: it stays as it is then.
    """
    real, kept = change.before.path, change.kept
    try:
        if state(real) != change.after:
            raise NotPutBack("%s was changed by another program meanwhile. What it was is kept in %s." % (real, kept))
        if change.before.raw is None:
            os.unlink(real)
            os.unlink(kept)
        else:
            os.rename(kept, real)
        with contextlib.suppress(OSError):  # a crash now leaves the one file or the other, whole
            sync(os.path.dirname(real))
    except OSError as error:
        raise NotPutBack("cannot put back %s: %s. What it was is kept in %s." % (real, error.strerror, kept)) from error


def last_kept(path: str) -> Optional[Kept]:
    """Returns what the file was before gpuctl's last change of it, None when there is no record. Raises FileProblem."""
    folder, name = os.path.split(os.path.realpath(path))
    pattern = re.compile(re.escape(name) + _MARK + r"\.(?P<kind>bak|absent)")
    with explained("list", folder):
        matches = [pattern.fullmatch(one) for one in sorted(os.listdir(folder))] if os.path.isdir(folder) else []
    last = next((match for match in reversed(matches) if match), None)
    if last is None:
        return None
    kept = os.path.join(folder, last.string)
    return Kept(kept, read(kept).raw if last["kind"] == BACKUP else None, last["digest"])


def remove_leftovers(path: str) -> None:
    """Removes what killed runs left beside the file. Call it with the lock held. Raises FileProblem."""
    folder, name = os.path.split(os.path.realpath(path))
    pattern = re.compile(r"\." + re.escape(name) + _MARK + r"\.tmp")
    with explained("tidy", folder):
        for leftover in filter(pattern.fullmatch, os.listdir(folder)):
            _abandon(os.path.join(folder, leftover))


def _abandon(temporary: str) -> None:
    """Removes a new file that never came into its place, and before it the record of a change that never was."""
    if not os.path.lexists(temporary):
        return
    folder, name = os.path.split(temporary)
    for kind in (BACKUP, ABSENT, UNDONE):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, "%s.%s" % (name[1 : -len(".tmp")], kind)))
    os.unlink(temporary)


def _temporary(marked: str) -> str:
    return os.path.join(os.path.dirname(marked), ".%s.tmp" % os.path.basename(marked))


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
    os.fchmod(descriptor, stat.S_IMODE(model.st_mode) if exists else NEW_FILE_MODE)


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
