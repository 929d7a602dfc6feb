"""Folders of small files, read as they are at one moment."""

from __future__ import annotations

import os
from typing import Callable, Dict, Optional, Tuple

from gpuctl.host.look.deadline import within
from gpuctl.host.trust import Distrusted, check
from gpuctl.host.write.files import READ_DEADLINE, FileProblem, content, explained

_TRIES = 5

Folder = Tuple[Tuple[str, ...], Dict[str, bytes], Dict[str, str]]
"""All names, sorted; the content of the files that were asked for; why one of them could not be read."""


def read_folder(path: str, wanted: Callable[[str], bool], limit: int) -> Folder:
    """Returns the folder; a file of more than `limit` bytes counts as unreadable. Raises FileProblem for no folder.

    A folder that is published anew meanwhile (publish.py) is read again, so that old and new files never mix.
    """
    with explained("read", path):
        check(path)
        for _ in range(_TRIES):
            folder = within(READ_DEADLINE, lambda: _read(path, wanted, limit))
            if folder:
                return folder
    raise FileProblem("cannot read %s: it is replaced again and again." % path)


def _read(path: str, wanted: Callable[[str], bool], limit: int) -> Optional[Folder]:
    """None: another folder was published meanwhile."""
    real = os.path.realpath(path)
    files, unreadable = {}, {}
    try:
        names = tuple(sorted(os.listdir(real)))
        for name in filter(wanted, names):
            try:
                raw = _content(os.path.join(real, name), limit)
                check(os.path.join(real, name))
                files[name] = raw
            except OSError as error:
                unreadable[name] = error.strerror or str(error)
            except Distrusted as error:
                unreadable[name] = str(error)
    except FileNotFoundError:
        if os.path.realpath(path) == real:
            raise
    return (names, files, unreadable) if os.path.realpath(path) == real else None


def _content(path: str, limit: int) -> bytes:
    # O_NONBLOCK: a FIFO or a device in a file's place must not hold us.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return content(file, limit)
