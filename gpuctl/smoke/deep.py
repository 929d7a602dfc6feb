"""What `gpuctl smoke --deep` runs, a small program that tests NVML and the CUDA driver API, and what that tells.

The program lies built beside its source, in program/. glibc's loader starts it, as the driver's libraries need glibc
anyway: so it needs no permission to be executed, and an image without glibc is one that has no such loader.
"""

from __future__ import annotations

import json
from atexit import register
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from gpuctl.frozen import dataclass
from gpuctl.smoke.compare import SeenByContainer

LOADERS = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
"""Where the ABI puts glibc's loader, by architecture as uname -m says it.

Source: https://gitlab.com/x86-psABIs/x86-64-ABI and https://sourceware.org/glibc/wiki/ABIList.
"""
LINES_LIMIT = 10_000
_SHARE = 0.8
"""Of the time that there is: the program says where it came to an end before all of it is over."""

NOT_LOADED, WRONG_ANSWER, NO_END, NO_FUNCTION = -1, -2, -3, -4
"""The program's own codes: program/smoke.c."""


@dataclass(frozen=True)
class Program:
    """The program for an architecture: glibc's loader, where the program lies on this host, and its seconds."""

    loader: str
    file: str
    seconds: int

    def argv(self, place: str) -> tuple[str, ...]:
        """Returns the words that run it where it lies at `place`."""
        return (self.loader, place, str(self.seconds))


def program_for(architecture: str, timeout: float) -> Program | None:
    """Returns the program for an architecture (uname -m), to end before `timeout` seconds; None where there is none."""
    if architecture not in LOADERS:
        return None
    file = _file(f"smoke-{architecture}")
    return Program(LOADERS[architecture], str(file), max(1, int(timeout * _SHARE)))


def is_kept() -> bool:
    """Returns whether a program's file stays when gpuctl ends: not where all of gpuctl is a single file."""
    from importlib.resources import files

    return isinstance(files("gpuctl.smoke"), Path)


@cache
def _file(name: str) -> Path:
    """The file of a program: unpacked until gpuctl ends, where all of gpuctl is a single file."""
    from importlib.resources import as_file, files

    kept = ExitStack()
    register(kept.close)
    return kept.enter_context(as_file(files("gpuctl.smoke") / "program" / name))


@dataclass(frozen=True)
class DeepStep:
    """A line of the program: what was tried, on which GPU (an index), how it went (0: well), and what it told."""

    name: str
    gpu: int | None
    code: int
    told: dict[str, Any]

    def text(self, field: str) -> str | None:
        """Returns a field that is a text, None where there is none."""
        value = self.told.get(field)
        return value if isinstance(value, str) else None

    def number(self, field: str) -> int:
        """Returns a field that is a number, 0 where there is none."""
        value = self.told.get(field)
        return value if isinstance(value, int) else 0


@dataclass(frozen=True)
class Failure:
    """A step that failed: a CUresult, an nvmlReturn_t or one of the program's own codes, and the function it is from.

    `error` is the code's name, or in the loader's words why a library was not loaded.
    """

    step: str
    code: int
    gpu: int | None
    error: str | None
    call: str | None


@dataclass(frozen=True)
class CudaGpu:
    """A GPU as CUDA describes it; `memory` in bytes. `passed`: its memory and a kernel gave the right answers."""

    index: int
    uuid: str | None
    name: str
    compute_capability: str
    memory: int
    passed: bool


@dataclass(frozen=True)
class Deep:
    """What the program told of CUDA: where libcuda lies, the CUDA version of the driver, the GPUs, what failed.

    `mig` are the GPUs (UUIDs, by NVML) with MIG on. `ended` is False where something ended the program before its end.
    """

    library: str | None
    cuda: str | None
    gpus: tuple[CudaGpu, ...]
    mig: tuple[str, ...]
    failures: tuple[Failure, ...]
    ended: bool


def read_steps(output: str) -> tuple[DeepStep, ...]:
    """Returns the program's lines; what an image's loader may print besides is none.

    {"step": "context", "gpu": 1, "code": 46, "error": "CUDA_ERROR_DEVICE_UNAVAILABLE", "call": "cuCtxCreate_v2"}
    """
    return tuple(_steps(output.splitlines()[:LINES_LIMIT]))


def _steps(lines: list[str]) -> Iterator[DeepStep]:
    for line in lines:
        try:
            told = json.loads(line)
            name, code, gpu = told["step"], told["code"], told.get("gpu")
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            continue
        if isinstance(name, str) and isinstance(code, int) and isinstance(gpu, int | None):
            yield DeepStep(name, gpu, code, told)


def read_seen(steps: tuple[DeepStep, ...]) -> SeenByContainer:
    """Returns what NVML told the program: the driver's version, "" when it told none, and the GPUs' UUIDs."""
    uuids = [one.text("uuid") for one in steps if one.name == "nvml-gpu"]
    return SeenByContainer(_told(steps, "nvml-init", "driver") or "", tuple(uuid for uuid in uuids if uuid))


def read_deep(steps: tuple[DeepStep, ...]) -> Deep:
    """Returns what CUDA told the program."""
    passed = {one.gpu for one in steps if one.name == "kernel" and one.code == 0}
    mig = [one.text("uuid") for one in steps if one.name == "nvml-gpu" and one.number("mig")]
    return Deep(
        library=_told(steps, "cuda-load", "library"),
        cuda=_told(steps, "cuda-init", "cuda"),
        gpus=tuple(_gpu(one, one.gpu in passed) for one in steps if one.name == "device" and one.code == 0),
        mig=tuple(uuid for uuid in mig if uuid),
        failures=tuple(_failure(one) for one in steps if one.code),
        ended=bool(steps) and steps[-1].name == "end",
    )


def _told(steps: tuple[DeepStep, ...], name: str, field: str) -> str | None:
    return next((one.text(field) for one in steps if one.name == name), None)


def _gpu(step: DeepStep, passed: bool) -> CudaGpu:
    return CudaGpu(
        index=step.gpu or 0,
        uuid=step.text("uuid"),
        name=step.text("name") or "",
        compute_capability=step.text("compute_capability") or "",
        memory=step.number("memory"),
        passed=passed,
    )


def _failure(step: DeepStep) -> Failure:
    return Failure(step.name, step.code, step.gpu, step.text("error"), step.text("call"))
