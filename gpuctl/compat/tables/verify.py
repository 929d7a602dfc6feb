"""Whether tables are right: gpuctl's own, or those of an overlay together with the bundled rest.

Judging each row of gpuctl's own again would take most of the time that an overlay takes to be verified: under one, only
the rules between tables are asked of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

from gpuctl.compat.tables.lint import RULES
from gpuctl.compat.tables.lint_cuda import CUDA_RULES
from gpuctl.compat.tables.loader import CATALOGUE, data_dir
from gpuctl.compat.tables.overlay import Overlay, file_of, strange_names, table_names
from gpuctl.compat.tables.rows import Problem, Row, read_rows, released_rows
from gpuctl.frozen import dataclass

_DAY = re.compile(r"\b(20[0-9]{2})[-.]([01][0-9])[-.]([0-3][0-9])\b")


@dataclass(frozen=True)
class Verified:
    """What was looked at, and all that is wrong. The rules between tables are asked only where each row is right."""

    tables: int
    rows: int
    problems: tuple[Problem, ...]


def verify(overlay: Overlay | None = None) -> Verified:
    """Returns what is wrong with gpuctl's own tables, or with them under an overlay."""
    problems = [*_about_files(overlay)] if overlay else []
    tables: dict[str, tuple[Row, ...]] = {}
    for table in table_names():
        tables[table], wrong = _read(table, overlay)
        problems += wrong
    problems += _about_catalogues(overlay)
    if not problems:
        problems += (problem for rule in (*CUDA_RULES, *RULES) for problem in rule(tables))
        problems += _about_later_rows(tables, overlay)
    return Verified(len(tables), sum(map(len, tables.values())), tuple(problems))


def _read(table: str, overlay: Overlay | None) -> tuple[tuple[Row, ...], tuple[Problem, ...]]:
    name = file_of(table)
    if overlay and name in overlay.files:
        return read_rows(table, str(Path(overlay.folder) / name), overlay.files[name])
    file = data_dir() / name
    raw = file.read_bytes()
    if overlay:
        with suppress(ValueError):  # one that was broken since then is judged as others are
            return released_rows(str(file), raw), ()
    return read_rows(table, str(file), raw)


def _about_files(overlay: Overlay) -> Iterator[Problem]:
    folder = Path(overlay.folder)
    for name in strange_names(overlay):
        yield Problem(str(folder / name), None, "gpuctl knows no such table.")
    for name, reason in overlay.unreadable.items():
        yield Problem(str(folder / name), None, f"This file cannot be read: {reason}.")


def _about_catalogues(overlay: Overlay | None) -> Iterator[Problem]:
    """The overlay's catalogue, where there is one to judge, and gpuctl's own."""
    rows, problems = _read(CATALOGUE, None)
    yield from (*problems, *_about_days(rows))
    if overlay is None or file_of(CATALOGUE) in overlay.unreadable:
        return
    file = str(Path(overlay.folder) / file_of(CATALOGUE))
    if file_of(CATALOGUE) not in overlay.files:
        yield Problem(file, None, "This file is missing: it says of which day each table is.")
        return
    rows, problems = _read(CATALOGUE, overlay)
    yield from (*problems, *_about_days(rows))
    if not problems:
        for table in set(overlay.tables) - {row["table"] for row in rows}:
            yield Problem(file, None, f"No row says of which day {table} is.")


def _about_later_rows(tables: Mapping[str, Sequence[Row]], overlay: Overlay | None) -> Iterator[Problem]:
    """A table is not of a day before what one of its rows tells of: a release, or a dated source."""
    theirs = _days(overlay) if overlay else {}
    days = {**_days(None), **theirs}
    for table, rows in tables.items():
        for row in rows:
            told = _DAY.findall(f"{row['released']} {row['source']}")
            latest = max(("-".join(day) for day in told), default="")
            if latest > days[table]:
                yield row.problem(f"It tells of {latest}, and the table is of {days[table]} by {file_of(CATALOGUE)}.")


def _days(overlay: Overlay | None) -> dict[str, str]:
    return {row["table"]: row["as_of"] for row in _read(CATALOGUE, overlay)[0]}


def _about_days(rows: tuple[Row, ...]) -> Iterator[Problem]:
    for row in rows:
        if row["table"] not in table_names():
            yield row.problem(f"gpuctl knows no table {row['table']}.")
        try:
            date.fromisoformat(row["as_of"])
        except ValueError:
            yield row.problem(f"{row['as_of']} is no day.")
