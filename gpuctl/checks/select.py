"""Checks by name, a layer's or their own: each is found by being there, and loaded where it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from gpuctl.checks import layers as files
from gpuctl.checks.engine import CHECKS, EXPLAINED_BY, LAYERS
from gpuctl.model import Finding, Report, Status


@cache
def load(layers: frozenset[str] = frozenset(LAYERS)) -> None:
    """Registers every check of some layers, and of those that decide on them, in the order of their files.

    A file whose name begins with a layer's has checks of that layer alone; any other one may have some of each.
    """
    deciding = layers.union(*(LAYERS[one] + EXPLAINED_BY.get(one, ()) for one in layers))
    if deciding != layers:
        load(deciding)
        return
    for file in iter_modules(files.__path__):
        if file.name.partition("_")[0] not in LAYERS.keys() - layers:
            import_module(f"{files.__name__}.{file.name}")
    ordered = sorted(CHECKS.items(), key=lambda item: item[1].judge.__module__)  # some may have been loaded before
    CHECKS.clear()
    CHECKS.update(ordered)


def select(name: str) -> frozenset[str]:
    """Returns the ids of the checks of a layer, or the one check of that id; empty when nothing has that name."""
    load(frozenset(LAYERS).intersection((name.partition(".")[0],)))
    return frozenset(one.id for one in CHECKS.values() if name in (one.id, one.layer))


def chosen(only: Iterable[str] = (), skip: Iterable[str] = ()) -> frozenset[str]:
    """Returns the ids of the checks of some layers and checks.

    `only` names them, all where it names nothing; `skip` names those of them to leave out.
    """
    wanted = frozenset().union(*map(select, only))
    if not wanted:
        load()
        wanted = frozenset(CHECKS)
    return wanted - frozenset().union(*map(select, skip))


def part(report: Report, wanted: frozenset[str]) -> Report:
    """Returns the findings of these checks, and those because of which one of them is skipped."""
    told = [one for one in report.findings if one.id in wanted]
    shown = {one.id for one in told} | {one.rests_on for one in told}
    return Report(tuple(one for one in report.findings if one.id in shown))


def finding(report: Report, checks: tuple[str, ...], says: str = "") -> Finding | None:
    """Returns the first of these checks' findings that failed, else the first that warned, with a word in it."""
    by_id = {one.id: one for one in report.findings}
    told = [by_id[id] for id in checks if id in by_id and says in by_id[id].message]
    loud = [one for status in (Status.FAIL, Status.WARN) for one in told if one.status is status]
    return loud[0] if loud else None
