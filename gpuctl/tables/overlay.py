"""The tables that a run goes by: gpuctl's own, or an overlay's in their place, once verified."""

from __future__ import annotations

from typing import NamedTuple

from gpuctl.compat.tables.overlay import SIZE_LIMIT, Overlay, digest, is_table_file, older_tables, put_in_effect
from gpuctl.host.look.folders import read_folder
from gpuctl.host.places import SYSTEM, VARIABLE, chosen_data
from gpuctl.host.write.files import FileProblem
from gpuctl.host.write.notes import note, noted


class NoTables(Exception):
    """The folder is not there, or holds no table. The message is a sentence."""


class TablesRefused(Exception):
    """An overlay is wrong, and refused whole. The message names the first problem, and how to see all."""


def read_overlay(folder: str) -> Overlay:
    """Returns a folder's tables as they are. Raises NoTables."""
    try:
        seen = read_folder(folder, is_table_file, SIZE_LIMIT)
    except FileProblem as problem:
        raise NoTables(str(problem)) from None
    overlay = Overlay(folder, *seen)
    if not overlay.tables:
        raise NoTables(f"{folder} holds no table.")
    return overlay


class Chosen(NamedTuple):
    """The overlay that was chosen for this run, by whom (GPUCTL_DATA, the user or the system), and its older tables.

    Of an installed one only those tables count that are not older than gpuctl's own: an upgrade has overtaken the
    others. Who names a folder in GPUCTL_DATA gets its tables whatever their day.
    """

    by: str
    whole: Overlay
    older: dict[str, str]

    @property
    def overlay(self) -> Overlay:
        """What counts."""
        return self.whole if self.by == VARIABLE else self.whole.without(self.older)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the person should know of the older ones."""
        counts = "counts all the same" if self.by == VARIABLE else "does not count any more"
        return tuple(
            f"{self.whole.folder}: {table} is of {day}, older than gpuctl's own, and {counts}."
            for table, day in self.older.items()
        )


def read_choice(by: str, folder: str) -> Chosen:
    """Returns a folder's tables as somebody's choice. Raises NoTables."""
    overlay = read_overlay(folder)
    return Chosen(by, overlay, older_tables(overlay))


def chosen_overlay() -> Chosen | None:
    """Returns this run's overlay, not yet verified; None: gpuctl's own tables it is. Raises TablesRefused."""
    place = chosen_data()
    if place is None:
        return None
    by, folder = place
    try:
        return read_choice(by, folder)
    except NoTables as problem:
        raise TablesRefused(f"{_named(by)} cannot be used: {problem} {_way_out(by)}") from None


def use_chosen_tables() -> Chosen | None:
    """Makes this run go by the chosen overlay. Returns it, None where there is none. Raises TablesRefused."""
    chosen = chosen_overlay()
    if chosen is None:
        return None
    mark = digest(chosen.overlay)
    if not noted(mark):
        _verify(chosen)
        note(mark)
    put_in_effect(chosen.overlay)
    return chosen


def _verify(chosen: Chosen) -> None:
    from gpuctl.compat.tables.verify import verify

    problems = verify(chosen.overlay).problems
    if problems:
        more = f" It is one of {len(problems)} problems: `gpuctl data verify` lists them." if problems[1:] else ""
        raise TablesRefused(f"{_named(chosen.by)} are refused: {problems[0]}{more} {_way_out(chosen.by)}")


def _named(by: str) -> str:
    return f"The tables of {by}" if by == VARIABLE else "The installed tables"


def _way_out(by: str) -> str:
    if by == VARIABLE:
        return f"Correct them or unset {by}."
    return f"{'As root, go' if by == SYSTEM else 'Go'} back to gpuctl's own with `gpuctl data use --bundled`."
