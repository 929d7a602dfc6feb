"""Judgement: every check of every layer. Importing this registers them all."""

from gpuctl.checks import docker, driver, hardware, image, kernel, registration, toolkit
from gpuctl.checks.engine import CHECKS, LAYERS, diagnose

__all__ = [
    "CHECKS",
    "LAYERS",
    "diagnose",
    "docker",
    "driver",
    "hardware",
    "image",
    "kernel",
    "registration",
    "select",
    "toolkit",
]


def select(name: str) -> frozenset[str]:
    """Returns the ids of the checks of a layer, or the one check of that id; empty when nothing has that name."""
    return frozenset(one.id for one in CHECKS.values() if name in (one.id, one.layer))
