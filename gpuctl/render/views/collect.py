"""What `gpuctl collect` recorded: as text, as JSON, and in a file's name."""

from __future__ import annotations

from datetime import datetime, timezone

from gpuctl.command import command, operands
from gpuctl.host.look.reading import Outcome
from gpuctl.host.record.archive import Snapshot
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import document


def collect_json(snapshot: Snapshot, path: str, size: int) -> str:
    """Returns what was recorded as JSON; `size` in bytes."""
    body = {
        "file": path,
        "bytes": size,
        "at": _at(snapshot).isoformat(timespec="seconds"),
        "anonymised": snapshot.anonymised,
        "taken": sorted(snapshot.readings),
        "redacted": snapshot.redacted,
        "left_out": snapshot.left_out,
    }
    return document("collect", body)


def collect_text(snapshot: Snapshot, path: str | None, size: int) -> Styled:
    """Returns what was recorded as lines, and what to do with it. `path` is None where it went to stdout."""
    found = sum(reading.outcome is Outcome.OK for reading in snapshot.readings.values())
    text = Styled(f"Wrote {plain(path or 'to stdout')}", "bold").append(f": {size / 1000:.0f} kB, {found} readings.\n")
    if snapshot.redacted:
        text.append("Redacted:\n").append("".join(f"  {plain(one)}\n" for one in snapshot.redacted), "dim")
    if snapshot.left_out:
        text.append("Left out, for its size:\n", "yellow")
        text.append("".join(f"  {plain(one)}\n" for one in snapshot.left_out), "dim")
    if not snapshot.anonymised:
        text.append("It names this host, its addresses and its GPUs; --anonymise replaces those.\n", "dim")
    if path is None:
        return text
    text.append(f"To see all of it: {command('zcat', *operands(path))}. To diagnose it: ")
    return text.append(f"{command('gpuctl', 'doctor', '--from', path)}\n", "cyan")


def _at(snapshot: Snapshot) -> datetime:
    return datetime.fromtimestamp(snapshot.at, timezone.utc)
