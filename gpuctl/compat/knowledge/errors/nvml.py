"""What an error of NVML, the driver's management library, means on a host: knowledge from data/nvml_errors.jsonl."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from gpuctl.command import Command
from gpuctl.compat.tables.command_rows import Words, parse_commands
from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class NvmlError:
    """A nvmlReturn_t: its name without NVML_ERROR_, what nvmlErrorString says, and its cause in a sentence."""

    code: int
    name: str
    text: str
    cause: str
    remedy: str
    commands: tuple[Command, ...]
    source: str
    wordings: tuple[str, ...] = ()


@cache
def nvml_errors() -> dict[int, NvmlError]:
    """Returns the errors by code."""
    return {row.code: row for row in load("nvml_errors", _row)}


def _row(commands: Sequence[Words], **fields: Any) -> NvmlError:
    return NvmlError(commands=parse_commands(commands), **fields)
