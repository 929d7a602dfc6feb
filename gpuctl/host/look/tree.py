"""A folder that a person named, with all that is below it: an application. It is looked at, and steers nothing."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO, Dict, FrozenSet, Iterator, List, Set, Tuple

from gpuctl.frozen import dataclass
from gpuctl.host.write.files import FileProblem, explained

MOST_FILES = 200_000
"""Files, folders and links. PyTorch with all of CUDA is 30,000."""
_SPECIAL = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True)
class FolderTree:
    """A folder's files by their path in it, sorted; links to files in it with what they lead to; links that leave it.

    `programs` are the files that may be executed.
    """

    folder: str
    files: Tuple[str, ...]
    programs: FrozenSet[str]
    links: Dict[str, str]
    leaving: Tuple[str, ...]


def is_folder(path: str) -> bool:
    """Returns whether a path leads to a folder."""
    return os.path.isdir(path)


def look_at_tree(folder: str) -> FolderTree:
    """Returns what is below a folder; links to folders are not followed.

    Raises FileProblem where it is no folder, holds a FIFO, a socket, a device or a link that leads back to itself, has
    more than MOST_FILES, or cannot be read.
    """
    files: List[str] = []
    programs: Set[str] = set()
    links: Dict[str, str] = {}
    leaving: List[str] = []
    with explained("read", folder):
        top = os.path.realpath(folder)
        for entry in _entries(top):
            path = os.path.relpath(entry.path, top)
            if not entry.is_symlink():
                files.append(path)
                if entry.stat().st_mode & 0o111:
                    programs.add(path)
                continue
            target = _target(entry.path)
            if not target.startswith(top.rstrip("/") + "/"):
                leaving.append(path)
            elif os.path.isfile(target):
                links[path] = os.path.relpath(target, top)
    return FolderTree(
        folder, tuple(sorted(files)), frozenset(programs), dict(sorted(links.items())), tuple(sorted(leaving))
    )


def _entries(top: str) -> Iterator[os.DirEntry[str]]:
    folders, seen = [top], 0
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                seen += 1
                if seen > MOST_FILES:
                    raise FileProblem(
                        "%s holds more than %d files: name the application's own folder." % (top, MOST_FILES)
                    )
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                _check_kind(entry)
                yield entry


def _check_kind(entry: os.DirEntry[str]) -> None:
    mode = entry.stat(follow_symlinks=False).st_mode
    for is_kind, name in _SPECIAL:
        if is_kind(mode):
            raise FileProblem("%s is %s, which no image can hold: move it away." % (entry.path, name))


def _target(path: str) -> str:
    try:
        os.stat(path)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileProblem("%s is a link that leads back to itself: remove it." % path) from None
    return os.path.realpath(path)


def open_in_tree(tree: FolderTree, path: str) -> BinaryIO:
    """Returns one of the tree's files, open for reading. Raises OSError, for what is no regular file any more too."""
    descriptor = os.open(os.path.join(tree.folder, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = open(descriptor, "rb")  # noqa: SIM115  # the caller closes it
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "not a regular file", path)
