"""The CUDA table to look at: each row in words, and what a host's driver and GPUs make of each CUDA version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpuctl.compat.driver_rules import fits
from gpuctl.compat.gpu_rules import gpu_and_driver, gpu_and_toolkit
from gpuctl.compat.gpus import Gpu
from gpuctl.compat.judge import verdict_on
from gpuctl.compat.rulings import resolve_cuda
from gpuctl.compat.tables import CudaRow, architectures, cuda_rows, cuda_versions
from gpuctl.model import Verdict


@dataclass(frozen=True)
class MatrixRow:
    """A row of the CUDA table: driver range and GPUs as the source words them, and the architectures that it covers.

    `kind` is explained at `tables.CudaRow`.
    """

    cuda: str
    driver: str
    gpus: str
    architectures: tuple[str, ...]
    kind: str
    source: str


def matrix(cuda: str | None = None, images: bool = False) -> tuple[MatrixRow, ...]:
    """Returns the table, oldest CUDA first, or one CUDA version's rows. Raises ValueError where `cuda` is no version.

    `images` adds the rows of the images' own requirement, which tell what starts rather than what works.
    """
    minor = resolve_cuda(cuda).minor if cuda else None
    rows = (row for row in cuda_rows() if minor in (None, row.cuda) and (images or row.decides))
    return tuple(
        MatrixRow(row.cuda, row.driver.text, row.gpus, _architectures(row), row.kind, row.source) for row in rows
    )


def _architectures(row: CudaRow) -> tuple[str, ...]:
    """Returns the architectures, oldest first, that the toolkit compiles for and that the row's GPUs and drivers cover.

    Only the row's oldest driver can tell: CUDA 11.5 still compiles for Kepler, which no driver of its row drives.
    """
    asked = resolve_cuda(row.cuda)
    known = (Gpu("", known.compute_capability, known.architecture) for known in architectures().values())
    compiled = (
        gpu for gpu in known if fits(row, gpu, row.driver.lowest()) is not False and not gpu_and_toolkit(asked, gpu)
    )
    covered = (gpu.architecture for gpu in compiled if not _dropped(gpu, row.driver.lowest()))
    return tuple(dict.fromkeys(covered))


def _dropped(gpu: Gpu, driver: str) -> bool:
    return any(ruling.reason.id == "driver.dropped-gpu" for ruling in gpu_and_driver(driver, gpu, None))


@dataclass(frozen=True)
class HostColumn:
    """What a host makes of each CUDA version, oldest first: its driver, its GPUs' names, the verdicts."""

    driver: str
    gpus: tuple[str, ...]
    verdicts: dict[str, Verdict]


def host_column(driver: str, gpus: Sequence[Gpu], open_module: bool | None = None) -> HostColumn:
    """Returns the verdict of each CUDA version on a host with at least one GPU. `driver` is dotted numbers."""
    verdicts = {cuda: verdict_on(resolve_cuda(cuda), driver, gpus, open_module) for cuda in cuda_versions()}
    return HostColumn(driver, tuple(dict.fromkeys(gpu.name for gpu in gpus)), verdicts)
