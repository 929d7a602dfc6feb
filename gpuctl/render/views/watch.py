"""A host that is watched: lines as they come, JSON lines, or a view of a terminal that stays current."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime

from gpuctl.checks.compare.changed import Changed
from gpuctl.facts.gather import Facts
from gpuctl.model import Report
from gpuctl.render.draw.text import NARROWEST, Styled, plain
from gpuctl.render.formats.json import as_json, dumps
from gpuctl.render.formats.standing import standing, waived_until
from gpuctl.render.views.doctor import report_text
from gpuctl.render.views.finding import MARKS

Tell = Callable[[Report, Facts, list[Changed]], None]
_KEPT = 10
"""So many of the last changes stand below the report."""


def viewer(as_json: bool) -> AbstractContextManager[Tell]:
    """Returns a context that hands out what is told of each look: the report, the facts, and what has changed."""
    if as_json or not sys.stdout.isatty():
        return _lines(_json_line if as_json else lambda one, at: _line(one, at).plain)
    return _view()


@contextmanager
def _lines(line: Callable[[Changed, str], str]) -> Iterator[Tell]:
    def tell(_: Report, __: Facts, changes: list[Changed]) -> None:
        at = _now()
        sys.stdout.write("".join(line(one, at) for one in changes))
        sys.stdout.flush()

    yield tell


@contextmanager
def _view() -> Iterator[Tell]:
    """The report of the last look with the last changes below it; what stays on the terminal is the last of them."""
    from rich.console import Console
    from rich.live import Live

    console = Console(markup=False, highlight=False, emoji=False)
    last: deque[Styled] = deque(maxlen=_KEPT)

    with Live("Looking at this host", console=console, auto_refresh=False) as live:

        def tell(report: Report, facts: Facts, changes: list[Changed]) -> None:
            at = _now()
            last.extend(_line(one, at) for one in changes if one.was)
            text = report_text(report, facts, verbose=False).append(f"\nLooked at {at}. Ctrl-C ends it.\n", "dim")
            for line in last:
                text.append(line)
            live.update(text.folded(max(console.width, NARROWEST)).rich(), refresh=True)

        yield tell


def _line(one: Changed, at: str) -> Styled:
    mark, style = MARKS[one.now.status]
    was = f" (was {standing(one.was)})" if one.was else ""
    accepted = f"; {waived_until(one.now.waived)}" if one.now.waived else ""
    text = Styled(f"{at} ", "dim").append(f"{mark}  ", style)
    return text.append(f"{one.now.id}: {plain(one.now.message)}{accepted}{was}\n")


def _json_line(one: Changed, at: str) -> str:
    was = standing(one.was) if one.was else None
    document = {"schema": "gpuctl.doctor-watch/1", "at": at, "was": was, "finding": as_json(one.now)}
    return dumps(document) + "\n"


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
