"""Writes the README's table of failures anew from the tables in data/; a test compares."""

from __future__ import annotations

from pathlib import Path

from gpuctl.compat.knowledge.errors.failures import LAYERS, Family, written
from gpuctl.compat.knowledge.errors.faults import family_checks

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "| failure | what it is | doctor sees it by |\n| --- | --- | --- |\n", "\n## Speed"


def table() -> str:
    """Returns the rows, by layer, the most reported first."""
    ordered = sorted(written().values(), key=lambda one: (LAYERS.index(one.layer), -one.reports, one.id))
    return "".join(f"| `{one.id}` | {one.title} | {_seen_by(one)} |\n" for one in ordered)


def _seen_by(family: Family) -> str:
    known = family_checks().get(family.id)
    checks = ", ".join(f"`{check}`" for check in (known.checks if known else family.checks))
    log = " (in a log)" if known and known.seen_in == "log" else ""
    return f"{checks}{log}" if checks else "seen only when it happens"


def with_table(readme: str) -> str:
    """Returns the README with the table as it is now."""
    head, _, rest = readme.partition(BEGIN)
    return f"{head}{BEGIN}{table()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
