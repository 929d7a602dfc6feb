"""The rule about JetPack and CUDA: a Jetson's driver is part of Jetson Linux, so the tables of drivers do not apply."""

from __future__ import annotations

from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.judge.rulings import Cuda, Ruling
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.knowledge.jetpack import MOUNTS_CUDA_BEFORE, JetpackRow, by_first_number, jetpack_of, of_tegra
from gpuctl.compat.versions import parts
from gpuctl.model import Reason, Verdict

_WHEELS = "https://docs.nvidia.com/deeplearning/frameworks/install-pytorch-jetson-platform/index.html"


def on_jetson_linux(driver: str, gpu: Gpu) -> bool:
    """Returns whether a driver was given as a release of Jetson Linux (36.4.3), beside a Jetson's GPU."""
    return of_tegra([gpu.compute_capability]) and jetpack_of(driver) is not None


def board_and_jetson_linux(l4t: str, gpu: Gpu) -> tuple[Ruling, ...]:
    """Returns a ruling where a release of Jetson Linux is not for the board: there is no such host.

    Of a release that only newer tables name, which boards it is for need not be known.
    """
    row = by_first_number().get(l4t.split(".")[0])
    if row is None or not row.boards or gpu.compute_capability in row.boards:
        return ()
    others = [number for number, other in by_first_number().items() if gpu.compute_capability in other.boards]
    message = f"Jetson Linux {l4t} is not for {gpu.name}"
    message += f": the releases for that begin with {' or '.join(others)}." if others else "."
    return (Ruling(Verdict.INCOMPATIBLE, Reason("jetson.board", message, row.source)),)


def wheel_on_jetson(ask: Ask) -> tuple[Ruling, ...]:
    """Returns that a wheel's code is not known: an index has wheels for servers, few of which say for which chips."""
    if not ask.wheel or any(code.machine == "aarch64" for code in ask.codes):
        return ()
    message = f"Whether {ask.by} has code for a Jetson is not known: NVIDIA builds wheels of its own for JetPack."
    return (Ruling(Verdict.UNKNOWN, Reason("jetson.build", message, _WHEELS)),)


def jetpack_and_cuda(cuda: Cuda, l4t: str, compat: str | None = None) -> Ruling:
    """Returns whether a release of Jetson Linux runs the CUDA version; `compat` is that of its cuda-compat package.

    What its table does not know is unknown, and never incompatible.
    """
    row = jetpack_of(l4t)
    if row is None:
        return _ruled(Verdict.UNKNOWN, f"Jetson Linux {l4t} is not in gpuctl's table.", "data/jetpack.jsonl")
    if cuda.unknown:
        return _ruled(Verdict.UNKNOWN, f"CUDA {cuda.text}: {cuda.unknown}.", row.source)
    here = f"JetPack {row.jetpack} (Jetson Linux {l4t}) has the driver of CUDA {row.cuda}"
    if parts(l4t) < parts(MOUNTS_CUDA_BEFORE):
        return _by_mounts(cuda, row, here)
    return _by_driver(cuda, row, here, compat)


def _by_driver(cuda: Cuda, row: JetpackRow, here: str, compat: str | None) -> Ruling:
    if parts(cuda.minor) <= parts(row.cuda):
        return _ruled(Verdict.COMPATIBLE, f"{here}, and runs older CUDA too.", row.source)
    if compat and parts(cuda.minor) <= parts(compat):
        return _ruled(Verdict.COMPATIBLE, f"{here}, and its cuda-compat package brings CUDA {compat}.", row.source)
    if cuda.minor in row.compat:
        message = f"{here}; for CUDA {cuda.minor} there is a cuda-compat package."
        return _ruled(Verdict.NEEDS_PACKAGE, message, row.source)
    return _ruled(Verdict.UNKNOWN, f"{here}; whether CUDA {cuda.minor} runs on it is not known.", row.source)


def _by_mounts(cuda: Cuda, row: JetpackRow, here: str) -> Ruling:
    if cuda.minor == row.cuda:
        return _ruled(Verdict.COMPATIBLE, f"{here}, which it mounts into containers.", row.source)
    message = f"{here}, which it mounts into containers: whether an image for CUDA {cuda.minor} runs is not known."
    return _ruled(Verdict.UNKNOWN, message, row.source)


def _ruled(verdict: Verdict, message: str, source: str) -> Ruling:
    return Ruling(verdict, Reason("jetson.jetpack", message, source))
