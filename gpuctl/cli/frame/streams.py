"""stdin, stdout and stderr that hold however the caller treats them: closed, full, or a reader that goes away."""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TextIO


class _Lenient(io.FileIO):
    """A file descriptor whose failures end no command: what cannot be written is dropped.

    A reader that has gone away wanted no more, which is no error; any other reason is kept in `lost`.
    """

    lost: OSError | None = None

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        try:
            return super().write(view) or 0
        except BrokenPipeError:
            return view.nbytes
        except OSError as error:
            self.lost = error
            return view.nbytes


def open_streams() -> None:
    """Puts streams in the place of stdout and stderr that take any text, and drop what nobody takes.

    Where stdin is closed there is nothing to read.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115
    for name in ("stdout", "stderr"):
        setattr(sys, name, _stream(getattr(sys, name)))


def nobody_writes() -> bool:
    """Returns whether stdin is no file and no pipe that a caller gave: it is a terminal, or was closed."""
    return sys.stdin.isatty() or sys.stdin.name == os.devnull


def reader_gone() -> bool:
    """Returns whether nobody will read what is written to stdout: the reader of its pipe has gone away."""
    watched = select.poll()
    watched.register(sys.stdout.fileno(), 0)  # of errors poll tells unasked
    return bool(watched.poll(0))


def _stream(given: TextIO | None) -> TextIO:
    if given is None:  # closed by the caller
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    file = io.BufferedWriter(_Lenient(given.fileno(), "w", closefd=False))
    # An encoding of theirs may lack our characters.
    return io.TextIOWrapper(file, given.encoding, "replace", line_buffering=given.isatty())


def lost_output() -> str | None:
    """Writes out what stdout still holds. Returns why something of it could not be written, None where nothing was."""
    sys.stdout.flush()
    raw = getattr(sys.stdout.buffer, "raw", None)
    return raw.lost.strerror if isinstance(raw, _Lenient) and raw.lost else None
