"""Which GPU is meant where its driver is known: of a product with several chips those that the driver drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuctl.compat.judge.by_gpu import gpu_and_driver
from gpuctl.compat.knowledge.gpus.gpus import Gpu, chips_named, find_gpu


def gpus_beside(drivers: Sequence[str], text: str, hints: bool = True) -> tuple[Gpu, ...]:
    """Returns the GPU that a person names beside a driver, given as its releases that are meant.

    Of a product with several chips it has the one that the driver drives. Where that is none or more than one there is
    a GPU for each that may be meant, `one_of` the product. Raises ValueError as `find_gpu`, so without a driver.
    """
    chips = chips_named(text) if drivers else ()
    if not chips:
        return (find_gpu(text, hints),)
    driven = tuple(gpu for gpu in chips if not any(gpu_and_driver(one, gpu, None) for one in drivers)) or chips
    return (replace(driven[0], name=text.strip(), one_of=""),) if len(driven) == 1 else driven
