"""What `gpuctl migrate` says: what was changed and why, what was left, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpuctl.migrate.migration import Change, Migration
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import as_json, document

if TYPE_CHECKING:
    from gpuctl.migrate.containers import Audit, Audited

_OLD, _NEW, _LEFT = "red", "green", "yellow"
_LONGEST = 200
"""The characters of a piece that are shown of it."""


def migration_json(command: str, migration: Migration, backup: str | None = None) -> str:
    """Returns a command or file before and after as JSON; `backup` is where what it was is kept, if it was written."""
    return document(command, {**_body(migration), "backup": backup})


def _body(migration: Migration) -> dict[str, Any]:
    return {
        "changed": migration.after != migration.before,
        "before": migration.before,
        "after": migration.after,
        "changes": as_json(migration.changes),
        "left": as_json(migration.left),
    }


def diff_of(name: str, migration: Migration) -> str:
    """Returns the unified diff of before and after; of one line without its end, too."""
    from gpuctl.engines.text_diff import text_diff

    before, after = (text if text.endswith("\n") else f"{text}\n" for text in (migration.before, migration.after))
    return text_diff(name, before, after)


def code_text(code: str) -> Styled:
    """Returns a command or script for a terminal, to be copied: as it is, but for what steers the terminal."""
    lines = ("\t".join(map(plain, line.removesuffix("\r").split("\t"))) for line in code.split("\n"))
    return Styled("\n".join(lines), whole=True)


def reasons_text(migration: Migration, file: str = "") -> Styled:
    """Returns each change with its reason, and what was left and why; `file` stands before the lines of several."""
    text = Styled()
    for change in migration.changes:
        text.append(_place(change.line, file), "dim").append(_change(change)).append(f"\n        {plain(change.why)}\n")
    for left in migration.left:
        text.append(_place(left.line, file), "dim").append(f"left: {_piece(left.text)}\n", _LEFT)
        text.append(f"        {plain(left.why)}\n")
    changed = _count(len(migration.changes), "change") if migration.changes else "unchanged"
    stays = {0: "", 1: ", 1 left as it is"}.get(len(migration.left), f", {len(migration.left)} left as they are")
    counts = f"{changed}{stays}"
    return text.append(f"{plain(file)}: " if file else "", "dim").append(f"{counts}\n", "bold")


def _place(line: int | None, file: str) -> str:
    if file:
        return f"{plain(file)}:{line}: " if line else f"{plain(file)}: "
    return f"line {line}: " if line else ""


def _change(change: Change) -> Styled:
    text = Styled(f"- {_piece(change.old)}" if change.old else "", _OLD)
    if change.new:
        text.append(" " if change.old else "").append(f"+ {_piece(change.new)}", _NEW)
    return text


def _piece(text: str) -> str:
    words = plain(" ".join(text.split()))
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def audit_json(found: Audit) -> str:
    """Returns the containers that were looked at as JSON."""
    containers = [
        {
            "name": one.name,
            "id": one.id,
            "image": one.image,
            "by_hand": one.is_by_hand,
            "compose": one.compose or None,
            "emptied": one.emptied,
            **_body(one.migration),
        }
        for one in found.containers
    ]
    legacy = sum(one.is_legacy for one in found.containers)
    return document("migrate-container", {"legacy": legacy, "containers": containers})


def audit_text(found: Audit) -> Styled:
    """Returns the containers that map the driver by hand, each with its modern command."""
    text = Styled()
    legacy = [one for one in found.containers if one.is_legacy]
    for one in legacy:
        text.append(_audited(one))
    looked_at = _count(len(found.containers), "running container")
    if legacy:
        verb = "maps" if len(legacy) == 1 else "map"
        return text.append(f"{len(legacy)} of {looked_at} {verb} the driver by hand. None was touched.\n", "bold")
    return text.append(f"None of {looked_at} maps the driver by hand.\n")


def _audited(one: Audited) -> Styled:
    text = Styled(f"{plain(one.name)}", "bold").append(f"  {plain(one.image)}  {plain(one.id[:12])}\n", "dim")
    for path in one.emptied:
        text.append(f"  Its image has an empty {plain(path)}: it was made of a GPU container by commit or export.\n")
    if one.emptied:
        text.append("  Build it anew from its Dockerfile: no driver is in it, and the empty files hide the host's.\n")
    if one.is_by_hand and one.compose:
        text.append(f"  Compose made it of {plain(one.compose)}: that is the file to change. Without Compose:\n")
    if one.is_by_hand:
        text.append("  ").append(plain(one.migration.after), "cyan", whole=True).append("\n")
    for left in one.migration.left if one.is_by_hand else ():
        text.append(f"  left: {plain(left.text)}: {plain(left.why)}\n", _LEFT)
    return text.append("\n")
