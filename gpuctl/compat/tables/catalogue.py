"""Which tables there are, of which day each is, and what its rows rest on: knowledge from data/tables.jsonl."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache

from gpuctl.compat.tables.loader import CATALOGUE, folder_of, is_bundled, load, read_lines
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class CatalogueEntry:
    """A table: what it holds, the day on which its rows were last compared with their sources, where to find newer."""

    table: str
    holds: str
    as_of: str
    source: str
    note: str | None = None


@cache
def catalogue() -> tuple[CatalogueEntry, ...]:
    """Returns the tables that this run goes by, by name."""
    return load(CATALOGUE, CatalogueEntry)


@dataclass(frozen=True)
class TableInfo:
    """A table with its folder, its number of rows, and how many of them rest on each source, most common first."""

    entry: CatalogueEntry
    folder: str
    bundled: bool
    rows: int
    sources: tuple[tuple[str, int], ...]


def table_infos() -> tuple[TableInfo, ...]:
    """Returns what there is to say of every table that this run goes by."""
    return tuple(_info(entry) for entry in catalogue())


def _info(entry: CatalogueEntry) -> TableInfo:
    table = entry.table
    sources = Counter(json.loads(line)["source"] for line in read_lines(table))
    rows = sum(sources.values())
    return TableInfo(entry, str(folder_of(table)), is_bundled(table), rows, tuple(sources.most_common()))
