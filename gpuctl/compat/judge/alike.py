"""Drivers that fare alike: no rule compares a driver with a version that lies between them.

In a fleet where every host has a driver of its own there are few such kinds, and each is judged once. What is said then
names the driver that stands for them, spelt as nobody spells one, so that each host's own can take its place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache

from gpuctl.compat.knowledge.jetpack import by_first_number
from gpuctl.compat.knowledge.windows import is_windows
from gpuctl.compat.tables.loader import architectures, cuda_rows, forward_cells, minor_version_floors, toolkits
from gpuctl.compat.versions import Version
from gpuctl.regex import regex

_LONGEST = 4
"""Numbers of a driver's version. Here all have so many, as 535.54 is 535.54.0."""
_USUAL = regex(r"[1-9][0-9]{1,3}(?:\.[0-9]{1,3}){1,3}")
_VERSION = regex(r"[0-9.]+")
_USUAL_BOUND = regex(r"[0-9]{1,4}(?:\.[0-9]{1,3}){0,3}")
_SPELT = regex(r"\.[0-9]{4}")
"""What is in every driver that stands for others, and in no usual one."""


def bounds(said: str, requirements: Iterable[str]) -> tuple[Version, ...] | None:
    """Returns the versions with which a driver is compared, lowest first: those of the tables and of the requirements.

    `said` is all that is known besides the driver. None where drivers cannot be told apart by bounds: one of a
    requirement is unusual, or a version in `said` could be taken for a driver that stands for others.
    """
    versions = [version for text in requirements for version in _VERSION.findall(text)]
    if _SPELT.search(said) or not all(map(_USUAL_BOUND.fullmatch, versions)):
        return None
    return tuple(sorted({*_of_tables(), *map(_numbers, versions)}))


def stand_in(driver: str, bounds: Sequence[Version]) -> str | None:
    """Returns the driver that stands for all that fare as this one does: 535.0054.0004.

    None for one that is unusual, or Windows', or may be a release of Jetson Linux, each of which has a row of its own.
    """
    numbers = driver.split(".")
    if not _USUAL.fullmatch(driver) or numbers[0] in by_first_number() or (len(numbers) == 2 and is_windows(driver)):
        return None
    version = (*map(int, numbers), 0, 0, 0)[:_LONGEST]
    below = max(bounds[bisect_right(bounds, version) - 1], (version[0], 0, 0, 0))
    return _lowest(below, len(numbers), below == version)


@lru_cache(maxsize=4096)
def _lowest(bound: Version, count: int, is_bound: bool) -> str:
    """The driver of so many numbers that is the bound, or the lowest one above it."""
    branch, *numbers = bound[:count]
    if not is_bound:
        numbers[-1] += 1
    return ".".join((str(branch), *(f"{number:04}" for number in numbers)))


def _numbers(version: str) -> Version:
    return (*map(int, version.split(".")), 0, 0, 0)[:_LONGEST]


@cache
def _of_tables() -> frozenset[Version]:
    return frozenset(_in_tables())


def _in_tables() -> Iterator[Version]:
    yield 0, 0, 0, 0
    for operator, bound in (one for row in cuda_rows() for both in row.driver.alternatives for one in both):
        yield _numbers(bound)
        if operator == "==":  # it holds for every driver that begins so
            *begins, last = bound.split(".")
            yield _numbers(".".join((*begins, str(int(last) + 1))))
    told = (
        *(text for toolkit in toolkits() for text in (toolkit.min_driver, toolkit.table_min_driver)),
        *(floor.min_driver for floor in minor_version_floors().values()),
        *(cell.min_driver for cell in forward_cells()),
        *(text for row in architectures().values() for text in (row.first_driver_branch, row.dropped_by_branch)),
    )
    yield from (_numbers(text) for text in told if text)
