"""The rule about driver and CUDA: by the table, by minor-version compatibility, by forward compatibility.

The GPU condition of a table row is a filter, not an alternative: where the row for a P100 fails, the row for every
other GPU does not help it.
"""

from __future__ import annotations

from functools import cache

from gpuctl.compat.judge.by_jetpack import board_and_jetson_linux, jetpack_and_cuda, on_jetson_linux
from gpuctl.compat.judge.by_windows import LIMITS, windows_and_cuda
from gpuctl.compat.judge.rulings import Cuda, Ruling
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.knowledge.jetpack import ARCHIVE
from gpuctl.compat.knowledge.windows import is_windows
from gpuctl.compat.tables.loader import (
    CudaRow,
    CudaToolkit,
    architectures,
    branches,
    driver_branch,
    forward_cells,
    minor_version_floors,
    rows_of,
    toolkits,
)
from gpuctl.compat.versions import parts
from gpuctl.model import Reason, Verdict


def driver_and_cuda(cuda: Cuda, driver: str, gpu: Gpu) -> tuple[Ruling, ...]:
    """Returns whether the driver runs the CUDA version on this GPU, by the first of these that answers.

    A row of the CUDA table (compatible), minor-version compatibility (limited), forward compatibility (needs-package);
    else incompatible. Nothing, where the tables do not know the CUDA version or have no row for so old a GPU.
    """
    if cuda.unknown:
        return ()
    row = architectures().get(gpu.compute_capability)
    if row and row.integrated:
        if on_jetson_linux(driver, gpu):
            return board_and_jetson_linux(driver, gpu) or (jetpack_and_cuda(cuda, driver),)
        message = (
            f"{gpu.name} is integrated (Tegra): its driver comes with JetPack, and these tables do not apply. Give the "
            "release of Jetson Linux for the driver: 36.4.3, by cat /etc/nv_tegra_release."
        )
        return (Ruling(Verdict.UNKNOWN, Reason("gpu.integrated", message, ARCHIVE)),)
    fitting = tuple(row for row in rows_of(cuda.minor) if row.decides and fits(row, gpu, driver))
    if not fitting:
        return ()
    if is_windows(driver):
        return windows_and_cuda(cuda, driver)
    return (*_by_rows(cuda, driver, gpu, fitting), *_beyond_the_table(driver, gpu))


def _by_rows(cuda: Cuda, driver: str, gpu: Gpu, fitting: tuple[CudaRow, ...]) -> tuple[Ruling, ...]:
    holding = tuple(row for row in fitting if _holds(row, cuda, driver))
    return (
        _by_table(cuda, driver, holding)
        or _by_minor_version(cuda, driver, fitting)
        or _by_brand_unknown(cuda, driver, gpu)
        or _by_forward_compatibility(cuda, driver, gpu, fitting)
        or (_too_old(cuda, driver, fitting), *_by_an_ended_branch(cuda, driver, gpu))
    )


def fits(row: CudaRow, gpu: Gpu, driver: str) -> bool | None:
    """Returns whether a row is for this GPU; None where that hangs on a brand that is not known."""
    capability = gpu.compute_capability
    if row.compute_capability and capability != row.compute_capability:
        return False
    if row.except_compute_capability and capability == row.except_compute_capability:
        return False
    if row.min_compute_capability and capability and parts(capability) < parts(row.min_compute_capability):
        return False
    brand = gpu.brand_on(parts(driver))
    return (None if brand is None else brand in row.brands) if row.brands else True


def _holds(row: CudaRow, cuda: Cuda, driver: str) -> bool:
    """A later update of a toolkit may ask for more than the row of its CUDA version does."""
    floor = cuda.update.min_driver if cuda.update and row.for_any_gpu else None
    return row.driver.holds(parts(driver)) and (floor is None or parts(driver) >= parts(floor))


def _by_table(cuda: Cuda, driver: str, holding: tuple[CudaRow, ...]) -> tuple[Ruling, ...]:
    if not holding:
        return ()
    row = holding[0]
    message = f"Driver {driver} runs CUDA {cuda.text}, which asks for {in_words(row)}."
    ruling = Ruling(Verdict.COMPATIBLE, Reason("driver.table-row", message, row.source), holding)
    asked = (toolkit for toolkit in _disputable() if toolkit.cuda == cuda.minor)
    return (ruling, *(_disputed(one) for one in asked if parts(driver) < parts(one.table_min_driver or "")))


def _beyond_the_table(driver: str, gpu: Gpu) -> tuple[Ruling, ...]:
    """That a branch is newer than all known ones: each runs older CUDA, and some have dropped GPUs."""
    newest = branches()[-1]
    if gpu.driven or int(driver.partition(".")[0]) <= int(newest.branch):
        return ()
    message = (
        f"Branch {driver.partition('.')[0]} of the driver is not in gpuctl's tables, whose newest is {newest.branch}: "
        f"it runs older CUDA, and whether it still drives {gpu.name} is not known."
    )
    return (Ruling(Verdict.COMPATIBLE, Reason("driver.not-in-table", message, newest.source)),)


@cache
def _disputable() -> tuple[CudaToolkit, ...]:
    return tuple(one for one in toolkits() if one.table_min_driver and one.table_min_driver != one.min_driver)


