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
    counts: Counter[str] = Counter()
    for one in verdicts:
        said = one.kind.said
        counts[said.verdict.value if said.verdict else BAD_ROW] += 1
        if json:
            sys.stdout.write(host_json(one) + "\n")
        else:
            host_text(one).show()
    print(summary(counts), file=sys.stderr if json else sys.stdout)
    return {Verdict.UNKNOWN if name == BAD_ROW else Verdict(name) for name in counts}


def host_json(one: HostVerdict) -> str:
    """Returns a host's verdict as one line of JSON."""
    return f'{{"schema": "gpuctl.check-host/1", "line": {one.line}, "host": {dumps(one.host)}, {_class_json(one.kind)}'


@lru_cache(maxsize=1 << 15)
def _class_json(kind: HostClass) -> str:
    """What is the same for all hosts of a class: the rest of the object."""
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
    return dumps(document).removeprefix("{")


def host_text(one: HostVerdict) -> Styled:
    """Returns a host's verdict as one line of text."""
    row, said = one.kind.row, one.kind.said
    verdict, style = (said.verdict.value, STYLES[said.verdict]) if said.verdict else (BAD_ROW, "bold magenta")
    named = (one.host or "", row.gpu or row.compute_capability, row.driver, row.cuda or row.image)
    what = "  ".join(plain(word) for word in named if word)
    why = plain(said.error or said.message or "")
    return Styled(f"{one.line:>6}  ").append(f"{verdict:<13}", style).append(f"  {what}  ").append(f"{why}\n", "dim")


def summary(counts: Counter[str]) -> str:
    """Returns how many hosts got which verdict, as one line."""
    order = [*(verdict.value for verdict in Verdict), BAD_ROW]
    told = ", ".join(f"{counts[name]} {name}" for name in order if counts[name])
    return f"{counts.total()} {'host' if counts.total() == 1 else 'hosts'}: {told}."
