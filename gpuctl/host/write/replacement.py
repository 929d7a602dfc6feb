"""The record of a file that is replaced: what undoing that needs to know."""

from __future__ import annotations

import os
from typing import Optional

from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class Replacement:
    """A file that is replaced: the digests of what it was and of what it becomes, None for no file.

    `kept` is the path of what it was.
    """

    path: str
    before: Optional[str]
    after: Optional[str]
    kept: str

    @property
    def aside(self) -> str:
        """The folder in which what it was is kept, "" for that of the file."""
        folder = os.path.dirname(self.kept)
        return "" if folder == os.path.dirname(self.path) else folder
