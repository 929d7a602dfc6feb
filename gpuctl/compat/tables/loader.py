"""The tables of `data/` as frozen rows, each table read on first use.

One row a line of JSON; each row names its source. The schemas lie in `data/schemas/tables/`. Tables of another folder
may take the place of bundled ones, each as a whole: `overlay.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zipimport import zipimporter

import gpuctl
from gpuctl.compat.versions import DriverRange, parse_range, parts
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from zipfile import Path as InArchive

Row = TypeVar("Row")

CATALOGUE = "tables"
"""The table of the tables: `catalogue.py`. It has no row of its own."""


@cache
def data_dir() -> Path | InArchive:
    """Returns the folder of the tables: inside the package, which may be a single file, or at the top of a checkout."""
    package = Path(gpuctl.__file__).parent
    if isinstance(gpuctl.__loader__, zipimporter):
        from zipfile import Path as InArchive

        return InArchive(gpuctl.__loader__.archive, "gpuctl/data/")
    return next((folder for folder in (package / "data", package.parent / "data") if folder.is_dir()), package / "data")


_overlay: dict[str, tuple[Path, str]] = {}


def put_over(folder: Path, texts: Mapping[str, str]) -> None:
    """Puts a folder's texts, by table, in the place of bundled tables. Call it before a table is loaded."""
    _overlay.update((table, (folder, text)) for table, text in texts.items())


def is_bundled(table: str) -> bool:
    """Returns whether a table is gpuctl's own: no other was put over it."""
    return table not in _overlay


def folder_of(table: str) -> Path | InArchive:
    """Returns the folder that a table comes from."""
    return data_dir() if is_bundled(table) else _overlay[table][0]


def read_lines(table: str) -> Iterator[str]:
    """Yields a table's lines. Raises FileNotFoundError for a table that is not there."""
    if not is_bundled(table):
        yield from lines_of(_overlay[table][1])
        return
    with (data_dir() / f"{table}.jsonl").open(encoding="utf-8") as file:
        yield from file


def lines_of(text: str) -> list[str]:
    """Returns a table's text as lines: a line feed ends one, and nothing else."""
    return text.removesuffix("\n").split("\n")


class BrokenTable(Exception):
    """A table holds a line that is no row of it."""


def load(table: str, make: Callable[..., Row], holding: str = "") -> tuple[Row, ...]:
    """Returns all rows of a table, each line's fields as keywords, lists as tuples. Raises BrokenTable.

    `holding`: only those whose line holds a text, which saves the time that the others take to parse.
    """
    lines = [line for line in read_lines(table) if holding in line]
    try:
        return tuple(make(**_frozen(row)) for row in _parsed(lines))
    except (ValueError, TypeError) as error:
        raise BrokenTable(f"{folder_of(table) / table}.jsonl: {error}") from error


def _parsed(lines: list[str]) -> list[dict[str, Any]]:
    """All at once, which takes a third of the time. What is no table that way is told by the line that is no row."""
    with suppress(ValueError):
        rows: list[dict[str, Any]] = json.loads("[%s]" % ",".join(lines))
        if len(rows) == len(lines):
            return rows
    return [json.loads(line) for line in lines]