def _disputed(toolkit: CudaToolkit) -> Ruling:
    message = (
        f"NVIDIA's documents disagree about CUDA {toolkit.cuda}: the release notes ask for {toolkit.table_min_driver}, "
        f"the installer carries {toolkit.bundled_driver}, and the container table asks for {toolkit.min_driver}."
    )
    return Ruling(Verdict.COMPATIBLE, Reason("driver.disputed", message, toolkit.source))


def _by_minor_version(cuda: Cuda, driver: str, fitting: tuple[CudaRow, ...]) -> tuple[Ruling, ...]:
    floor = minor_version_floors().get(parts(cuda.minor)[0])
    if floor is None or parts(driver) < parts(floor.min_driver):
        return ()
    message = (
        f"CUDA {cuda.text} asks for a newer driver than {driver}: {_asked(cuda, fitting)}. From {floor.min_driver} on "
        f"every CUDA {floor.major}.x runs, {LIMITS}"
    )
    return (Ruling(Verdict.LIMITED, Reason("driver.minor-version", message, floor.source), fitting),)


def _by_brand_unknown(cuda: Cuda, driver: str, gpu: Gpu) -> tuple[Ruling, ...]:
    open_rows = tuple(
        row
        for row in rows_of(cuda.minor)
        if row.decides and fits(row, gpu, driver) is None and _holds(row, cuda, driver)
    )
    if not open_rows:
        return ()
    row = open_rows[0]
    message = f"Driver {driver} runs CUDA {cuda.text} on {row.gpus} only, and the brand of {gpu.name} is not known."
    return (Ruling(Verdict.UNKNOWN, Reason("gpu.brand-unknown", message, row.source), open_rows),)


def _by_forward_compatibility(cuda: Cuda, driver: str, gpu: Gpu, fitting: tuple[CudaRow, ...]) -> tuple[Ruling, ...]:
    source = _forward_base(cuda, driver)
    if source is None:
        return ()
    package = f"cuda-compat-{cuda.minor.replace('.', '-')}"
    if gpu.product_class is None:
        message = f"{package} would run CUDA {cuda.minor} on this driver, on data-centre GPUs only: name the product."
        return (Ruling(Verdict.UNKNOWN, Reason("gpu.class-unknown", message, source), fitting),)
    if gpu.product_class != "datacenter":
        message = f"{package} does not help: forward compatibility is for data-centre GPUs, which {gpu.name} is not."
        return (
            _too_old(cuda, driver, fitting),
            Ruling(Verdict.INCOMPATIBLE, Reason("gpu.not-data-centre", message, source), fitting),
        )
    message = f"Driver {driver} runs CUDA {cuda.minor} on this data-centre GPU with {package} in the image."
    return (Ruling(Verdict.NEEDS_PACKAGE, Reason("driver.forward-compatibility", message, source), fitting),)


def _forward_base(cuda: Cuda, driver: str) -> str | None:
    """Returns the document that names the driver's branch as a base for that CUDA's package; None where none does.

    NVIDIA's matrix decides where it has a cell. It leaves out branches that have ended; for those the image's own
    requirement tells: it accepts a branch because the image carries the package. New-feature branches are no base.
    """
    branch = driver_branch(driver)
    cell = next(
        (cell for cell in forward_cells() if cell.cuda == cuda.minor and branch and cell.base == branch.branch), None
    )
    if cell:
        return cell.source if cell.supported and parts(driver) >= parts(cell.min_driver) else None
    if branch is None or branch.kind == "NFB":
        return None
    gates = (row for row in rows_of(cuda.minor) if row.kind == "image" and row.brands)
    return next((row.source for row in gates if row.driver.holds(parts(driver))), None)


def _by_an_ended_branch(cuda: Cuda, driver: str, gpu: Gpu) -> tuple[Ruling, ...]:
    """That NVIDIA's matrix tells nothing of a branch that was a base once: notes of its time may have named it."""
    branch = driver_branch(driver)
    cells = [cell for cell in forward_cells() if cell.cuda == cuda.minor]
    told = branch is None or any(cell.base == branch.branch for cell in cells)
    if told or not cells or branch is None or branch.kind not in ("LTSB", "PB") or gpu.product_class != "datacenter":
        return ()
    message = (
        f"Whether cuda-compat-{cuda.minor.replace('.', '-')} would run it on branch {branch.branch} is not known: "
        "NVIDIA's matrix of today leaves out branches whose support has ended."
    )
    return (Ruling(Verdict.INCOMPATIBLE, Reason("driver.ended-base", message, cells[0].source)),)


def _too_old(cuda: Cuda, driver: str, fitting: tuple[CudaRow, ...]) -> Ruling:
    message = f"Driver {driver} does not run CUDA {cuda.text}, which asks for {_asked(cuda, fitting)}."
    return Ruling(Verdict.INCOMPATIBLE, Reason("driver.too-old", message, fitting[-1].source), fitting)


def _asked(cuda: Cuda, fitting: tuple[CudaRow, ...]) -> str:
    if cuda.update and cuda.update.min_driver and all(row.for_any_gpu for row in fitting):
        return f">= {cuda.update.min_driver}"
    return ", or ".join(in_words(row) for row in fitting)


def in_words(row: CudaRow) -> str:
    """Returns a row as a phrase: ">= 418.39 on GPUs >= 3.0 (Kepler)"."""
    return f"{row.driver.text} on {row.gpus}" if row.brands else f"{row.driver.text} on GPUs {row.gpus}"
