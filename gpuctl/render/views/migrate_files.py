"""Files that were rewritten, or would be: the new ones on stdout, what changed and why beside them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gpuctl.migrate.files import FileMigration
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import as_json, document
from gpuctl.render.views.migrate import code_text, reasons_text


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
    for file in files:
        reasons_text(file.migration, file.path).show(sys.stderr)


def _show_file(file: FileMigration, is_one_of_many: bool) -> None:
    head = f"# {plain(file.path)}\n" if is_one_of_many else ""
    if sys.stdout.isatty():
        Styled(head).append(code_text(file.migration.after)).show()
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(head.encode() + file.after)


def _written(file: FileMigration) -> Styled:
    if file.backup is None:
        return Styled(f"unchanged: {plain(file.path)}\n")
    return Styled(f"changed: {plain(file.path)}\nwhat it was: {plain(file.backup)}\n")