def _frozen(row: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


@dataclass(frozen=True)
class CudaRow:
    """A driver range that a CUDA version accepts on the GPUs that the row is for.

    `kind` says what the row rests on, and so what it may decide:
    `seed`: the nvidia-docker wiki's table, its Tesla rows included; `toolkit`: the minimum of NVIDIA's release notes;
    `branch`: 13.4 and later, where NVIDIA gives no number: the branch that reports this CUDA version;
    `image`: a branch that the images' NVIDIA_REQUIRE_CUDA accepts for some brands, because cuda-compat lies in the
    image. It tells whether a container starts, not whether CUDA works on the bare driver, and never makes `compatible`.
    """

    cuda: str
    driver: DriverRange
    gpus: str
    kind: str
    source: str
    compute_capability: str | None = None
    except_compute_capability: str | None = None
    min_compute_capability: str | None = None
    brands: tuple[str, ...] = ()
    note: str | None = None

    @property
    def decides(self) -> bool:
        """Whether the row makes a driver compatible."""
        return self.kind != "image"

    @property
    def for_any_gpu(self) -> bool:
        """Whether the row is the CUDA version's general one, bound to no brand and no single compute capability."""
        return not self.brands and self.compute_capability is None


@cache
def cuda_rows() -> tuple[CudaRow, ...]:
    """Returns the CUDA table: 13 rows of the nvidia-docker wiki, then their continuation, oldest CUDA first."""
    return load("cuda_rows", lambda driver, **row: CudaRow(driver=parse_range(driver), **row))


@cache
def rows_of(cuda: str) -> tuple[CudaRow, ...]:
    """Returns the rows of a CUDA version such as "10.1", none for one that the table does not have."""
    return tuple(row for row in cuda_rows() if row.cuda == cuda)


@cache
def cuda_versions() -> tuple[str, ...]:
    """Returns every CUDA version of the table, oldest first."""
    return tuple(dict.fromkeys(row.cuda for row in cuda_rows()))


@dataclass(frozen=True)
class CudaToolkit:
    """A release of the CUDA toolkit. `min_driver` is None where NVIDIA gives no number (13.4 and later).

    `table_min_driver` is the release notes' number, `bundled_driver` the one inside the installer; for 7.5 and 9.1 they
    differ, and `min_driver` follows the installer, as the nvidia-docker wiki does. `windows_driver` is the release
    notes' number for Windows, None where they give none.
    """

    release: str
    cuda: str
    update: str
    min_driver: str | None
    table_min_driver: str | None
    bundled_driver: str | None
    branch: str | None
    released: str | None
    source: str
    note: str | None = None
    windows_driver: str | None = None


@cache
def toolkits() -> tuple[CudaToolkit, ...]:
    """Returns all releases, oldest version first (which is not the order of their dates)."""
    return load("toolkits", CudaToolkit)


@dataclass(frozen=True)
class Architecture:
    """A compute capability: the toolkits that compile for it and the driver branches that drive it.

    `first_toolkit_without` and `dropped_by_branch` are None while it is supported. `integrated` GPUs (Tegra) have a
    driver of their own, to which the branch numbers do not apply. `open_module`: no, optional, required, None: unknown.
    """

    compute_capability: str
    architecture: str
    chips: tuple[str, ...]
    first_toolkit: str
    last_toolkit: str | None
    first_toolkit_without: str | None
    first_driver_branch: str | None
    last_driver_branch: str | None
    dropped_by_branch: str | None
    open_module: str | None
    integrated: bool
    source: str
    examples: tuple[str, ...] = ()
    first_driver_basis: str | None = None
    same_chip_as: str | None = None
    note: str | None = None


@cache
def architectures() -> dict[str, Architecture]:
    """Returns architectures by compute capability, oldest first."""
    return {row.compute_capability: row for row in load("architectures", Architecture)}


@cache
def architecture_of(chip: str) -> Architecture | None:
    """Returns what a chip is of, by its name: "GF100GL" is a GF100; None: no chip of the table.

    The longest name decides (GB10B is not of GB10x), and of Jetson Thor's two the later: 10.1 became 11.0.
    """
    known = [(len(name), row) for row in architectures().values() for name in row.chips if chip.startswith(name)]
    if not known:
        return None
    return max(known, key=lambda pair: (pair[0], parts(pair[1].compute_capability)))[1]


@dataclass(frozen=True)
class Branch:
    """A driver branch. `kind`: LTSB long-term, PB production, NFB new-feature; before 418, older names.

    `end_of_life` is YYYY-MM; None: no date found. `max_cuda` None: not known, or not one value for the branch (430).
    `windows` are the drivers for Windows whose number begins as one of this branch.
    """

    branch: str
    kind: str
    max_cuda: str | None
    end_of_life: str | None
    drops: tuple[str, ...]
    last_for: tuple[str, ...]
    open_modules: str
    newest_version: str | None
    source: str
    note: str | None = None
    windows: tuple[str, ...] = ()

    def ended(self, month: str | None = None) -> bool:
        """Returns whether support ended before a month (YYYY-MM; None: this one). False where no date is known."""
        return self.end_of_life is not None and self.end_of_life < (month or time.strftime("%Y-%m"))

    def supported(self, month: str | None = None) -> bool:
        """Returns whether NVIDIA supports it, with a known end, in a month (None: this one), and not as new-feature."""
        return self.kind in ("LTSB", "PB") and self.end_of_life is not None and not self.ended(month)


@cache
def branches() -> tuple[Branch, ...]:
    """Returns the driver branches from 340 on, oldest first."""
    return load("driver_branches", Branch)


def driver_branch(driver: str) -> Branch | None:
    """Returns the branch of a driver such as 418.87.00; None for one that the table does not have."""
    return _branches_by_number().get(driver.split(".")[0])


@cache
def _branches_by_number() -> dict[str, Branch]:
    return {branch.branch: branch for branch in branches()}


@dataclass(frozen=True)
class ForwardCell:
    """A cell of NVIDIA's forward compatibility matrix: package and base branch.

    `cell` as printed: C works with the package, N not needed, X not supported. `supported` is False for C on a
    new-feature branch, which NVIDIA excludes as a base.
    """

    package: str
    cuda: str
    base: str
    min_driver: str
    cell: str
    supported: bool
    source: str
    note: str | None = None


@cache
def forward_cells() -> tuple[ForwardCell, ...]:
    """Returns the matrix's cells, oldest CUDA first."""
    return load("forward_compat", ForwardCell)


@dataclass(frozen=True)
class MinorVersionFloor:
    """The lowest driver that runs every minor version of a CUDA major, with limits: Linux', and Windows' by its source.

    None: none is known.
    """

    major: int
    min_driver: str
    source: str
    windows_min_driver: str | None = None
    windows_source: str | None = None


@cache
def minor_version_floors() -> dict[int, MinorVersionFloor]:
    """Returns the floors by CUDA major; CUDA 10 and older have none."""
    return {row.major: row for row in load("minor_versions", MinorVersionFloor)}


@dataclass(frozen=True)
class Product:
    """A product that NVIDIA's CUDA pages name, and its chips by compute capability: several where one name has several.

    `brand` is what NVML reports, None where no source tells; `brand_before_460` what older drivers report, whose NVML
    knew seven brands only.
    """

    product: str
    product_class: str
    variants: tuple[tuple[str, tuple[str, ...]], ...]
    source: str
    aliases: tuple[str, ...] = ()
    brand: str | None = None
    brand_before_460: str | None = None
    open_module: str | None = None
    note: str | None = None


@cache
def products(holding: str = "") -> tuple[Product, ...]:
    """Returns the products, newest compute capability first; `holding`: only those whose line holds a text."""

    def make(variants: dict[str, list[str]], **row: Any) -> Product:
        return Product(variants=tuple((capability, tuple(chips)) for capability, chips in variants.items()), **row)

    return load("gpus", make, holding)


@dataclass(frozen=True)
class PciDevice:
    """A GPU's PCI device id (vendor 10de). `compute_capability` is None for the one chip where it is not known.

    The table names the architecture of that one: what the others are follows from their chip.
    """

    device: str
    product: str
    chip: str
    compute_capability: str | None
    architecture: str
    source: str


@cache
def pci_device(device: str) -> PciDevice | None:
    """Returns the GPU with this device id (four hexadecimal digits); None: no GPU from Fermi on that pci.ids knows.

    Parses only the lines with these digits: a host asks for a few ids, and the table has a thousand.
    """
    digits = f'"{device.lower()}"'
    rows = (_pci_device(**json.loads(line)) for line in read_lines("pci_ids") if digits in line)
    return next((row for row in rows if row.device == device.lower()), None)


@cache
def pci_devices() -> tuple[PciDevice, ...]:
    """Returns all GPUs of pci.ids from Fermi on, by device id."""
    return load("pci_ids", _pci_device)


def _pci_device(chip: str, compute_capability: str | None = None, architecture: str = "", **row: Any) -> PciDevice:
    known = architectures().get(compute_capability) if compute_capability else architecture_of(chip)
    if known:
        compute_capability, architecture = known.compute_capability, known.architecture
    return PciDevice(chip=chip, compute_capability=compute_capability, architecture=architecture, **row)
