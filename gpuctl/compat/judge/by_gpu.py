"""The rules about the GPU: does the toolkit compile for it, does the driver drive it, is the kernel module right?"""

from __future__ import annotations

from collections.abc import Sequence

from gpuctl.compat.judge.rulings import Cuda, Ruling
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.tables.loader import Architecture, architectures
from gpuctl.compat.versions import parts
from gpuctl.model import Reason, Verdict

OPEN_MODULE_SOURCE = "https://github.com/NVIDIA/open-gpu-kernel-modules/blob/main/README.md"


def gpu_and_toolkit(cuda: Cuda, gpu: Gpu) -> tuple[Ruling, ...]:
    """Returns a ruling where the toolkit does not compile for the GPU, or the tables know one of the two not."""
    if cuda.unknown:
        reason = Reason(
            "cuda.not-in-table", f"CUDA {cuda.text} is not in the table: {cuda.unknown}.", "gpuctl's tables"
        )
        return (Ruling(Verdict.UNKNOWN, reason),)
    row = architectures().get(gpu.compute_capability)
    if row is None:
        message = f"The compute capability of {gpu.name} ({gpu.compute_capability or 'not told'}) is not in the table."
        return (Ruling(Verdict.UNKNOWN, Reason("gpu.not-in-table", message, "gpuctl's tables")),)
    names = _names(row)
    if any(_compiles_for(cuda, name) for name in names):
        return ()
    what = f"compute capability {row.compute_capability} ({row.architecture})"
    if all(name.first_toolkit_without and parts(cuda.minor) >= parts(name.first_toolkit_without) for name in names):
        message = f"CUDA {cuda.minor} has dropped {what}: the last toolkit for it is {row.last_toolkit}."
        return (Ruling(Verdict.INCOMPATIBLE, Reason("gpu.dropped-by-toolkit", message, row.source)),)
    return (Ruling(Verdict.LIMITED, Reason("gpu.newer-than-toolkit", _newer_gpu(cuda, row, names, what), row.source)),)


def is_newer(gpu: Gpu, cuda: Cuda) -> bool:
    """Returns whether a GPU came after a CUDA version, whose toolkit does not know it; False where that is unknown."""
    row = None if cuda.unknown else architectures().get(gpu.compute_capability)
    return row is not None and all(parts(cuda.minor) < parts(name.first_toolkit) for name in _names(row))


def _names(row: Architecture) -> list[Architecture]:
    return [row, architectures()[row.same_chip_as]] if row.same_chip_as else [row]


def _compiles_for(cuda: Cuda, row: Architecture) -> bool:
    version = parts(cuda.minor)
    ended = row.first_toolkit_without is not None and version >= parts(row.first_toolkit_without)
    return parts(row.first_toolkit) <= version and not ended


def _newer_gpu(cuda: Cuda, row: Architecture, names: list[Architecture], what: str) -> str:
    first = min((name.first_toolkit for name in names), key=parts)
    major, minor = row.compute_capability.split(".")
    elders = [
        other.compute_capability
        for other in architectures().values()
        if not other.integrated
        and other.compute_capability.split(".")[0] == major
        and int(other.compute_capability.split(".")[1]) < int(minor)
        and _compiles_for(cuda, other)
    ]
    carried = f"code for {elders[-1]} or PTX" if elders else "PTX"
    return (
        f"CUDA {cuda.minor} is older than {what}: programs run only if they carry {carried}, which the driver compiles "
        f"at start, and its libraries may have no kernels for this GPU. The first toolkit that knows it is {first}."
    )


def gpu_and_driver(driver: str, gpu: Gpu, open_module: bool | None) -> tuple[Ruling, ...]:
    """Returns a ruling where the driver does not drive the GPU, or the kernel module is of the wrong kind."""
    row = architectures().get(gpu.compute_capability)
    reasons = (_driver_branch_reason(driver, gpu, row), _open_module_reason(gpu, row, open_module)) if row else ()
    return tuple(Ruling(Verdict.INCOMPATIBLE, reason) for reason in reasons if reason)


def _driver_branch_reason(driver: str, gpu: Gpu, row: Architecture) -> Reason | None:
    what = f"{row.architecture} (compute capability {row.compute_capability})"
    if row.dropped_by_branch and parts(driver) >= parts(row.dropped_by_branch):
        message = f"Driver {driver} does not drive {what}: branch {row.last_driver_branch} is the last that does."
        return Reason("driver.dropped-gpu", message, row.source)
    if row.first_driver_branch and parts(driver) < parts(row.first_driver_branch) and not gpu.driven:
        message = f"Driver {driver} does not know {what}: branch {row.first_driver_branch} is the first known to."
        return Reason("driver.older-than-gpu", message, row.source)
    return None


def open_module_need(gpu: Gpu) -> str | None:
    """Returns how a GPU stands to the open kernel module: no, optional or required; None where that is not known."""
    row = architectures().get(gpu.compute_capability)
    return gpu.open_module or (row.open_module if row else None)


def serving_modules(gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """Returns the flavours of the kernel module, "open" and "proprietary", that drive all of these GPUs; maybe none.

    A host loads one flavour for all its GPUs.
    """
    needs = {open_module_need(gpu) for gpu in gpus}
    barred = {"open": "no", "proprietary": "required"}
    return tuple(flavour for flavour, need in barred.items() if need not in needs)


def _open_module_reason(gpu: Gpu, row: Architecture, open_module: bool | None) -> Reason | None:
    need = open_module_need(gpu)
    if open_module is True and need == "no":
        message = f"The open kernel module drives Turing and newer; {row.architecture} needs the proprietary one."
        return Reason("driver.open-module", message, OPEN_MODULE_SOURCE)
    if open_module is False and need == "required":
        message = f"{gpu.name} needs the open kernel module; the proprietary one does not drive {row.architecture}."
        return Reason("driver.proprietary-module", message, OPEN_MODULE_SOURCE)
    return None
