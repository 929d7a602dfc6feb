"""The journal: what a run of gpuctl does to this host, written down before it is done. One file a run.

Each line is a JSON object. gpuctl.facts.own.journal says what the lines hold, and reads them.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, List, Mapping, Optional

from gpuctl.host.write.appended import append_lines
from gpuctl.host.write.publish import create_public
from gpuctl.host.write.replace import stamp

ASKED_BY = "GPUCTL_ASKED_BY"
"""The variable by which a fleet's run says that it has something done. The journal keeps that: no clock tells it."""


class Journal:
    """One run's file. It comes to be with the first line, so that a run that changes nothing leaves none."""

    def __init__(self, folder: str, id: Optional[str] = None) -> None:
        self.folder, self.id = folder, id or stamp()
        self.path = os.path.join(folder, self.id + ".jsonl")

    def append(self, lines: List[Mapping[str, Any]]) -> None:
        """Adds lines, and returns when they are on the disk. Raises FileProblem."""
        create_public(self.folder)
        append_lines(self.path, lines, 0o644)

    def forget(self) -> None:
        """Removes the file of a run that in the end changed nothing. Losing that chance is no error."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)
