"""What has to be looked at for a part of the doctor to say what the whole would."""

from __future__ import annotations

from collections.abc import Iterable

from gpuctl.checks.engine import CHECKS, LAYERS
from gpuctl.checks.select import load
from gpuctl.facts.own.configuration import Configuration
from gpuctl.facts.packages.history import PackageHistory
from gpuctl.model import Report, Status


def subjects(ids: Iterable[str]) -> tuple[type, ...]:
    """Returns the subjects of the facts on which it rests what these checks say, when, and whether it counts."""
    checks = [CHECKS[id] for id in deciding(frozenset(ids))]
    dates = (PackageHistory,) if any(one.follows for one in checks) else ()
    return tuple(dict.fromkeys((*(subject for one in checks for subject in one.needs), *dates, Configuration)))


def deciding(ids: frozenset[str]) -> frozenset[str]:
    """Returns these checks and those that decide whether they are asked and listened to: below them, or their cause."""
    bases = {base for id in ids for base in LAYERS[CHECKS[id].layer]}
    found = ids.union(one.id for one in CHECKS.values() if one.layer in bases or ids.intersection(one.explains))
    return found if found == ids else deciding(found)


def in_doubt(report: Report) -> tuple[type, ...]:
    """Returns the subjects of all checks that may be unknown for one reason with a finding of the report, before it.

    The first of them is the one that is shown, and the others rest on it. None where nothing is unknown.
    """
    layers = list(LAYERS)
    unknown = [CHECKS[one.id] for one in report.findings if one.status is Status.UNKNOWN]
    if not unknown:
        return ()
    load(frozenset(layers[: 1 + max(layers.index(one.layer) for one in unknown)]))
    return subjects(
        one.id
        for one in CHECKS.values()
        for other in unknown
        if layers.index(one.layer) <= layers.index(other.layer) and set(one.needs) & set(other.needs)
    )
