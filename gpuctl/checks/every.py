"""Every check of every layer, in the order of their files: importing this registers them all, by their being there."""

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules

from gpuctl.checks import layers
from gpuctl.checks.engine import CHECKS, LAYERS, diagnose
from gpuctl.model import Finding, Report, Status

__all__ = ["CHECKS", "LAYERS", "chosen", "diagnose", "finding", "part", "select"]

for _module in iter_modules(layers.__path__):
    import_module(f"{layers.__name__}.{_module.name}")
_ordered = sorted(CHECKS.items(), key=lambda item: item[1].judge.__module__)  # some may have been loaded before
CHECKS.clear()
CHECKS.update(_ordered)


def select(name: str) -> frozenset[str]:
    """Returns the ids of the checks of a layer, or the one check of that id; empty when nothing has that name."""
    return frozenset(one.id for one in CHECKS.values() if name in (one.id, one.layer))


def chosen(only: Iterable[str] = (), skip: Iterable[str] = ()) -> frozenset[str]:
    """Returns the ids of the checks of some layers and checks.

    `only` names them, all where it names nothing; `skip` names those of them to leave out.
    """
    wanted = frozenset().union(*map(select, only)) or frozenset(CHECKS)
    return wanted - frozenset().union(*map(select, skip))


def part(report: Report, only: Iterable[str] = (), skip: Iterable[str] = ()) -> Report:
    """Returns the findings of the chosen checks, and those because of which one of them is skipped."""
    wanted = chosen(only, skip)
    told = [one for one in report.findings if one.id in wanted]
    shown = {one.id for one in told} | {one.rests_on for one in told}
    return Report(tuple(one for one in report.findings if one.id in shown))


def finding(report: Report, checks: tuple[str, ...], says: str = "") -> Finding | None:
    """Returns the first of these checks' findings that failed, else the first that warned, with a word in it."""
    by_id = {one.id: one for one in report.findings}
    told = [by_id[id] for id in checks if id in by_id and says in by_id[id].message]
    loud = [one for status in (Status.FAIL, Status.WARN) for one in told if one.status is status]
    return loud[0] if loud else None
