"""Tables of another folder, in the place of bundled ones: each as a whole, those that are not there stay bundled.

The folder's own tables.jsonl says of which day each is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gpuctl import __version__
from gpuctl.compat.tables.loader import CATALOGUE, data_dir, lines_of, put_over

SIZE_LIMIT = 4 << 20
"""The most bytes that a table may have. The largest bundled one has 0.15 MiB."""


class Overlay(NamedTuple):  # made twice as fast as a dataclass: every run with an overlay pays for it
    """A folder of tables as it was read: all its names, and its table files' content, or why one could not be read."""

    folder: str
    names: tuple[str, ...]
    files: Mapping[str, bytes]
    unreadable: Mapping[str, str]

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it holds, readable or not, the catalogue apart."""
        return tuple(table for table in table_names() if file_of(table) in self.names)

    def without(self, tables: Collection[str]) -> Overlay:
        """Returns the overlay as if it had no such tables."""
        gone = {file_of(table) for table in tables}
        return self._replace(
            names=tuple(name for name in self.names if name not in gone),
            files={name: raw for name, raw in self.files.items() if name not in gone},
            unreadable={name: why for name, why in self.unreadable.items() if name not in gone},
        )


def file_of(table: str) -> str:
    """Returns the name of a table's file."""
    return f"{table}.jsonl"


def bundled_text(table: str) -> str:
    """Returns the text of gpuctl's own table. Raises FileNotFoundError for a table that it does not have."""
    return (data_dir() / file_of(table)).read_text(encoding="utf-8")


@cache
def table_names() -> tuple[str, ...]:
    """Returns the names of gpuctl's own tables, the catalogue apart."""
    return tuple(dates(bundled_text(CATALOGUE)))


def is_table_file(name: str) -> bool:
    """Returns whether a file of an overlay is one that gpuctl reads."""
    return name in map(file_of, (CATALOGUE, *table_names()))


def strange_names(overlay: Overlay) -> tuple[str, ...]:
    """Returns the names of what gpuctl neither reads nor has beside its own tables: perhaps misspelt ones.

    Hidden files do not count: they are what editors and mounts need.
    """
    known = {path.name for path in data_dir().iterdir()}
    return tuple(name for name in overlay.names if name not in known and not name.startswith("."))


def dates(catalogue: str) -> dict[str, str]:
    """Returns each table's day (YYYY-MM-DD) by a catalogue's text; lines that are no rows of one do not count."""
    return {table: row["as_of"] for table, row in _entries(catalogue)}


def _entries(catalogue: str) -> Iterator[tuple[str, dict[str, str]]]:
    for line in lines_of(catalogue):
        try:
            row = json.loads(line)
            if all(isinstance(row[field], str) for field in ("table", "as_of")):
                yield row["table"], row
        except (ValueError, TypeError, LookupError, RecursionError):
            continue


def older_tables(overlay: Overlay) -> dict[str, str]:
    """Returns the overlay's tables that are older than gpuctl's own, each with its day."""
    ours = dates(bundled_text(CATALOGUE))
    theirs = dates(overlay.files.get(file_of(CATALOGUE), b"").decode("utf-8", "replace"))
    return {table: theirs[table] for table in overlay.tables if theirs.get(table, ours[table]) < ours[table]}


def digest(overlay: Overlay) -> str:
    """Returns what no other overlay has, over no other tables, for no other gpuctl: SHA-256 in hexadecimal digits."""
    parts = [__version__, *overlay.names]
    for path in _own_files():
        seen = path.stat()
        parts.append(f"{path.name} {seen.st_size} {seen.st_mtime_ns}")
    hashed = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape"))
    for name, raw in sorted(overlay.files.items()):
        hashed.update(f"\0{name} {len(raw)}\0".encode() + raw)
    return hashed.hexdigest()


def _own_files() -> list[Path]:
    """The files that gpuctl's own tables lie in: the only one, where all of gpuctl is a single file."""
    folder = data_dir()
    return sorted(folder.iterdir()) if isinstance(folder, Path) else [Path(str(folder.root.filename))]


def put_in_effect(overlay: Overlay) -> None:
    """Makes this run go by the overlay, which must have been verified. Call it before a table is loaded."""
    texts = {table: overlay.files[file_of(table)].decode("utf-8") for table in overlay.tables}
    if texts:
        put_over(Path(overlay.folder), {**texts, CATALOGUE: _merged_catalogue(overlay)})


def _merged_catalogue(overlay: Overlay) -> str:
    theirs = dict(_entries(overlay.files[file_of(CATALOGUE)].decode("utf-8")))
    ours = dict(_entries(bundled_text(CATALOGUE)))
    rows = {**ours, **{table: theirs[table] for table in overlay.tables}}
    return "".join(json.dumps(row) + "\n" for row in rows.values())
