"""Installing verified tables in the place where later runs find them, and taking them away again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gpuctl.compat.tables.loader import CATALOGUE, lines_of
from gpuctl.compat.tables.overlay import Overlay, bundled_text, dates, digest, file_of, older_tables
from gpuctl.compat.tables.rows import Problem
from gpuctl.compat.tables.verify import verify
from gpuctl.frozen import dataclass
from gpuctl.host.places import SYSTEM, SYSTEM_DATA, VARIABLE, chosen_data, own_data
from gpuctl.host.write.files import FileProblem, is_there
from gpuctl.host.write.lock import locked
from gpuctl.host.write.notes import note
from gpuctl.host.write.publish import create_public, examine, publish, remove_leftovers, withdraw
from gpuctl.model import Disturbs, ExitCode, Plan, Step
from gpuctl.provision.result import NO_STEPS, UNTOUCHED
from gpuctl.tables.overlay import NoTables, read_overlay

HOMELESS = f"There is no home folder here to install tables in: set XDG_DATA_HOME, or name the folder in {VARIABLE}."


@dataclass(frozen=True)
class TableChange:
    """A table that is installed: its day, its rows, and how many of them are new or gone against the one before."""

    table: str
    as_of: str
    rows: int
    added: int
    removed: int


@dataclass(frozen=True)
class TablesInstalled:
    """How it ended, or with `dry_run` would end. `problems` are those of the tables; `error` is a sentence or more."""

    place: str
    dry_run: bool
    code: ExitCode = ExitCode.GOOD
    changed: bool = False
    tables: tuple[TableChange, ...] = ()
    problems: tuple[Problem, ...] = ()
    plan: Plan = NO_STEPS
    notes: tuple[str, ...] = ()
    error: str | None = None


def use_tables(folder: str, dry_run: bool) -> TablesInstalled:
    """Installs a folder's tables once they are verified, in the place of all that was installed. Raises NoTables."""
    return use_overlay(read_overlay(folder), dry_run)


def use_overlay(overlay: Overlay, dry_run: bool) -> TablesInstalled:
    """Installs tables once they are verified, in the place of all that was installed."""
    by, place = own_data()
    result = TablesInstalled(place, dry_run)
    problems = (*verify(overlay).problems, *_too_old(overlay))
    if problems:
        return replace(result, code=ExitCode.PROBLEM, problems=problems, error=f"The tables are refused. {UNTOUCHED}")
    before = _installed(place)
    changes = tuple(_change(overlay, table, before) for table in overlay.tables)
    step = Step(f"install {len(changes)} tables of {overlay.folder} in {place}", Disturbs.NOTHING)
    result = replace(result, tables=changes, notes=_notes_on_use(by))
    return _carried_out(result, step, before != overlay.files, lambda: _install(place, overlay.files))


def use_bundled(dry_run: bool) -> TablesInstalled:
    """Takes away what was installed, so that later runs go by gpuctl's own tables."""
    by, place = own_data()
    result = TablesInstalled(place, dry_run, notes=_notes_on_bundled(by))
    step = Step(f"remove {place}", Disturbs.NOTHING)
    return _carried_out(result, step, is_there(place), lambda: _uninstall(place))


def _carried_out(result: TablesInstalled, step: Step, needed: bool, carry_out: Callable[[], bool]) -> TablesInstalled:
    """`carry_out` returns whether something was changed, and tidies up after runs that were killed."""
    if not result.place:
        return replace(result, code=ExitCode.PROBLEM, error=f"{HOMELESS} {UNTOUCHED}")
    try:
        examine(result.place)
    except FileProblem as problem:
        return replace(result, code=ExitCode.PROBLEM, error=f"{problem} {UNTOUCHED}")
    result = replace(result, plan=Plan((step,)) if needed else NO_STEPS)
    if result.dry_run or not (needed or is_there(result.place)):
        return replace(result, changed=needed)
    try:
        return replace(result, changed=carry_out())
    except FileProblem as problem:
        return replace(result, code=ExitCode.ROLLED_BACK, error=f"{problem} {UNTOUCHED}")


def _too_old(overlay: Overlay) -> Iterator[Problem]:
    """An installed table that is older than gpuctl's own would not count."""
    ours = dates(bundled_text(CATALOGUE))
    file = str(Path(overlay.folder) / file_of(CATALOGUE))
    for table, day in older_tables(overlay).items():
        yield Problem(file, None, f"The table {table} is of {day}, and gpuctl's own of {ours[table]} is newer.")


def _installed(place: str) -> Mapping[str, bytes]:
    """Returns the installed files; none where nothing is installed, or not what gpuctl installed."""
    try:
        overlay = read_overlay(place) if place else None
    except NoTables:
        overlay = None
    if overlay is None:
        return {}
    return overlay.files if set(overlay.names) == overlay.files.keys() else {}


def _install(place: str, files: Mapping[str, bytes]) -> bool:
    parent = str(Path(place).parent)
    create_public(parent)
    with locked():
        remove_leftovers(place)
        changed = _installed(place) != files
        if changed:
            publish(place, files)
    note(digest(Overlay(place, tuple(sorted(files)), files, {})))
    return changed


def _uninstall(place: str) -> bool:
    with locked():
        installed = is_there(place)
        if installed:
            withdraw(place)
        return installed


def _change(overlay: Overlay, table: str, before: Mapping[str, bytes]) -> TableChange:
    name = file_of(table)
    new = lines_of(overlay.files[name].decode("utf-8"))
    old = lines_of(before[name].decode("utf-8", "replace") if name in before else bundled_text(table))
    as_of = dates(overlay.files[file_of(CATALOGUE)].decode("utf-8"))[table]
    now, then = set(map(_said, new)), set(map(_said, old))
    return TableChange(table, as_of, len(new), len(now - then), len(then - now))


def _said(line: str) -> str:
    """Returns a row however its writer spaced it as one text, and what is none as it is."""
    try:
        return json.dumps(json.loads(line), sort_keys=True)
    except ValueError:
        return line


def _notes_on_use(by: str) -> tuple[str, ...]:
    everybody = ("They are for every user of this host who has installed none.",) if by == SYSTEM else ()
    return (*everybody, *_note_on_variable())


def _notes_on_bundled(by: str) -> tuple[str, ...]:
    system = is_there(SYSTEM_DATA) and by != SYSTEM
    others = (f"The tables that root has installed in {SYSTEM_DATA} count then.",) if system else ()
    return (*others, *_note_on_variable())


def _note_on_variable() -> tuple[str, ...]:
    chosen = chosen_data()
    return (f"{VARIABLE} is set: while it is, {chosen[1]} counts.",) if chosen and chosen[0] == VARIABLE else ()
