"""What gpuctl changed on this host: as text and as JSON."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from gpuctl.facts.own.journal import DONE, UNDONE, Changes, Run
from gpuctl.facts.own.journal_entries import FileWrite, Installation, JournalEntry
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import document

_STYLES = {DONE: "green", UNDONE: "dim"}


def history_json(changes: Changes) -> str:
    """Returns the runs as JSON, newest first; times are in UTC."""
    body = {"runs": [_run(run) for run in reversed(changes.runs.value or ())], "unknown": changes.runs.unknown}
    return document("history", body)


def history_text(changes: Changes) -> Styled:
    """Returns the runs as lines, newest first; times are in the local time zone."""
    text = Styled()
    for run in reversed(changes.runs.value or ()):
        local = datetime.fromtimestamp(run.at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
        text.append(f"{local}  ").append(f"{run.state:<12}", _STYLES.get(run.state, "yellow"))
        text.append(f" {plain(run.command)}  ").append(f"{run.id}\n", "dim")
        text.append("".join(f"    {plain(line)}\n" for line in map(_line, run.entries) if line))
    if changes.runs.unknown:
        text.append(f"The journal cannot be read whole: {plain(changes.runs.reason)}\n", "yellow")
    return text if text.plain else Styled("gpuctl has changed nothing on this host.\n")


def _line(entry: JournalEntry) -> str:
    if isinstance(entry, FileWrite):
        return f"{entry.replacement.path}, what it was: {entry.replacement.kept}"
    if isinstance(entry, Installation):
        return f"packages: {', '.join(entry.before)}"
    return ""


def _run(run: Run) -> dict[str, Any]:
    return {
        "run": run.id,
        "command": run.command,
        "at": datetime.fromtimestamp(run.at, timezone.utc).isoformat(timespec="seconds"),
        "uid": run.by,
        "state": run.state,
        "undoes": run.undoes,
        "asked_by": run.asked_by,
        "files": [{"path": write.replacement.path, "backup": write.replacement.kept} for write in run.writes],
        "packages": [name for entry in run.entries if isinstance(entry, Installation) for name in entry.before],
    }
