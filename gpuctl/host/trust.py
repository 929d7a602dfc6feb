"""Whom gpuctl goes by: root, and the user that it runs as. What others wrote, or could put there, turns it to nothing.

A file counts where nobody else can have written it: it, every folder above it, and every link on the way belong to one
of the two and are closed to others. A folder like /tmp, in which everybody may create but not replace, closes nothing:
what stands in it counts by its own owner.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import FrozenSet, Iterator, Optional, Sequence, Tuple

_LINKS = 40
"""As many links as Linux follows on one way (path_resolution(7))."""
_KERNEL = ("/proc/", "/sys/")
LOGS = "/var/log/"
_ACL = "system.posix_acl_access"
_UNMAPPED = 65534
"""How a user namespace shows those whom it does not know: user_namespaces(7)."""
_SOMEBODY = -1


class Distrusted(Exception):
    """Somebody else may have put there what a path leads to, or answers at a socket. The message says who."""


def check(path: str) -> None:
    """Raises Distrusted where gpuctl does not go by what a path leads to, or would lead to."""
    doubt = distrusted(path)
    if doubt:
        raise Distrusted(doubt)


def distrusted(path: str, also: Sequence[int] = ()) -> str:
    """Returns why gpuctl does not go by what a path leads to, or would lead to; "" where it does. Raises OSError.

    `also` are users who count beside root and this one.
    """
    if is_kernels(path):
        return ""
    trusted = frozenset((0, os.geteuid(), *also))
    reasons = [_suspicion(place, seen, trusted) for place, seen in _way(path)]
    return next(filter(None, reasons), "")


def opened(path: str) -> int:
    """Returns a descriptor of a file that may be read. Raises Distrusted, OSError.

    What services write below LOGS steers nothing, whoever they are; only a link of theirs could lead to what is not
    theirs, and there none is followed.
    """
    # O_NONBLOCK: a FIFO or a device in a file's place must not hold us.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    if os.path.normpath(path).startswith(LOGS):
        return _opened_without_links(os.path.normpath(path), flags)
    check(path)
    return os.open(path, flags)


def _opened_without_links(path: str, flags: int) -> int:
    folder = os.open(LOGS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    *between, name = path[len(LOGS) :].split("/")
    try:
        for part in between:
            above = folder
            folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
            os.close(above)
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
    finally:
        os.close(folder)


def is_kernels(path: str) -> bool:
    """Returns whether the kernel writes what is read there; owners in such file systems say whom a text is about."""
    return path.startswith(_KERNEL) and os.path.realpath(path).startswith(_KERNEL)


def distrusted_user(uid: int) -> str:
    """Returns why gpuctl does not go by what a user's process says, "" where it does."""
    known = uid in (0, os.geteuid()) or _is_unmapped(uid)
    return "" if known else "user %d answers there: %s" % (uid, whom(os.geteuid()))


def whom(me: int) -> str:
    """Returns whom gpuctl goes by as this user, in words."""
    return "gpuctl goes by root's%s only" % (" and user %d's" % me if me else "")


def _way(path: str) -> Iterator[Tuple[str, os.stat_result]]:
    """Every folder, link and file on the way to what a path leads to, as the kernel goes it, up to what is missing."""
    whole = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)  # where we are may be gone
    ahead = whole.split("/")[::-1]
    place, links = "/", 0
    yield place, os.lstat(place)
    while ahead:
        name = ahead.pop()
        if name in ("", "."):
            continue
        place = os.path.dirname(place) if name == ".." else os.path.join(place, name)
        try:
            seen = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            return
        yield place, seen
        if stat.S_ISLNK(seen.st_mode):
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            target = os.readlink(place)
            place = "/" if target.startswith("/") else os.path.dirname(place)
            ahead += target.split("/")[::-1]


def _suspicion(place: str, seen: os.stat_result, trusted: FrozenSet[int]) -> str:
    """For others than root an owner is enough: whom they let write their files is theirs to say."""
    if seen.st_uid not in trusted and not _is_unmapped(seen.st_uid):
        ours = " or to user %d" % os.geteuid() if os.geteuid() else ""
        return "%s does not belong to root%s, but to user %d" % (place, ours, seen.st_uid)
    shared_folder = stat.S_ISDIR(seen.st_mode) and seen.st_mode & stat.S_ISVTX
    if os.geteuid() or stat.S_ISLNK(seen.st_mode) or shared_folder:
        return ""
    by_all = seen.st_mode & stat.S_IWOTH
    by_group = seen.st_mode & stat.S_IWGRP and not _is_closed(place, seen.st_gid, trusted)
    return "others than root may write to %s" % place if by_all or by_group else ""


def _is_unmapped(uid: int) -> bool:
    """Whether this is somebody whom our user namespace does not know: its root has no rights over them."""
    if uid != _UNMAPPED:
        return False
    with open("/proc/self/uid_map", encoding="ascii") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    return not any(first <= uid < first + count for first, _, count in ranges)


def _is_closed(place: str, gid: int, trusted: FrozenSet[int]) -> bool:
    """Whether a group has no other members, as Debian's `staff` has none that /usr/local belongs to.

    Only what this machine's own files say counts, and no list of further users that stands behind the group's name.
    """
    return not _has_acl(place) and _members(gid) <= trusted


def _has_acl(place: str) -> bool:
    """Whether further users and groups are named to whom the permissions of the group may be given (acl(5))."""
    try:
        return _ACL in os.listxattr(place)
    except OSError:  # its file system has none
        return False


def _members(gid: int) -> FrozenSet[int]:
    """The users of a group; _SOMEBODY among them where it cannot be told (group(5), passwd(5)).

    Accounts whose own group is root's are those of programs (sync, shutdown), and nobody's.
    """
    groups = [fields for fields in _lines("/etc/group") if len(fields) > 3 and fields[2] == str(gid)]
    users = [fields for fields in _lines("/etc/passwd") if len(fields) > 3 and fields[2].isdecimal()]
    uids = {fields[0]: int(fields[2]) for fields in users}
    named = [name for fields in groups for name in fields[3].split(",") if name]
    primary = [int(fields[2]) for fields in users if gid and fields[3] == str(gid)]
    unknown = [] if groups or gid == 0 else [_SOMEBODY]
    return frozenset([*primary, *(uids.get(name, _SOMEBODY) for name in named), *unknown])


def user_called(name: str) -> Optional[int]:
    """Returns a user's number, None for nobody."""
    users = [fields for fields in _lines("/etc/passwd") if len(fields) > 3 and fields[0] == name]
    return next((int(fields[2]) for fields in users if fields[2].isdecimal()), None)


def _lines(path: str) -> Sequence[Sequence[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return [line.split(":") for line in file.read().splitlines()]
    except OSError:  # a small container may have none
        return []
