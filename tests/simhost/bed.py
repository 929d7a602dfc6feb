"""Builds the simulated driver's files and reads the table of profiles that is compiled into them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

NATIVE = Path(__file__).parent / "native"
PROGRAM = Path(__file__).parents[2] / "gpuctl/smoke/program"
_GCC = ["gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1"]


@dataclass(frozen=True)
class Gpu:
    """A GPU of a profile. `address` is its PCI address; the PCI ids are hexadecimal digits; `memory_mib` in MiB."""

    name: str
    uuid: str
    address: str
    vendor: str
    device: str
    subsystem: str
    device_class: str
    compute_capability: str
    memory_mib: int


@dataclass(frozen=True)
class Profile:
    """`driver` is the version of the libraries, `module` that of the loaded kernel module, "" when none is loaded."""

    name: str
    driver: str
    module: str
    cuda: str
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True)
class Bed:
    """Where the built files are, and the profiles by name."""

    library: Path
    cuda: Path
    smi: Path
    profiles: Mapping[str, Profile]

    def env(self, profile: str) -> dict[str, str]:
        """The environment in which a program outside any SimHost sees this profile's NVML."""
        return {"GPUSIM_PROFILE": profile, "LD_LIBRARY_PATH": str(self.library.parent)}


def build(directory: Path) -> Bed:
    """Compiles the native sources into `directory`, which every user must be able to read."""
    names = ("libnvidia-ml.so.1", "libcuda.so.1", "nvidia-smi", "table")
    library, cuda, smi, table = (directory / name for name in names)
    _compile(library, "nvml.c", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1")
    _compile(cuda, "cuda.c", "-shared", "-fPIC", "-pthread", f"-Wa,-I{PROGRAM}", "-Wl,-soname,libcuda.so.1")
    _compile(smi, "smi.c", "-static")
    _compile(table, "table.c")
    rows = json.loads(subprocess.run([table], check=True, capture_output=True).stdout)
    return Bed(library, cuda, smi, {row["name"]: _profile(row) for row in rows})


def _compile(output: Path, source: str, *options: str) -> None:
    subprocess.run([*_GCC, *options, "-o", output, NATIVE / source, NATIVE / "profiles.c"], check=True)


def _profile(row: dict[str, Any]) -> Profile:
    return Profile(**{**row, "gpus": tuple(Gpu(**gpu) for gpu in row["gpus"])})
