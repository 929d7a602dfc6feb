"""Writes docs/failures.md anew from the tables in data/; a test compares."""

from __future__ import annotations

from pathlib import Path

from gpuctl.compat.knowledge.errors.failures import LAYERS, Family, written
from gpuctl.compat.knowledge.errors.faults import family_checks

PAGE = Path(__file__).parent / "failures.md"
HEAD = """# Failures that gpuctl knows

By layer, causes before what rests on them; `gpuctl explain ID` has each whole. Errors that have a number (Xids,
CUDA's and NVML's) are known besides.

| failure | what it is | doctor sees it by |
| --- | --- | --- |
"""


def table() -> str:
    """Returns the rows, by layer, the most reported first."""
    ordered = sorted(written().values(), key=lambda one: (LAYERS.index(one.layer), -one.reports, one.id))
    return "".join(f"| `{one.id}` | {one.title} | {_seen_by(one)} |\n" for one in ordered)


def _seen_by(family: Family) -> str:
    known = family_checks().get(family.id)
    checks = ", ".join(f"`{check}`" for check in (known.checks if known else family.checks))
    log = " (in a log)" if known and known.seen_in == "log" else ""
    return f"{checks}{log}" if checks else "seen only when it happens"


def page() -> str:
    """Returns the page as it is now."""
    return HEAD + table()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
