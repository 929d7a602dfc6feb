"""All rules together. The worst ruling is the verdict, and all reasons are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.judge.by_code import gpu_and_code
from gpuctl.compat.judge.by_driver import driver_and_cuda
from gpuctl.compat.judge.by_gpu import gpu_and_driver, gpu_and_toolkit
from gpuctl.compat.judge.by_jetpack import on_jetson_linux, wheel_on_jetson
from gpuctl.compat.judge.rulings import SEVERITY, Cuda, Ruling, minor_versions, resolve_cuda, worst
from gpuctl.compat.knowledge.branch_ends import releases_meant
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.model import Reason, Verdict


@lru_cache(maxsize=4096)  # the hosts of a fleet are alike
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
    return worst(ruling.verdict for gpu in dict.fromkeys(gpus) for ruling in judge(cuda, driver, gpu, open_module))


def verdict_with(cuda: Cuda, driver: str, gpus: Sequence[Gpu], open_module: bool | None = None) -> Verdict:
    """Returns the verdict for a host whose driver is told as people tell it: of a branch the worse of its two ends."""
    return worst(verdict_on(cuda, release, gpus, open_module) for release in releases_meant(driver))


def judge_ask(ask: Ask, cuda: Cuda, driver: str, gpu: Gpu, open_module: bool | None = None) -> tuple[Ruling, ...]:
    """Returns what every rule says about one GPU and what asks: `judge`, and whether its build has code for the GPU.

    `cuda` is what `asked_cuda` made of the ask.
    """
    if ask.for_cpu:
        return (Ruling(Verdict.COMPATIBLE, Reason("build.for-cpu", ask.for_cpu, ask.source)),)
    if ask.unknown:
        return (Ruling(Verdict.UNKNOWN, Reason("build.not-known", ask.unknown, ask.source)), *gpu_and_code(ask, gpu))
    of_wheel = wheel_on_jetson(ask) if on_jetson_linux(driver, gpu) else ()
    about_host = judge(cuda, driver, gpu, open_module)
    if ask.has_compat:
        about_host = tuple(_carried(ask, cuda, one) for one in about_host)
    return (*about_host, *gpu_and_code(ask, gpu, cuda), *of_wheel)


def _carried(ask: Ask, cuda: Cuda, ruling: Ruling) -> Ruling:
    """Returns a ruling as it is with the package that an image carries.

    Sources: https://gitlab.com/nvidia/container-images/cuda (base images), and "Driver Requirements" of each month in
    https://docs.nvidia.com/deeplearning/frameworks/ (on a data-centre GPU older drivers run it by that package).
    """
    if ruling.verdict is not Verdict.NEEDS_PACKAGE:
        return ruling
    package = f"cuda-compat-{cuda.minor.replace('.', '-')}"
    message = f"{ask.by} carries {package}, by which this driver runs CUDA {cuda.minor} on a data-centre GPU."
    return replace(ruling, verdict=Verdict.COMPATIBLE, reason=replace(ruling.reason, message=message))


def members(ask: Ask) -> tuple[Cuda, ...]:
    """Returns the CUDA versions of which one is enough for what asks, oldest first. Raises ValueError."""
    if ask.unknown or ask.for_cpu:
        return (Cuda("", "", unknown=ask.unknown or ask.for_cpu),)
    known = minor_versions(ask.cuda, ask.from_minor) if ask.any_minor else ()
    return tuple(map(resolve_cuda, known or (ask.from_minor or ask.cuda,)))


def verdict_of(ask: Ask, driver: str, gpus: Sequence[Gpu], open_module: bool | None = None) -> Verdict:
    """Returns the verdict for what asks on a host, by all the rules that judge it."""
    cuda = asked_cuda(ask, driver, gpus, open_module)
    rulings = (judge_ask(ask, cuda, driver, gpu, open_module) for gpu in dict.fromkeys(gpus))
    return worst(ruling.verdict for several in rulings for ruling in several)


def asked_cuda(ask: Ask, driver: str, gpus: Sequence[Gpu], open_module: bool | None = None) -> Cuda:
    """Returns the CUDA version that is asked for; where any minor version will do, the lowest of those that fare best.

    Raises ValueError where it is no version.
    """
    several = members(ask)
    if len(several) == 1:
        return several[0]
    return min(several, key=lambda cuda: SEVERITY.index(verdict_on(cuda, driver, gpus, open_module)))
