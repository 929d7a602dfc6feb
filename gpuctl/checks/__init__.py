"""Judgement: every check of every layer. Importing this registers them all."""

from gpuctl.checks import (
    cdi,
    changes,
    docker,
    driver,
    hardware,
    image,
    kernel,
    outlook,
    packages,
    registration,
    toolkit,
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
    "outlook",
    "packages",
    "part",
    "registration",
    "select",
    "toolkit",
]


def select(name: str) -> frozenset[str]:
    """Returns the ids of the checks of a layer, or the one check of that id; empty when nothing has that name."""
    return frozenset(one.id for one in CHECKS.values() if name in (one.id, one.layer))


def part(report: Report, name: str) -> Report:
    """Returns the findings of a layer or of the one check of that id, and those because of which one is skipped."""
    chosen = [one for one in report.findings if one.id in select(name)]
    shown = {one.id for one in chosen} | {one.rests_on for one in chosen}
    return Report(tuple(one for one in report.findings if one.id in shown))
