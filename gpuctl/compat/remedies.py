"""What would change a verdict: another driver, another image, the cuda-compat package, the other kernel module."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.compat.gpu_rules import gpu_and_driver
from gpuctl.compat.gpus import Gpu
from gpuctl.compat.judge import verdict_on
from gpuctl.compat.rulings import SEVERITY, Cuda, Ruling, resolve_cuda, worst
from gpuctl.compat.tables import Branch, architectures, branches, cuda_rows, cuda_versions, minor_version_floors
from gpuctl.compat.versions import compare, parts
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
    if flavours:
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
    if requirement.verdict != "unsatisfied":
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
    if cuda is None:
        branch = recommended_branch(None, gpus)
        text = f"Install a driver of branch {branch.branch} (supported until {branch.end_of_life})." if branch else ""
    else:
        asked = resolve_cuda(cuda)
        lowest = lowest_driver(asked, gpus, Verdict.COMPATIBLE) or lowest_driver(asked, gpus, Verdict.LIMITED)
        text = f"Install driver {_or_newer(asked, lowest, gpus)}." if lowest else ""
    return Remedy(text, disturbs=Disturbs.HOST) if text else None


def lowest_driver(cuda: Cuda, gpus: Sequence[Gpu], verdict: Verdict) -> str | None:
    """Returns the lowest driver in the tables on which all GPUs get this verdict; None where there is none."""
    minima = [minimum for row in cuda_rows() if row.decides and (minimum := row.driver.open_minimum())]
    minima += [floor.min_driver for floor in minor_version_floors().values()]
    if cuda.update and cuda.update.min_driver:
        minima.append(cuda.update.min_driver)
    elsewhere = _elsewhere(gpus)
    return next(
        (driver for driver in sorted(minima, key=parts) if verdict_on(cuda, driver, elsewhere) == verdict), None
    )


def recommended_branch(cuda: Cuda | None, gpus: Sequence[Gpu], month: str | None = None) -> Branch | None:
    """Returns the branch to prefer among those NVIDIA supports in a month (YYYY-MM; None: this one).

    The lowest that drives the GPUs and runs the CUDA version: without limits before with, long-term before production.
    None where none does.
    """
    long_term_first = sorted(branches(), key=lambda branch: (branch.kind != "LTSB", int(branch.branch)))
    supported = [row for row in long_term_first if row.supported(month)]
    ranks = [(_rank(branch.newest_version or branch.branch, cuda, _elsewhere(gpus)), branch) for branch in supported]
    serving = [pair for pair in ranks if pair[0] is not None]
    return min(serving, key=lambda pair: pair[0] or 0)[1] if serving else None


def _rank(driver: str, cuda: Cuda | None, gpus: Sequence[Gpu]) -> int | None:
    """0 runs without limits, 1 with, None not at all."""
    if cuda is None:
        return None if any(gpu_and_driver(driver, gpu, None) for gpu in gpus) else 0
    return {Verdict.COMPATIBLE: 0, Verdict.LIMITED: 1}.get(verdict_on(cuda, driver, gpus))


def _elsewhere(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """A driver that drives a GPU says nothing about another driver."""
    return tuple(dict.fromkeys(replace(gpu, driven=False) for gpu in gpus))


def _package(cuda: Cuda) -> Remedy:
    name = f"cuda-compat-{cuda.minor.replace('.', '-')}"
    text = f"Use an image that carries {name}, as the nvidia/cuda images do, or install {name} in yours."
    return Remedy(text, disturbs=Disturbs.NEW_CONTAINERS)


def _other_driver(cuda: Cuda, driver: str, gpus: Sequence[Gpu], verdict: Verdict) -> Remedy | None:
    best = lowest_driver(cuda, gpus, Verdict.COMPATIBLE)
    limited = lowest_driver(cuda, gpus, Verdict.LIMITED) if verdict != Verdict.LIMITED else None
    lowest = best or limited
    if lowest is None:
        return None
    verb = "Upgrade the driver to" if compare(lowest, driver) > 0 else "Change the driver to"
    text = f"{verb} {_or_newer(cuda, lowest, gpus)}."
    if best and limited and compare(limited, best) < 0 and compare(limited, driver) > 0:
        text += f" From {limited} on it runs with limits (minor-version compatibility)."
    return Remedy(text, disturbs=Disturbs.HOST)


def _or_newer(cuda: Cuda, lowest: str, gpus: Sequence[Gpu]) -> str:
    known = (architectures().get(gpu.compute_capability) for gpu in gpus)
    drops = [row.dropped_by_branch for row in known if row and row.dropped_by_branch]
    below = f", below {min(drops, key=int)}" if drops else ""
    branch = recommended_branch(cuda, gpus)
    if branch is None:
        return f"{lowest} or newer{below} (NVIDIA supports no branch any more that would do)"
    return f"{lowest} or newer{below} (branch {branch.branch} recommended: supported until {branch.end_of_life})"


def _other_image(cuda: Cuda, driver: str, gpus: Sequence[Gpu]) -> Remedy | None:
    runs = (minor for minor in reversed(cuda_versions()) if _runs(minor, driver, gpus))
    newest = next(runs, None)
    if newest is None or newest == cuda.minor:
        return None
    text = f"Use an image for CUDA {newest} instead: the newest that driver {driver} runs here without limits."
    return Remedy(text, disturbs=Disturbs.NEW_CONTAINERS)


def _runs(minor: str, driver: str, gpus: Sequence[Gpu]) -> bool:
    return verdict_on(resolve_cuda(minor), driver, gpus) == Verdict.COMPATIBLE
