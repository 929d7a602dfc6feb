"""Where the libraries that programs need come from: data/cuda_libraries.jsonl and data/library_packages.jsonl."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from gpuctl.compat.knowledge.base_systems import BaseSystem, base_systems
from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import parse_cuda
from gpuctl.frozen import dataclass

_CUDNN = re.compile(r"libcudnn(?:_[a-z_]+)?\.so\.(\d+)")
_OLD = re.compile(
    r"lib(?:cudart|cublas|cufft|cufftw|curand|cusolver|cusparse|nvblas|nvgraph|nvrtc|npp[a-z]+|accinj64|cupti)"
    r"\.so\.((?:[5-9]|10)\.\d)"
)
_KEPT_MONTHS = 36
_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,200}")
"""What a soname or a program is called. A name that comes with others' files becomes a word of a shell's."""
_LAST_NAMED_BY_CUDA = (10, 0)
"""Up to 10.0 the soname of each of the toolkit's libraries ends with the CUDA version itself.

Source: https://github.com/tensorflow/tensorflow/issues/26182 (10.0), /44312 (10.1 and later)"""


@dataclass(frozen=True)
class CudaLibraryRow:
    """A library of the toolkit by its soname, the smallest flavour that has it, and which CUDA brings it.

    `cuda_to` is None where the newest does.
    """

    library: str
    flavour: str
    cuda_from: str
    source: str
    cuda_to: str | None = None


@dataclass(frozen=True)
class CudaLibrary:
    """What brings a library of CUDA: a flavour, the first and the last CUDA version (None: the newest), or a cuDNN."""

    flavour: str
    first: str | None = None
    last: str | None = None
    cudnn: int | None = None

    def comes_with(self, cuda: str) -> bool:
        """Returns whether this CUDA version ("12.4.1") brings it. What the next major version brings is not known."""
        version = parse_cuda(cuda)[:2]
        begun = self.first is None or version >= parse_cuda(self.first)
        return begun and (version[0] <= _newest_major() if self.last is None else version <= parse_cuda(self.last))

    @property
    def versions(self) -> str:
        """The CUDA versions that bring it, for people."""
        if self.cudnn:
            return f"cuDNN {self.cudnn}"
        if self.last is None:
            return f"CUDA {self.first} and later"
        return f"CUDA {self.first}" if self.first == self.last else f"CUDA {self.first} to {self.last}"


@cache
def _cuda_rows() -> dict[str, CudaLibraryRow]:
    return {row.library: row for row in load("cuda_libraries", CudaLibraryRow)}


@cache
def _newest_major() -> int:
    return max(parse_cuda(row.cuda_from)[0] for row in _cuda_rows().values())


def cuda_library(soname: str) -> CudaLibrary | None:
    """Returns what brings a library by its soname, None for one that is none of the toolkit's or of cuDNN's."""
    cudnn = _CUDNN.fullmatch(soname)
    if cudnn:
        return CudaLibrary("cudnn-runtime", cudnn=int(cudnn[1]))
    row = _cuda_rows().get(soname)
    if row:
        return CudaLibrary(row.flavour, row.cuda_from, row.cuda_to)
    old = _OLD.fullmatch(soname)
    if old and parse_cuda(old[1]) <= _LAST_NAMED_BY_CUDA:
        flavour = "devel" if "cupti" in soname else "base" if "cudart" in soname else "runtime"
        return CudaLibrary(flavour, old[1], old[1])
    return None


@dataclass(frozen=True)
class PackageRow:
    """A library or interpreter, and the packages that hold it, each with the systems on which it does, as words."""

    file: str
    packages: Mapping[str, str]
    source: str


@dataclass(frozen=True)
class BasePackage:
    """What to install for a file. `known` is False where no table tells it of this very system."""

    name: str
    known: bool = True


@cache
def _package_rows() -> dict[str, dict[str, str]]:
    """By file, the package on each system."""
    return {
        row.file: {system: package for package, systems in row.packages.items() for system in systems.split()}
        for row in load("library_packages", PackageRow)
    }


def package_of(file: str, system: BaseSystem) -> BasePackage | None:
    """Returns the package that holds a library (a soname) or an interpreter (a name); None where none is known.

    RPM packages provide each of their libraries under a name of its own, which dnf and yum take for a package's where
    no table tells it: https://rpm-software-management.github.io/rpm/manual/dependency_generators.html
    """
    if not _NAME.fullmatch(file):
        return None
    rows = _package_rows().get(file, {})
    if system.os in rows:
        return BasePackage(rows[system.os])
    if system.family == "rpm":
        return BasePackage(f"{file}()(64bit)" if ".so" in file else f"/usr/bin/{file}", known=False)
    told = [base_systems()[os] for os in rows if os in base_systems() and base_systems()[os].family == system.family]
    if not told or not _may_have(system, [one.released for one in told]):
        return None
    nearest = min(told, key=lambda one: abs(_months(one.released) - _months(system.released)))
    return BasePackage(rows[nearest.os], known=False)


def _may_have(system: BaseSystem, released: Sequence[str]) -> bool:
    """Whether a release may have what others have, by their months: it was not dropped before, nor is it newer.

    What has kept its name for years is taken for older than the oldest release of which it is told.
    """
    first, last = min(released), max(released)
    return first <= system.released <= last or (
        system.released < first and _months(last) - _months(first) >= _KEPT_MONTHS
    )


def _months(released: str) -> int:
    year, _, month = released.partition("-")
    return 12 * int(year) + int(month)
