"""Which GPU is meant where its driver is known: of a product with several chips the one that the driver drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuctl.compat.judge.by_gpu import gpu_and_driver
from gpuctl.compat.knowledge.gpus.gpus import Gpu, chips_named, find_gpu


def gpu_beside(drivers: Sequence[str], text: str, hints: bool = True) -> Gpu:
    """Returns the GPU that a person names beside a driver, given as its releases that are meant.

    Raises ValueError as `find_gpu`, for a product too of which the driver drives several chips.
    """
    driven = [gpu for gpu in chips_named(text) if not any(gpu_and_driver(one, gpu, None) for one in drivers)]
    if drivers and len(driven) == 1:
        return replace(driven[0], name=text.strip())
    return find_gpu(text, hints)
