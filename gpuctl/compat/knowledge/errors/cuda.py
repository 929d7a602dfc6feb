"""What a failure of the CUDA driver API means on a host: knowledge from data/cuda_errors.jsonl."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from gpuctl.compat.tables.command_rows import Words, parse_commands
from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass
from gpuctl.model import Disturbs, Remedy


@dataclass(frozen=True)
class CudaError:
    """A CUresult: its cause in a sentence, and the doctor's checks (ids) that tell its variants apart.

    `name` is the driver API's, `runtime` the runtime's, `text` what both say of it, `wordings` what others say.
    `program`: its cause in programs that may be at fault themselves. `family` is the failure family that shows it.
    `busy`: others use the GPU, and nothing is said of whether it works.
    """

    code: int
    name: str
    text: str
    cause: str
    remedy: Remedy
    source: str
    runtime: str | None = None
    wordings: tuple[str, ...] = ()
    program: str | None = None
    family: str | None = None
    checks: tuple[str, ...] = ()
    busy: bool = False


@cache
def cuda_errors() -> dict[int, CudaError]:
    """Returns the failures by code."""
    return {row.code: row for row in load("cuda_errors", _row)}


def _row(remedy: str, commands: Sequence[Words], disturbs: str = Disturbs.NOTHING, **fields: Any) -> CudaError:
    return CudaError(remedy=Remedy(remedy, parse_commands(commands), Disturbs(disturbs)), **fields)
