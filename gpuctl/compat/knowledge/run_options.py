"""The options of `docker run` and `podman run`: knowledge from data/run_options.jsonl."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class RunOptionsRow:
    """Options of a program, docker or podman (`place` engine), or of its run and create, that take a value or nothing.

    Each of `options` is a long name, and behind a space a short one. `quadlet`, by option: see `RunOption`.
    """

    program: str
    place: str
    takes: str
    options: tuple[str, ...]
    source: str
    quadlet: Mapping[str, str] | None = None


@dataclass(frozen=True)
class RunOption:
    """An option by its long name. `quadlet` is the key of a .container unit that says the same."""

    option: str
    takes_value: bool
    quadlet: str | None


@cache
def run_options(engine: str, place: str = "run") -> Mapping[str, RunOption]:
    """Returns an engine's options by their long and their short names.

    Podman takes the options of the program behind `run` too: podman(1), "global options".
    """
    rows = sorted(_rows_of(engine), key=lambda row: row.place != place)
    known: dict[str, RunOption] = {}
    for row in rows:
        if row.place == place or (engine == "podman" and place == "run"):
            for name, option in _named(row):
                known.setdefault(name, option)
    return known


def _named(row: RunOptionsRow) -> Iterator[tuple[str, RunOption]]:
    quadlet = row.quadlet or {}
    for names in row.options:
        long, *short = names.split(" ")
        option = RunOption(long, row.takes == "a value", quadlet.get(long))
        yield from ((name, option) for name in (long, *short))


@cache
def _rows_of(engine: str) -> tuple[RunOptionsRow, ...]:
    return tuple(row for row in load("run_options", RunOptionsRow, f'"{engine}"') if row.program == engine)
