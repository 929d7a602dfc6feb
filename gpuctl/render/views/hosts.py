"""The verdicts of many hosts: a line each as they come, and a summary."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from gpuctl.compat.answer.fleet_rows import HostClass, HostVerdict
from gpuctl.model import Verdict
from gpuctl.render.draw.text import Styled, plain
from gpuctl.render.formats.json import dumps
from gpuctl.render.views.check import STYLES

BAD_ROW = "bad row"


def print_hosts(verdicts: Iterable[HostVerdict], json: bool) -> set[Verdict]:
    """Prints each host as it comes, and on stderr, or below the table, how many got which verdict. Returns those.

    A bad row counts as unknown.
    """
    counts: Counter[Verdict | None] = Counter()
    for one in verdicts:
        counts[one.kind.said.verdict] += 1
        if json:
            sys.stdout.write(host_json(one))
        else:
            host_text(one).show()
    print(summary(counts), file=sys.stderr if json else sys.stdout)
    return {verdict or Verdict.UNKNOWN for verdict in counts}


def host_json(one: HostVerdict) -> str:
    """Returns a host's verdict as one line of JSON."""
    said = one.driver.join(_class_json(one.kind))
    return f'{{"schema": "gpuctl.check-host/1", "line": {one.line}, "host": {dumps(one.host)}, {said}\n'


@lru_cache(maxsize=1 << 15)
def _class_json(kind: HostClass) -> list[str]:
    """What is the same for all hosts of a class, between the places of the driver: the rest of the object."""
    row, said = kind.row, kind.said
    asked = {"verdict": said.requirement, "failed": said.failed} if said.requirement else None
    document = {
        "driver": row.driver or None,
        "gpu": row.gpu or row.compute_capability or None,
        "cuda": row.cuda or None,
        "image": row.image or None,
        "verdict": said.verdict,
        "reason": said.reason,
        "message": said.message,
        "requirement": asked,
        "error": said.error,
    }
    return _around(row.driver, dumps(document).removeprefix("{"))


def _around(driver: str, text: str) -> list[str]:
    return text.split(driver) if driver else [text]


def host_text(one: HostVerdict) -> Styled:
    """Returns a host's verdict as one line of text."""
    verdict, style, what, why = _class_text(one.kind)
    named = "  ".join(filter(None, (plain(one.host or ""), one.driver.join(what))))
    line = Styled(f"{one.line:>6}  ").append(f"{verdict:<13}", style)
    return line.append(f"  {named}  ").append(f"{one.driver.join(why)}\n", "dim")


@lru_cache(maxsize=1 << 15)
def _class_text(kind: HostClass) -> tuple[str, str, list[str], list[str]]:
    """The verdict with its style, what the hosts of a class are and why: both between the places of the driver."""
    row, said = kind.row, kind.said
    verdict, style = (said.verdict.value, STYLES[said.verdict]) if said.verdict else (BAD_ROW, "bold magenta")
    named = (row.gpu or row.compute_capability, row.driver, row.cuda or row.image)
    what = "  ".join(plain(word) for word in named if word)
    return verdict, style, _around(row.driver, what), _around(row.driver, plain(said.error or said.message or ""))


def summary(counts: Counter[Verdict | None]) -> str:
    """Returns how many hosts got which verdict, None for a bad row, as one line."""
    told = ", ".join(f"{counts[one]} {one.value if one else BAD_ROW}" for one in (*Verdict, None) if counts[one])
    return f"{counts.total()} {'host' if counts.total() == 1 else 'hosts'}: {told}."
