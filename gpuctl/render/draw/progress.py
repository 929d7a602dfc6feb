"""A sign of life for what takes longer than half a second: on stderr, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

from gpuctl.model import Step
from gpuctl.render.draw.text import plain, say

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


@contextmanager
def taking_steps(text: str) -> Iterator[Callable[[Step, bool], None]]:
    """Hands out what is told of each step when it begins and when it is done.

    On a terminal it shows a list that grows, otherwise a line for each step that is done. `text` is shown before the
    first one.
    """
    if not sys.stderr.isatty():
        yield lambda step, done: say(f"done: {step.text}") if done else None
        return
    from rich.console import Console
    from rich.status import Status
    from rich.text import Text

    console = Console(stderr=True)
    with Status(text, console=console) as status:

        def tell(step: Step, done: bool) -> None:
            if done:
                console.print(Text.assemble(("✓ ", "green"), plain(step.text)), soft_wrap=True)
            status.update(Text(text if done else plain(step.text)))

        yield tell
