"""A sign of life for what takes longer than half a second: on stderr, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections import Counter
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
def tallying(text: str, total: int) -> Iterator[Callable[[str, str], None]]:
    """Hands out what is told of each of `total` hosts how it ended: a table of how many did so, and which one last."""
    if not sys.stderr.isatty():
        yield lambda state, host: None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    counts: Counter[str] = Counter()
    last: dict[str, str] = {}

    def table() -> Table:
        rows = Table.grid(padding=(0, 2))
        rows.add_row(Text(f"{counts.total()}/{total}", "bold"), Text(text))
        for state, count in counts.most_common():
            rows.add_row(Text(str(count)), Text(state), Text(plain(last[state]), "dim", overflow="ellipsis"))
        return rows

    def tell(state: str, host: str) -> None:
        counts[state] += 1
        last[state] = host

    with Live(get_renderable=table, console=Console(stderr=True), transient=True):
        yield tell


@contextmanager
def counting(text: str, total: int) -> Iterator[Callable[[], None]]:
    """Hands out what is told after each of `total` things. It starts no thread, so that processes may be started."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    done, shown = 0, time.monotonic()
    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:

        def tell() -> None:
            nonlocal done, shown
            done += 1
            if time.monotonic() - shown > PATIENCE:
                shown = time.monotonic()
                live.update(Text(f"{text}: {done} of {total}"), refresh=True)

        yield tell


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
