"""The tables that the answers rest on: what they are, what is wrong with them, what was installed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gpuctl.compat.tables.catalogue import TableInfo
from gpuctl.compat.tables.rows import Problem
from gpuctl.render.draw.text import Styled, plain, say
from gpuctl.render.formats.json import document
from gpuctl.render.views.changes import diff_text

if TYPE_CHECKING:
    from gpuctl.tables.overlay import Chosen
    from gpuctl.tables.refresh import Refreshed
    from gpuctl.tables.use import TablesInstalled
    from gpuctl.tables.verify import Verification

SHOWN = 20
"""Problems on a screen."""


def show_json(tables: Sequence[TableInfo], chosen: Chosen | None) -> str:
    """Returns the tables of this run as JSON. `overlay` is null where all are gpuctl's own."""
    body = {
        "overlay": {"folder": chosen.whole.folder, "chosen_by": chosen.by} if chosen else None,
        "tables": [_info_json(info) for info in tables],
        "notes": chosen.notes if chosen else (),
    }
    return document("data-show", body)


def _info_json(info: TableInfo) -> dict[str, Any]:
    return {
        "table": info.entry.table,
        "holds": info.entry.holds,
        "rows": info.rows,
        "as_of": info.entry.as_of,
        "note": info.entry.note,
        "bundled": info.bundled,
        "folder": info.folder,
        "sources": [{"source": source, "rows": rows} for source, rows in info.sources],
    }


def show_text(tables: Sequence[TableInfo], chosen: Chosen | None, verbose: bool) -> Styled:
    """Returns a line for each table; `verbose` adds what it holds and every source."""
    width = max(len(info.entry.table) for info in tables)
    text = Styled(f"{'table':{width}}  {'rows':>5}  {'as of':10}  {'from':7}  sources\n", "bold")
    for info in tables:
        origin = "bundled" if info.bundled else "overlay"
        text.append(f"{info.entry.table:{width}}  {info.rows:5}  {info.entry.as_of}  {origin:7}  ")
        text.append(_details(info) if verbose else f"{_first_source(info)}\n", "dim")
    if chosen:
        text.append(f"Overlay: {plain(chosen.whole.folder)} (chosen by {_chooser(chosen.by)}).\n")
    for note in chosen.notes if chosen else ():
        text.append(f"{plain(note)}\n", "yellow")
    return text


def _first_source(info: TableInfo) -> str:
    more = f" and {len(info.sources) - 1} more" if info.sources[1:] else ""
    return plain(info.sources[0][0]) + more


def _details(info: TableInfo) -> str:
    note = [info.entry.note] if info.entry.note else []
    sources = [f"{rows:5} x {source}" for source, rows in info.sources]
    first, *rest = (plain(line) for line in (info.entry.holds, *note, *sources))
    return "".join(f"{line}\n" for line in (first, *(f"      {line}" for line in rest)))


def _chooser(by: str) -> str:
    return {"user": "this user's gpuctl data use", "system": "root's gpuctl data use"}.get(by, by)


def verify_json(done: Verification) -> str:
    """Returns what was found as JSON, all problems listed."""
    body = {
        "overlay": done.folder,
        "tables": done.verified.tables,
        "rows": done.verified.rows,
        "problems": [asdict(problem) for problem in done.verified.problems],
        "notes": done.notes,
    }
    return document("data-verify", body)


def verify_text(done: Verification) -> Styled:
    """Returns the problems, a screenful at most, or that there is none."""
    verified = done.verified
    where = f"{done.folder} over gpuctl's own tables" if done.folder else "gpuctl's own tables"
    text = problems_text(verified.problems)
    for note in done.notes:
        text.append(f"{plain(note)}\n", "yellow")
    count = len(verified.problems)
    outcome = f"{count} problem{'' if count == 1 else 's'}" if count else "nothing is wrong"
    return text.append(f"{verified.tables} tables, {verified.rows:,} rows ({plain(where)}): {outcome}.\n")


def problems_text(problems: Sequence[Problem]) -> Styled:
    """Returns a line for each problem, a screenful at most."""
    text = Styled()
    for problem in problems[:SHOWN]:
        text.append("FAIL  ", "bold red").append(f"{plain(str(problem))}\n")
    if problems[SHOWN:]:
        text.append(f"      and {len(problems) - SHOWN:,} more, which --json lists\n", "dim")
    return text


def use_json(result: TablesInstalled) -> str:
    """Returns the result as JSON."""
    return document("data-use", _installation_json(result))


def refreshed_json(done: Refreshed) -> str:
    """Returns the proposed rows and what became of them as JSON."""
    body = _installation_json(done.installation)
    return document("data-refresh", {**body, "rows": done.rows, "diff": done.diff, "notes": _notes(done)})


def _installation_json(result: TablesInstalled) -> dict[str, Any]:
    return {
        "changed": result.changed,
        "dry_run": result.dry_run,
        "folder": result.place or None,
        "tables": [asdict(change) for change in result.tables],
        "problems": [asdict(problem) for problem in result.problems],
        "steps": [asdict(step) for step in result.plan.steps],
        "notes": result.notes,
        "error": result.error,
    }


def print_refreshed(done: Refreshed) -> None:
    """Prints the proposed rows as a diff and what became of them; an error goes to stderr."""
    text = diff_text(done.diff)
    for note in done.notes:
        text.append(f"{plain(note)}\n")
    text.show()
    print_use(done.installation, "data refresh")


def _notes(done: Refreshed) -> tuple[str, ...]:
    return (*done.notes, *done.installation.notes)


def print_use(result: TablesInstalled, command: str = "data use") -> None:
    """Prints the result of a command; an error goes to stderr."""
    problems_text(result.problems).show(sys.stderr)
    if result.error is not None:
        say(f"gpuctl {command}: {result.error}")
        return
    text = Styled()
    if result.changed:
        for one in result.tables:
            text.append(f"{one.table}: {one.rows} rows of {one.as_of}, {one.added} new, {one.removed} gone\n")
    for step in result.plan.steps if result.dry_run else ():
        text.append(f"would {plain(step.text)} (disturbs {step.disturbs.value})\n")
    if not result.dry_run or not result.changed:
        text.append(f"{'changed' if result.changed else 'unchanged'}: {plain(result.place)}\n")
    for note in result.notes:
        text.append(f"{plain(note)}\n")
    text.show()
