"""The writing half of the door: a file to which lines are added, each on the disk before the next thing happens.

What a power cut left of a line is no line: the next one begins behind it.
"""

from __future__ import annotations

import json
import os
from typing import Any, Iterable, Mapping

from gpuctl.host.write.files import explained
from gpuctl.host.write.replace import sync


def append_lines(path: str, lines: Iterable[Mapping[str, Any]], mode: int) -> None:
    """Adds JSON objects, a line each, and returns when they are on the disk. Raises FileProblem.

    The file comes to be with the first line, with this `mode`, whatever the umask says; where
    those cannot be written there is none.
    """
    with explained("write", path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with open(descriptor, "r+b", buffering=0) as file:
            begun = os.fstat(descriptor).st_size
            if not begun:
                os.fchmod(descriptor, mode)
            torn = begun > 0 and os.pread(descriptor, 1, begun - 1) != b"\n"
            text = "".join(json.dumps(line) + "\n" for line in lines)
            try:
                _write_all(file.fileno(), (("\n" if torn else "") + text).encode())
                os.fsync(descriptor)
            except OSError:
                if not begun:
                    os.unlink(path)
                raise
        if not begun:
            sync(os.path.dirname(path) or ".")


def _write_all(descriptor: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(descriptor, raw) :]
