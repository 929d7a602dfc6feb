"""The options of `docker run` and `podman run`: knowledge from data/run_options.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class RunOptionRow:
    """An option of a program, docker or podman (`place` engine), or of its run and create: whether it takes a value.

    `quadlet` is the key of a .container unit that says the same.
    """

    program: str
    place: str
    option: str
    takes: str
    source: str
    short: str | None = None
    quadlet: str | None = None

    @property
    def takes_value(self) -> bool:
        return self.takes == "a value"


@cache
def run_options(engine: str, place: str = "run") -> Mapping[str, RunOptionRow]:
    """Returns an engine's options by their long and their short names.

    Podman takes the options of the program behind `run` too: podman(1), "global options".
    """
    rows = sorted(_rows_of(engine), key=lambda row: row.place != place)
    known: dict[str, RunOptionRow] = {}
    for row in rows:
        if row.place == place or (engine == "podman" and place == "run"):
            for name in filter(None, (row.option, row.short)):
                known.setdefault(name, row)
    return known


@cache
def _rows_of(engine: str) -> tuple[RunOptionRow, ...]:
    return tuple(row for row in load("run_options", RunOptionRow, f'"{engine}"') if row.program == engine)
