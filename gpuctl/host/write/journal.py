"""The journal: what a run of gpuctl does to this host, written down before it is done. One file a run.

Each line is a JSON object, and on the disk before the next thing happens. What a power cut left of a line is no line.
gpuctl.facts.own.journal says what the lines hold, and reads them.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any, List, Mapping, Optional

from gpuctl.host.write.files import explained
from gpuctl.host.write.publish import create_public
from gpuctl.host.write.replace import stamp, sync


class Journal:
    """One run's file. It comes to be with the first line, so that a run that changes nothing leaves none."""

    def __init__(self, folder: str, id: Optional[str] = None) -> None:
        self.folder, self.id = folder, id or stamp()
        self.path = os.path.join(folder, self.id + ".jsonl")

    def append(self, lines: List[Mapping[str, Any]]) -> None:
        """Adds lines, and returns when they are on the disk. Raises FileProblem."""
        create_public(self.folder)
        with explained("write", self.path):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            with open(descriptor, "r+b", buffering=0) as file:
                begun = os.fstat(descriptor).st_size
                if not begun:
                    os.fchmod(descriptor, 0o644)
                torn = begun > 0 and os.pread(descriptor, 1, begun - 1) != b"\n"
                text = "".join(json.dumps(line) + "\n" for line in lines)
                _write_all(file.fileno(), (("\n" if torn else "") + text).encode())
                os.fsync(descriptor)
            if not begun:
                sync(self.folder)

    def forget(self) -> None:
        """Removes the file of a run that in the end changed nothing. Losing that chance is no error."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)


def _write_all(descriptor: int, raw: bytes) -> None:
    while raw:
        raw = raw[os.write(descriptor, raw) :]
