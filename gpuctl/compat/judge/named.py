"""Which GPU is meant where its driver is known: of those that a name may mean the ones that the driver drives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuctl.compat.judge.by_gpu import gpu_and_driver
from gpuctl.compat.knowledge.gpus.gpus import Gpu, find_gpu, gpus_named


def gpus_beside(drivers: Sequence[str], text: str, hints: bool = True) -> tuple[Gpu, ...]:
    """Returns the GPU that a person names beside a driver, given as its releases that are meant.

    Of several that the name may mean, chips of a product or products, it is the one that the driver drives. Where that
    is none or more than one there is a GPU for each that may be meant, `one_of` the name. Raises ValueError as
    `find_gpu`.
    """
    meant = gpus_named(text)
    if not meant:
        return (find_gpu(text, hints),)
    driven = tuple(gpu for gpu in meant if not any(gpu_and_driver(one, gpu, None) for one in drivers)) or meant
    if len(driven) > 1:
        return driven
    is_product = all(gpu.name.startswith(f"{gpu.one_of} (") for gpu in meant)
    return (replace(driven[0], name=driven[0].one_of if is_product else driven[0].name, one_of=""),)
