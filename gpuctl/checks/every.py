"""Every check of every layer: importing this registers them all, by their being there."""

from gpuctl.checks.engine import CHECKS, LAYERS, diagnose
from gpuctl.checks.select import load

__all__ = ["CHECKS", "LAYERS", "diagnose"]

load()
