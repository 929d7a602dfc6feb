"""Errors that have a number: the driver's Xids, CUDA's and NVML's, and by which words each is known in a text.

The tables that the doctor and the smoke test judge by are the only place where they are told of.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from gpuctl.command import Shell, command
from gpuctl.compat.knowledge.errors.cuda import CudaError, cuda_errors
from gpuctl.compat.knowledge.errors.faults import Xid, remedy_of, xids
from gpuctl.compat.knowledge.errors.nvml import NvmlError, nvml_errors
from gpuctl.frozen import dataclass
from gpuctl.model import Remedy

_TELLING = 25
"""Letters of a text from which on it is an error's own words, whoever says them."""


@dataclass(frozen=True)
class ErrorCode:
    """An error with a number: what it is, and the core lines that say it in words.

    `beside`: it is logged beside another error, or follows from one.
    """

    key: str
    title: str
    layer: str
    cause: str
    remedy: Remedy
    source: str
    wordings: tuple[str, ...] = ()
    beside: bool = False


@cache
def codes() -> dict[str, ErrorCode]:
    """Returns all errors by key: `xid 79`, `cuda 999`, `nvml 18`."""
    return {code.key: code for code in _all()}


def _all() -> Iterator[ErrorCode]:
    yield from map(_xid, xids().values())
    yield from map(_cuda, cuda_errors().values())
    yield from map(_nvml, nvml_errors().values())


def _xid(row: Xid) -> ErrorCode:
    title = f"Xid {row.xid}: {row.text}"
    cause = f"The driver reports Xid {row.xid} in the kernel log: {row.text}."
    layer = "image" if row.action == "restart-app" else "hardware"
    remedy = remedy_of(row.action)
    if row.says:
        asked = "; ".join(f"`{words}`: {action}" for words, action in row.says.items())
        remedy = Remedy(f"Do what the line asks for ({asked}).", (command("dmesg", Shell.PIPE, "grep", "-i", "xid"),))
    beside = row.action == "ignore" and not row.says
    return ErrorCode(f"xid {row.xid}", title, layer, cause, remedy, row.source, beside=beside)


def _cuda(row: CudaError) -> ErrorCode:
    words = (row.name, row.runtime, f"CUDA error: {row.text}", f"CUDA failure: {row.text}", f"CUDA failure {row.text}")
    own = (row.text,) if len(row.text) >= _TELLING else ()
    layer = "image" if row.program else "driver"
    title = f"CUDA error {row.code}: {row.text}"
    cause = row.program or row.cause
    wordings = tuple(word for word in (*words, *own, *row.wordings) if word)
    return ErrorCode(f"cuda {row.code}", title, layer, cause, row.remedy, row.source, wordings)


def _nvml(row: NvmlError) -> ErrorCode:
    said = (f"initialize NVML: {row.text}", f"nvml error: {row.text}")
    named = (f"NVML_ERROR_{row.name}", f"initialize NVML: ERROR_{row.name}", f"NVMLError_{_camel(row.name)}")
    wordings = (*said, *named, *row.wordings)
    title = f"NVML error {row.code}: {row.text}"
    return ErrorCode(
        f"nvml {row.code}", title, "driver", row.cause, Remedy(row.remedy, row.commands), row.source, wordings
    )


def _camel(name: str) -> str:
    return name.title().replace("_", "")
