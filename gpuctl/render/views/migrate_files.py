"""Files that were rewritten, or would be: the new ones on stdout, what changed and why beside them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gpuctl.migrate.files import FileMigration
from gpuctl.migrate.migration import Change
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import as_json, document

_LONGEST = 60
"""The characters of a piece that are shown of it in a sentence."""


def files_json(command: str, files: Sequence[FileMigration]) -> str:
    """Returns the files as JSON."""
    found = [
        {
            "path": file.path,
            "changed": file.is_changed,
            "after": file.migration.after,
            "diff": file.diff,
            "changes": as_json(file.migration.changes),
            "left": as_json(file.migration.left),
            "backup": file.backup,
        }
        for file in files
    ]
    return document(f"migrate-{command}", {"files": found})


def show_files(files: Sequence[FileMigration], diff: bool, written: bool) -> None:
    """Prints the new files, or with `diff` what differs, and on stderr each change with its reason.

    Of files that were written it is said where what they were is kept.
    """
    for file in files:
        if diff:
            from gpuctl.render.views.changes import diff_text  # it loads much that no other way here needs

            diff_text(file.diff).show()
        if written:
            _written(file).show()
        elif not diff:
            _show_file(file, len(files) > 1)
    sys.stdout.flush()
    reasons(files).show(sys.stderr)


def _show_file(file: FileMigration, is_one_of_many: bool) -> None:
    head = f"# {plain(file.path)}\n" if is_one_of_many else ""
    if sys.stdout.isatty():
        lines = file.migration.after.splitlines()
        Styled(head + "".join("\t".join(map(plain, line.split("\t"))) + "\n" for line in lines), whole=True).show()
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(head.encode() + file.after)


def _written(file: FileMigration) -> Styled:
    if file.backup is None:
        return Styled(f"unchanged: {plain(file.path)}\n")
    return Styled(f"changed: {plain(file.path)}\nwhat it was: {plain(file.backup)}\n")


def reasons(files: Sequence[FileMigration]) -> Styled:
    """Returns a line for each change and for each piece that was left, with its place and its reason."""
    text = Styled()
    for file in files:
        for change in file.migration.changes:
            text.append(f"{plain(file.path)}:{change.line}: ", "dim").append(
                f"{_change(change)}: {plain(change.why)}\n"
            )
        for left in file.migration.left:
            text.append(f"{plain(file.path)}:{left.line}: ", "dim").append("left ", "yellow")
            text.append(f"{_piece(left.text)}: {plain(left.why)}\n")
        if not file.migration.changes and not file.migration.left:
            text.append(f"{plain(file.path)}: nothing to change\n")
    return text


def _change(change: Change) -> str:
    if not change.new:
        return f"without {_piece(change.old)}"
    return f"{_piece(change.new)} instead of {_piece(change.old)}" if change.old else f"with {_piece(change.new)}"


def _piece(text: str) -> str:
    words = plain(" ".join(text.split()))
    return f"`{words if len(words) <= _LONGEST else words[: _LONGEST - 1] + '…'}`"
