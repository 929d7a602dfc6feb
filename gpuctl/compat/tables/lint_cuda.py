"""What must hold of the CUDA table: no hole, no overlap, no contradiction. `table_rules.py` says what a rule is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, groupby, pairwise

from gpuctl.compat.tables.lint import NEVER_RELEASED, Rule, Tables
from gpuctl.compat.tables.rows import Problem, Row
from gpuctl.compat.versions import Version, parse_range, parts

Interval = tuple[Version, Version | None]
"""From a driver on, up to another and without it; None: without an end."""


def every_version_has_one_general_row(tables: Tables) -> Iterator[Problem]:
    """Every CUDA version has one row for any GPU that decides."""
    for cuda, rows in _by_cuda(tables):
        general = [row for row in rows if _is_general(row)]
        if not general:
            yield rows[0].problem(f"CUDA {cuda} has no general row, which is for GPUs of any brand.")
        for row in general[1:]:
            yield row.problem(f"CUDA {cuda} has two general rows: this one and line {general[0].line}.")


def general_rows_ask_for_the_first_release(tables: Tables) -> Iterator[Problem]:
    """The general row asks for the driver that the first release of its CUDA version asks for."""
    for cuda, rows in _by_cuda(tables):
        first = next((row for row in tables["toolkits"] if row["cuda"] == cuda and row["update"] != "RC"), None)
        if first is None:
            yield rows[0].problem(f"CUDA {cuda} has no release in toolkits.")
            continue
        for row in filter(_is_general, rows):
            if first["min_driver"] not in (None, _open_minimum(row)):
                asked = f"CUDA {first['release']} asks for {first['min_driver']}"
                yield row.problem(f"CUDA {cuda} asks for {row['driver']}, but {asked} in toolkits.")


def newer_cuda_asks_for_newer_drivers(tables: Tables) -> Iterator[Problem]:
    """A newer CUDA version never asks for an older driver."""
    general = [(row, row["cuda"], _open_minimum(row)) for row in tables["cuda_rows"] if _is_general(row)]
    releases = [(row, row["release"], row["min_driver"]) for row in tables["toolkits"]]
    for sequence in (general, releases):
        asking = ((row, cuda, driver) for row, cuda, driver in sequence if driver)
        for (_, elder, lower), (row, cuda, driver) in pairwise(asking):
            if parts(driver) < parts(lower):
                yield row.problem(f"CUDA {cuda} asks for driver {driver}, but the older {elder} for {lower}.")


def no_version_is_missing(tables: Tables) -> Iterator[Problem]:
    """No CUDA version is missing between two others."""
    for (before, _), (cuda, rows) in pairwise(_by_cuda(tables)):
        major, minor = map(int, cuda.split("."))
        elder_major, elder_minor = map(int, before.split("."))
        first = elder_minor + 1 if major == elder_major else 0
        skipped = [f"{number}.0" for number in range(elder_major + 1, major)]
        missing = [*skipped, *(f"{major}.{number}" for number in range(first, minor))]
        for hole in (one for one in missing if one not in NEVER_RELEASED):
            yield rows[0].problem(f"CUDA {hole} is missing between {before} and {cuda}.")


def no_rows_overlap(tables: Tables) -> Iterator[Problem]:
    """No driver lies in two rows of one CUDA version and the same GPUs, and every row has drivers that lie in it."""
    for cuda, rows in _by_cuda(tables):
        for one, other in combinations(rows, 2):
            if _condition(one) == _condition(other) and _overlap(one, other):
                ranges = f"{one['driver']} on line {one.line} and {other['driver']} here"
                yield other.problem(f"CUDA {cuda} has {ranges} for the same GPUs: they overlap.")
        for row in rows:
            if any(high is not None and low >= high for low, high in _intervals(row)):
                yield row.problem(f"No driver lies in {row['driver']}.")


def special_rows_are_no_alternative(tables: Tables) -> Iterator[Problem]:
    """Where a compute capability has a row of its own, the general row leaves it out: it would let it through."""
    for cuda, rows in _by_cuda(tables):
        special = [row for row in rows if row["compute_capability"] and row["kind"] != "image"]
        for row in filter(_is_general, rows):
            for capability in (one["compute_capability"] for one in special):
                if row["except_compute_capability"] != capability:
                    message = f"CUDA {cuda} has a row for {capability} alone, which this general row does not except."
                    yield row.problem(message)


def _by_cuda(tables: Tables) -> list[tuple[str, list[Row]]]:
    return [(cuda, list(rows)) for cuda, rows in groupby(tables["cuda_rows"], key=lambda row: str(row["cuda"]))]


def _is_general(row: Row) -> bool:
    return row["kind"] != "image" and not row["brands"] and row["compute_capability"] is None


def _open_minimum(row: Row) -> str | None:
    return parse_range(row["driver"]).open_minimum()


def _condition(row: Row) -> tuple[object, ...]:
    """Which GPUs a row is for, and whether it decides or tells what starts only."""
    fields = ("compute_capability", "except_compute_capability", "min_compute_capability")
    return row["kind"] == "image", frozenset(row["brands"] or ()), *(row[field] for field in fields)


def _overlap(one: Row, other: Row) -> bool:
    return any(_meet(ours, theirs) for ours in _intervals(one) for theirs in _intervals(other))


def _meet(one: Interval, other: Interval) -> bool:
    ends = [end for end in (one[1], other[1]) if end is not None]
    return not ends or max(one[0], other[0]) < min(ends)


def _intervals(row: Row) -> Sequence[Interval]:
    return [_interval(clauses) for clauses in parse_range(row["driver"]).alternatives]


def _interval(clauses: tuple[tuple[str, str], ...]) -> Interval:
    """The schema lets a range begin with ">=" or "==" only, and end with one "<"."""
    (operator, low), *rest = clauses
    if operator == "==":
        *firsts, last = (int(number) for number in low.split("."))
        return parts(low), (*firsts, last + 1)
    return parts(low), parts(rest[0][1]) if rest else None


CUDA_RULES: tuple[Rule, ...] = (
    every_version_has_one_general_row,
    general_rows_ask_for_the_first_release,
    newer_cuda_asks_for_newer_drivers,
    no_version_is_missing,
    no_rows_overlap,
    special_rows_are_no_alternative,
)
