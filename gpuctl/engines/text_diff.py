"""The unified diff of two contents of one file."""

from __future__ import annotations

from difflib import unified_diff


def text_diff(path: str, before: str | None, after: str | None) -> str:
    """Returns the unified diff; None stands for no file."""
    old, new = ((text or "").splitlines(keepends=True) for text in (before, after))
    lines = unified_diff(old, new, "/dev/null" if before is None else path, "/dev/null" if after is None else path)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
