"""A sign of life for what takes longer than half a second: on stderr, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

PATIENCE = 0.5


@contextmanager
def working(text: str) -> Iterator[None]:
    """Shows a spinner with `text` while the body runs, once it has run for PATIENCE seconds."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    status = Console(stderr=True).status(text)
    timer = Timer(PATIENCE, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # one that has just fired must not start the spinner after its end
        status.stop()
