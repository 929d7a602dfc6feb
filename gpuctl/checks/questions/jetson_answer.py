"""The compatibility question asked of a Jetson, whose driver is JetPack's."""

from __future__ import annotations

from collections.abc import Sequence

from gpuctl.checks.gpus import gpu_of_board
from gpuctl.checks.remedies import as_root
from gpuctl.command import command
from gpuctl.compat.answer.answer import Compatibility, JudgedCuda
from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.ask.question import Question
from gpuctl.compat.judge.by_code import gpu_and_code
from gpuctl.compat.judge.by_gpu import gpu_and_toolkit
from gpuctl.compat.judge.by_jetpack import jetpack_and_cuda, wheel_on_jetson
from gpuctl.compat.judge.judge import members
from gpuctl.compat.judge.rulings import SEVERITY, Cuda, Ruling, worst
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.system import System
from gpuctl.model import Disturbs, Reason, Remedy, Verdict


def jetson_answer(question: Question, tegra: Tegra, system: System) -> Compatibility:
    """Returns whether this Jetson runs what is asked. What its tables do not know is unknown, never incompatible.

    Raises CannotTell where the release of Jetson Linux could not be read.
    """
    gpu, l4t = gpu_of_board(tegra), tegra.release.get() or ""
    judged = [_judged(ask, l4t, tegra.compat.value, gpu) for ask in question.asks]
    asked = tuple(_asked(ask, cuda, said) for ask, (cuda, said) in zip(question.asks, judged, strict=True))
    said = [ruling for _, rulings in judged for ruling in rulings]
    verdict = worst(one.verdict for one in said) if said else Verdict.UNKNOWN
    first = sorted(said, key=lambda one: one.verdict != verdict)
    reasons = tuple(dict.fromkeys(one.reason for one in first)) or (_nothing(tegra),)
    packages = [cuda for cuda, rulings in judged if worst(one.verdict for one in rulings) is Verdict.NEEDS_PACKAGE]
    remedies = tuple(_package(cuda, system) for cuda in packages)
    return Compatibility(None, verdict, asked, remedies=remedies, reasons=reasons, image=question.image)


def _judged(ask: Ask, l4t: str, compat: str | None, gpu: Gpu | None) -> tuple[Cuda, Sequence[Ruling]]:
    """What is said of the member that fares best."""
    told = [(cuda, _rulings(ask, cuda, l4t, compat, gpu)) for cuda in members(ask)]
    return min(told, key=lambda one: SEVERITY.index(worst(ruling.verdict for ruling in one[1])))


def _rulings(ask: Ask, cuda: Cuda, l4t: str, compat: str | None, gpu: Gpu | None) -> Sequence[Ruling]:
    about_gpu = (*gpu_and_toolkit(cuda, gpu), *gpu_and_code(ask, gpu)) if gpu and not ask.unknown else ()
    return (jetpack_and_cuda(cuda, l4t, compat), *about_gpu, *wheel_on_jetson(ask))


def _asked(ask: Ask, cuda: Cuda, said: Sequence[Ruling]) -> JudgedCuda:
    return JudgedCuda(cuda.text, ask.by, ask.source, ask.others, worst(one.verdict for one in said))


def _nothing(tegra: Tegra) -> Reason:
    message = "What an image requires of the driver nobody evaluates on a Jetson."
    return Reason("jetson.no-gate", message, tegra.release.source)


def _package(cuda: Cuda, system: System) -> Remedy:
    name = "cuda-compat-" + cuda.minor.replace(".", "-")
    install = command("apt-get", "install", "-y", name)
    text = f"Install {name}, NVIDIA's upgrade of CUDA for Jetson."
    return Remedy(text, as_root(system, install), Disturbs.NEW_CONTAINERS)
