"""Judgement: every check of every layer. Importing this registers them all."""

from collections.abc import Iterable

from gpuctl.checks import (
    cdi,
    changes,
    docker,
    driver,
    hardware,
    image,
    kernel,
    packages,
    registration,
    toolkit,
    waivers,
)
from gpuctl.checks.engine import CHECKS, LAYERS, diagnose
from gpuctl.model import Report

__all__ = [
    "CHECKS",
    "LAYERS",
    "cdi",
    "changes",
    "diagnose",
    "docker",
    "driver",
    "hardware",
    "image",
    "kernel",
    "packages",
    "part",
    "registration",
    "select",
    "toolkit",
    "waivers",
]


def select(name: str) -> frozenset[str]:
    """Returns the ids of the checks of a layer, or the one check of that id; empty when nothing has that name."""
    return frozenset(one.id for one in CHECKS.values() if name in (one.id, one.layer))


def part(report: Report, only: Iterable[str] = (), skip: Iterable[str] = ()) -> Report:
    """Returns the findings of some layers and checks, and those because of which one of them is skipped.

    `only` names them, all where it names nothing; `skip` names those of them to leave out.
    """
    wanted = frozenset().union(*map(select, only)) or frozenset(CHECKS)
    left_out = frozenset().union(*map(select, skip))
    chosen = [one for one in report.findings if one.id in wanted - left_out]
    shown = {one.id for one in chosen} | {one.rests_on for one in chosen}
    return Report(tuple(one for one in report.findings if one.id in shown))
