"""The CUDA table to look at: each row in words, the grid of CUDA versions and architectures, and a host's verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuctl.compat.answer.driver_choice import driver_floors, first_branch_without, really_older
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.judge.by_driver import fits
from gpuctl.compat.judge.by_gpu import gpu_and_driver, gpu_and_toolkit
from gpuctl.compat.judge.judge import judge, verdict_with
from gpuctl.compat.judge.rulings import Cuda, resolve_cuda, worst
from gpuctl.compat.knowledge.gpus.gpus import Gpu, gpu_of_every_kind
from gpuctl.compat.tables.loader import CudaRow, architectures, cuda_versions, rows_of
from gpuctl.compat.versions import parse_cuda, parts
from gpuctl.frozen import dataclass
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


def asked_versions(cuda: str | None) -> tuple[Cuda, ...]:
    """Returns the CUDA versions that are meant, oldest first: every one (None), every 12.x (12), 12.4, or 12.4.1.

    One that the tables do not know has `unknown` set. Raises ValueError where `cuda` is no version.
    """
    version = parse_cuda(cuda) if cuda else ()
    known = [minor for minor in cuda_versions() if parse_cuda(minor)[: len(version)] == version]
    if cuda and (len(version) > 1 or not known):
        return (resolve_cuda(cuda),)
    return tuple(resolve_cuda(minor) for minor in known)


def matrix(cuda: str | None = None, images: bool = False) -> tuple[MatrixRow, ...]:
    """Returns the table, oldest CUDA first, or the rows of the versions meant. Raises ValueError where none is meant.

    `images` adds the rows of the images' own requirement, which tell what starts rather than what works.
    """
    known = (asked for asked in asked_versions(cuda) if not asked.unknown)
    pairs = ((asked, row) for asked in known for row in rows_of(asked.minor) if images or row.decides)
    return tuple(_matrix_row(asked, row) for asked, row in pairs)


def _matrix_row(asked: Cuda, row: CudaRow) -> MatrixRow:
    update = asked.update if row.for_any_gpu else None
    driver, source = row.driver.text, row.source
    if update and update.min_driver:
        driver, source = f">= {update.min_driver}", update.source
    return MatrixRow(asked.text, driver, row.gpus, _architectures(row), row.kind, source)


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
class Cell:
    """What a CUDA version asks of the driver on GPUs: on some of an architecture's, or on one that is named (`gpu`).

    From `lowest_driver` on it runs; from `with_limits_from` on with limits. Both None: not at all. `below`: the first
    branch that no longer drives these GPUs. `reason` is the id of the rule that decides, `source` its document.
    `verdict` is that of the driver in question, None where there is none.
    """

    cuda: str
    architecture: str
    compute_capabilities: tuple[str, ...]
    gpu: str | None
    lowest_driver: str | None
    with_limits_from: str | None
    below: str | None
    reason: str
    source: str
    verdict: Verdict | None


def grid(asked: Sequence[Cuda], gpus: Sequence[Gpu] = (), driver: str | None = None) -> tuple[Cell, ...]:
    """Returns the cells of CUDA versions that the tables know, on every architecture or on the GPUs named.

    An architecture has several cells where its compute capabilities differ. Integrated GPUs (Tegra) are left out: the
    driver's numbers do not apply to them.
    """
    columns = tuple(dict.fromkeys(gpus)) or gpu_of_every_kind()
    cells = [_cell(cuda, gpu, bool(gpus), driver) for cuda in asked if not cuda.unknown for gpu in columns]
    return tuple(cells) if gpus else _merged(cells)


def _cell(cuda: Cuda, gpu: Gpu, named: bool, driver: str | None) -> Cell:
    floors = driver_floors(cuda, (gpu,))
    lowest, limited = floors.get(Verdict.COMPATIBLE), floors.get(Verdict.LIMITED)
    rulings = judge(cuda, lowest or limited or next(iter(floors.values())), replace(gpu, driven=False))
    verdict = worst(ruling.verdict for ruling in rulings)
    reason = next(ruling.reason for ruling in rulings if ruling.verdict == verdict)
    return Cell(
        cuda.text,
        gpu.architecture,
        (gpu.compute_capability,),
        gpu.name if named else None,
        lowest,
        limited if limited and (lowest is None or really_older(limited, lowest)) else None,
        first_branch_without((gpu,)),
        reason.id,
        reason.source,
        verdict_with(cuda, driver, (gpu,)) if driver else None,
    )


def _merged(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """One cell for an architecture's compute capabilities that differ in nothing but where it is written."""
    same: dict[Cell, Cell] = {}
    for cell in cells:
        alike = replace(cell, compute_capabilities=(), source="")
        found = same.get(alike)
        capabilities = (*found.compute_capabilities, *cell.compute_capabilities) if found else cell.compute_capabilities
        same[alike] = replace(found or cell, compute_capabilities=capabilities)
    return tuple(same.values())


