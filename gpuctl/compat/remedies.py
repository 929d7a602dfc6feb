"""What would change a verdict: another driver, another image, the cuda-compat package, the other kernel module."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from gpuctl.compat.driver_choice import choice_remedy, choose_driver
from gpuctl.compat.gpu_rules import serving_modules
from gpuctl.compat.gpus import Gpu
from gpuctl.compat.judge import verdict_on
from gpuctl.compat.rulings import SEVERITY, Cuda, Ruling, resolve_cuda, worst
from gpuctl.compat.tables import cuda_versions
from gpuctl.model import Disturbs, Remedy, Verdict

if TYPE_CHECKING:
    from gpuctl.compat.gate import Requirement

_MODULE_REASONS = {"driver.open-module": "proprietary", "driver.proprietary-module": "open"}


def remedies(cuda: Cuda, driver: str, gpus: Sequence[Gpu], rulings: Sequence[Ruling]) -> tuple[Remedy, ...]:
    """Returns what would make the CUDA version run better on this host: none where it runs, or nothing can be known."""
    verdict = worst(ruling.verdict for ruling in rulings)
    if cuda.unknown or verdict in (Verdict.COMPATIBLE, Verdict.UNKNOWN):
        return ()
    flavours = [_MODULE_REASONS[ruling.reason.id] for ruling in rulings if ruling.reason.id in _MODULE_REASONS]
    if flavours and serving_modules(gpus):
        text = f"Install the {flavours[0]} flavour of the kernel module for driver {driver}."
        return (Remedy(text, disturbs=Disturbs.HOST),)
    package = _package(cuda) if verdict == Verdict.NEEDS_PACKAGE else None
    found = (package, _other_driver(cuda, driver, gpus, verdict), _other_image(cuda, driver, gpus))
    return tuple(remedy for remedy in found if remedy)


def other_build(
    by: str, others: Sequence[str], driver: str, gpus: Sequence[Gpu], verdict: Verdict
) -> tuple[Remedy, ...]:
    """Returns which other builds of the same thing run better here, the newest of the best."""
    ranks = {cuda: verdict_on(resolve_cuda(cuda), driver, gpus) for cuda in others}
    better = [cuda for cuda in others if SEVERITY.index(ranks[cuda]) < SEVERITY.index(verdict)]
    if verdict == Verdict.UNKNOWN or not better:
        return ()
    best = min(reversed(better), key=lambda cuda: SEVERITY.index(ranks[cuda]))
    text = f"Use the build of {by} for CUDA {best}: it is {ranks[best].value} here."
    return (Remedy(text, disturbs=Disturbs.NEW_CONTAINERS),)


def gate_remedies(requirement: Requirement, asked: Set[Verdict]) -> tuple[Remedy, ...]:
    """Returns what opens the container's gate. `asked`: what came of the CUDA versions; their remedies name drivers."""
    if not requirement.failed:
        return ()
    branch, found = requirement.branch, []
    if branch and asked <= {Verdict.COMPATIBLE}:
        text = f"Install a driver of branch {branch.branch}, {branch.newest_version or 'any version'}."
        found.append(Remedy(text, disturbs=Disturbs.HOST))
    if asked and asked <= {Verdict.COMPATIBLE, Verdict.LIMITED} and requirement.enforced is not False:
        text = "Start the container without the check, with -e NVIDIA_DISABLE_REQUIRE=1: its CUDA runs on this driver."
        found.append(Remedy(text, disturbs=Disturbs.NEW_CONTAINERS))
    return tuple(found)


def driver_to_install(cuda: str | None, gpus: Sequence[Gpu]) -> Remedy | None:
    """Returns the driver to install on a host that has none: the lowest for a CUDA version, and the branch to prefer.

    None where no driver known here would do. Raises ValueError where `cuda` is no version.
    """
    choice = choose_driver(resolve_cuda(cuda) if cuda else None, gpus)
    return choice_remedy(choice) if choice else None


def _package(cuda: Cuda) -> Remedy:
    name = f"cuda-compat-{cuda.minor.replace('.', '-')}"
    text = f"Use an image that carries {name}, as the nvidia/cuda images do, or install {name} in yours."
    return Remedy(text, disturbs=Disturbs.NEW_CONTAINERS)


def _other_driver(cuda: Cuda, driver: str, gpus: Sequence[Gpu], verdict: Verdict) -> Remedy | None:
    choice = choose_driver(cuda, gpus)
    if choice is None or (choice.limited and verdict == Verdict.LIMITED):
        return None
    return choice_remedy(choice, driver)


def _other_image(cuda: Cuda, driver: str, gpus: Sequence[Gpu]) -> Remedy | None:
    runs = (minor for minor in reversed(cuda_versions()) if _runs(minor, driver, gpus))
    newest = next(runs, None)
    if newest is None or newest == cuda.minor:
        return None
    text = f"Use an image for CUDA {newest} instead: the newest that driver {driver} runs here without limits."
    return Remedy(text, disturbs=Disturbs.NEW_CONTAINERS)


def _runs(minor: str, driver: str, gpus: Sequence[Gpu]) -> bool:
    return verdict_on(resolve_cuda(minor), driver, gpus) == Verdict.COMPATIBLE
