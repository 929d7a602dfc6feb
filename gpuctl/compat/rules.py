"""Will this CUDA version run on this driver and these GPUs? The answer, its reasons and what would change it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpuctl.compat.gpu_rules import gpu_and_driver
from gpuctl.compat.gpus import Gpu
from gpuctl.compat.judge import judge
from gpuctl.compat.remedies import remedies
from gpuctl.compat.rulings import Ruling, resolve_cuda, worst
from gpuctl.compat.tables import CudaRow
from gpuctl.compat.versions import parse_driver, parts
from gpuctl.model import Reason, Remedy, Verdict


@dataclass(frozen=True)
class GpuAnswer:
    """The verdict for one GPU, its reasons (those that decided first) and the table rows that they rest on."""

    name: str
    compute_capability: str
    architecture: str
    brand: str | None
    verdict: Verdict
    reasons: tuple[Reason, ...]
    rows: tuple[CudaRow, ...]


@dataclass(frozen=True)
class Answer:
    """The verdict for a host: that of the GPU which is worst off. `cuda` is the version that was judged.

    `driver` None: there is none to judge by; `reasons` then says why, as it does for anything about the whole host.
    """

    cuda: str
    driver: str | None
    verdict: Verdict
    gpus: tuple[GpuAnswer, ...]
    remedies: tuple[Remedy, ...]
    reasons: tuple[Reason, ...] = ()


def check_cuda(cuda: str, driver: str, gpus: Sequence[Gpu], open_module: bool | None = None) -> Answer:
    """Returns whether software built for a CUDA version runs on a driver and its GPUs.

    `cuda` is 12.4, 12.4.1 or 12 (the newest 12.x). `open_module` tells which flavour of the kernel module is loaded;
    None: not known. Raises ValueError for text that is no version, and where there is no GPU to ask about.
    """
    asked = resolve_cuda(cuda)
    parse_driver(driver)
    if not gpus:
        raise ValueError("no GPU to ask about: name one")
    driver = driver.strip()
    rulings = {gpu: judge(asked, driver, gpu, open_module) for gpu in gpus}
    answers = tuple(_answer(gpu, driver, rulings[gpu]) for gpu in gpus)
    everything = [ruling for said in rulings.values() for ruling in said]
    verdict = worst(answer.verdict for answer in answers)
    return Answer(asked.text, driver, verdict, answers, remedies(asked, driver, gpus, everything))


def driver_verdict(driver: str, compute_capability: str) -> Reason | None:
    """Returns why a driver does not drive GPUs of a compute capability; None where nothing is known against it."""
    rulings = gpu_and_driver(driver, Gpu("", compute_capability, ""), None)
    return rulings[0].reason if rulings else None


def _answer(gpu: Gpu, driver: str, rulings: Sequence[Ruling]) -> GpuAnswer:
    verdict = worst(ruling.verdict for ruling in rulings)
    decisive_first = sorted(rulings, key=lambda ruling: ruling.verdict != verdict)
    return GpuAnswer(
        gpu.name,
        gpu.compute_capability,
        gpu.architecture,
        gpu.brand_on(parts(driver)),
        verdict,
        tuple(ruling.reason for ruling in decisive_first),
        tuple(row for ruling in rulings for row in ruling.rows),
    )