@dataclass(frozen=True)
class Column:
    """GPUs on which every CUDA version asks for the same, with the cell of each: of one architecture, or one named."""

    head: str
    compute_capabilities: tuple[str, ...]
    cells: dict[str, Cell]


def narrow_columns(cells: Sequence[Cell]) -> tuple[Column, ...]:
    """Returns the cells in columns in which nothing differs: an architecture may have several."""
    found: list[Column] = []
    for head, under in columns(cells).items():
        alike: dict[tuple[Cell, ...], list[str]] = {}
        for capability in sorted({one for cell in under for one in cell.compute_capabilities}, key=parts):
            own = tuple(cell for cell in under if capability in cell.compute_capabilities)
            alike.setdefault(own, []).append(capability)
        found += [Column(head, tuple(caps), {cell.cuda: cell for cell in own}) for own, caps in alike.items()]
    return tuple(found)


def columns(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Returns the cells of each architecture in the order in which these came, or of each GPU that is named."""
    order = list(dict.fromkeys(row.architecture for row in architectures().values()))
    found: dict[str, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: -1 if cell.gpu else order.index(cell.architecture)):
        found.setdefault(cell.gpu or cell.architecture, []).append(cell)
    return found


@dataclass(frozen=True)
class HostColumn:
    """What a host makes of each CUDA version, oldest first: its driver, its GPUs' names, the verdicts."""

    driver: str
    gpus: tuple[str, ...]
    verdicts: dict[str, Verdict]


def host_column(
    driver: str, gpus: Sequence[Gpu], open_module: bool | None = None, asked: Sequence[Cuda] = ()
) -> HostColumn:
    """Returns the verdict of each CUDA version on a host with at least one GPU. `driver` may be a branch.

    The versions are those of the table, and any that are asked for besides.
    """
    versions = dict.fromkeys((*cuda_versions(), *(cuda.text for cuda in asked)))
    verdicts = {cuda: verdict_with(resolve_cuda(cuda), driver, gpus, open_module) for cuda in versions}
    return HostColumn(driver, tuple(dict.fromkeys(gpu.name for gpu in gpus)), verdicts)


@dataclass(frozen=True)
class Matrix:
    """The rows, the grid's cells and the host's column, the same CUDA versions in all of them, oldest first.

    `driver` is the one that the cells' verdicts are for, `compute_capabilities` are those of the GPUs in question.
    `unknown` says why the tables cannot tell of a CUDA version.
    """

    rows: tuple[MatrixRow, ...]
    cells: tuple[Cell, ...]
    host: HostColumn | None
    driver: str | None
    compute_capabilities: tuple[str, ...]
    unknown: str | None


def whole_matrix(cuda: str | None, host: Machine, only_gpus: bool = False) -> Matrix:
    """Returns the table, with the verdicts of the host's driver and GPUs as far as they are known.

    `only_gpus` leaves out all other GPUs. Raises ValueError where `cuda` is no version.
    """
    asked = asked_versions(cuda)
    known = [one for one in asked if not one.unknown]
    judged = host_column(host.driver, host.gpus, host.open_module, known) if host.driver and host.gpus else None
    unknown = next((f"CUDA {one.text} is not in the table: {one.unknown}." for one in asked if one.unknown), None)
    cells = grid(known, host.gpus if only_gpus else (), host.driver)
    capabilities = tuple(dict.fromkeys(gpu.compute_capability for gpu in host.gpus))
    return Matrix(matrix(cuda), cells, judged, host.driver, capabilities, unknown)
