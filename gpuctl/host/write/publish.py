"""Folders of small files, replaced whole or not at all.

A published folder is a link to `NAME.gpuctl-TIME-DIGEST` beside it. Renaming a new link over the old one is the moment
that counts. Where a run was killed before it, what it wrote stays unused until the next run takes it away.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from typing import List, Mapping

from gpuctl.host.write.files import FileProblem, check_writable, explained
from gpuctl.host.write.replace import stamp, sync

_MARK = r"\.gpuctl-\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{12}(\.link)?"


def examine(place: str) -> None:
    """Raises FileProblem when it can be seen beforehand that nothing can be published or withdrawn in a place."""
    if os.path.lexists(place) and not os.path.islink(place):
        raise FileProblem("%s was not made by gpuctl. Move it away, and run gpuctl again." % place)
    with explained("replace", place):
        check_writable(os.path.dirname(place))


def publish(place: str, files: Mapping[str, bytes]) -> None:
    """Puts a folder of these files in the place. Call it with the lock held. Raises FileProblem, nothing being changed.

    All may read it, whatever the umask says.
    """
    parent = os.path.dirname(place)
    mark = hashlib.sha256(b"".join(files.values())).hexdigest()[:12]
    folder = "%s.gpuctl-%s-%s" % (place, stamp(), mark)
    with explained("replace", place):
        try:
            _write(folder, files)
            os.symlink(os.path.basename(folder), folder + ".link")
            sync(parent)
            os.rename(folder + ".link", place)
            _sync_if_possible(parent)
        finally:
            remove_leftovers(place)


def withdraw(place: str) -> None:
    """Takes a published folder away. Call it with the lock held. Raises FileProblem, nothing being changed."""
    with explained("remove", place):
        os.unlink(place)
    remove_leftovers(place)
    _sync_if_possible(os.path.dirname(place))


def remove_leftovers(place: str) -> None:
    """Removes the folders beside the place that it does not lead to: the one before, and what killed runs left.

    Call it with the lock held. What cannot be seen or removed stays: nothing reads it.
    """
    with contextlib.suppress(OSError):
        for path in _leftovers(place):
            if os.path.islink(path):
                os.unlink(path)
            else:
                shutil.rmtree(path, ignore_errors=True)


def _leftovers(place: str) -> List[str]:
    parent, name = os.path.split(place)
    current = os.readlink(place) if os.path.islink(place) else None
    marked = filter(re.compile(re.escape(name) + _MARK).fullmatch, os.listdir(parent))
    return [os.path.join(parent, left) for left in marked if left != current]


def _sync_if_possible(folder: str) -> None:
    with contextlib.suppress(OSError):  # a crash now leaves the one folder or the other, whole
        sync(folder)


def create_public(folder: str) -> None:
    """Creates a folder, and those above it, so that all may read it, whatever the umask says. Raises FileProblem."""
    if os.path.isdir(folder):
        return
    create_public(os.path.dirname(folder))
    with explained("create", folder), contextlib.suppress(FileExistsError):  # another run's
        os.mkdir(folder, 0o755)  # open to nobody more, even for a moment, where the umask is 0
        os.chmod(folder, 0o755)  # noqa: S103


def _write(folder: str, files: Mapping[str, bytes]) -> None:
    os.mkdir(folder)
    os.chmod(folder, 0o755)  # noqa: S103
    for name, raw in files.items():
        descriptor = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
    sync(folder)
