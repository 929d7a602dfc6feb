"""All rules together. The worst ruling is the verdict, and all reasons are kept."""

from __future__ import annotations

from collections.abc import Sequence

from gpuctl.compat.driver_rules import driver_and_cuda
from gpuctl.compat.gpu_rules import gpu_and_driver, gpu_and_toolkit
from gpuctl.compat.gpus import Gpu
from gpuctl.compat.rulings import Cuda, Ruling, worst
from gpuctl.model import Verdict


def judge(cuda: Cuda, driver: str, gpu: Gpu, open_module: bool | None = None) -> tuple[Ruling, ...]:
    """Returns what every rule says about one GPU, at least one ruling. `driver` is dotted numbers.

    `open_module` tells whether the kernel module is the open one; None leaves that rule out.
    """
    about_gpu = (*gpu_and_toolkit(cuda, gpu), *gpu_and_driver(driver, gpu, open_module))
    about_driver = driver_and_cuda(cuda, driver, gpu)
    if Verdict.INCOMPATIBLE in (ruling.verdict for ruling in about_gpu):
        # What a table row promises for other GPUs of that driver would only confuse; a second no is worth telling.
        about_driver = tuple(ruling for ruling in about_driver if ruling.verdict == Verdict.INCOMPATIBLE)
    return (*about_gpu, *about_driver)


def verdict_on(cuda: Cuda, driver: str, gpus: Sequence[Gpu], open_module: bool | None = None) -> Verdict:
    """Returns the verdict for a host: that of the GPU which is worst off, since a container sees them all."""
    return worst(ruling.verdict for gpu in gpus for ruling in judge(cuda, driver, gpu, open_module))
