"""The steps of a plan in words."""

from __future__ import annotations

from gpuctl.model import Disturbs, Step


def writing(path: str, removes: bool, diff: str) -> Step:
    """Returns the step that writes the file, or that removes it."""
    if removes:
        text, undo = f"remove {path}, and keep what it was beside where it was", "put it back"
    else:
        text, undo = f"write {path}, and keep what it was beside it", "put back what it was"
    return Step(text, Disturbs.NOTHING, undo, diff)
