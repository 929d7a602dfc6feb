"""Which drivers run a CUDA version on given GPUs, and which branch of them to prefer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuctl.compat.judge.by_gpu import gpu_and_driver, gpu_and_toolkit, serving_modules
from gpuctl.compat.judge.judge import verdict_on
from gpuctl.compat.judge.rulings import Cuda, worst
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.knowledge.windows import is_windows, windows_floor
from gpuctl.compat.tables.loader import Branch, architectures, branches, minor_version_floors, rows_of
from gpuctl.compat.versions import compare, parts
from gpuctl.frozen import dataclass
from gpuctl.model import Disturbs, Remedy, Verdict


@dataclass(frozen=True)
class DriverChoice:
    """The drivers that run a CUDA version on GPUs, or that drive them where none is asked for.

    They begin with `lowest` and end before `below`; from `limited_from` on an older one runs it with limits. `limited`:
    none runs it without. None: there is no such bound, or none is known. `branch` is the one to prefer: one that
    NVIDIA supports, or else (`supported` is False) the newest that does.
    """

    lowest: str | None
    limited_from: str | None
    limited: bool
    below: str | None
    branch: Branch | None
    supported: bool


def choose_driver(
    cuda: Cuda | None, gpus: Sequence[Gpu], month: str | None = None, present: str | None = None
) -> DriverChoice | None:
    """Returns which drivers run a CUDA version on all of these GPUs, None where no driver known here does.

    `month` (YYYY-MM; None: this one) is when NVIDIA has to support the branch. Where the `present` driver is Windows',
    they are such, too.
    """
    if present and is_windows(present):
        return _of_windows(cuda, gpus)
    supported = recommended_branch(cuda, gpus, month)
    branch = supported or _newest_branch(cuda, gpus)
    floors = driver_floors(cuda, gpus) if cuda else {}
    compatible, limited = floors.get(Verdict.COMPATIBLE), floors.get(Verdict.LIMITED)
    lowest = compatible or limited
    if lowest is None and (cuda or branch is None):
        return None
    only_limited = compatible is None and cuda is not None
    limited_from = limited if compatible and limited and really_older(limited, compatible) else None
    return DriverChoice(lowest, limited_from, only_limited, first_branch_without(gpus), branch, supported is not None)


def _of_windows(cuda: Cuda | None, gpus: Sequence[Gpu]) -> DriverChoice | None:
    """The drivers of Windows that do. Of its branches no table tells until when they are supported."""
    below = first_branch_without(gpus)
    if cuda is None:
        return DriverChoice(None, None, False, below, None, True)
    floor = windows_floor(cuda.minor, cuda.update.release if cuda.update else None)
    known = (architectures().get(gpu.compute_capability) for gpu in gpus)
    first = (row.first_driver_branch for row in known if row and row.first_driver_branch)
    lowest = max((floor.driver, *first), key=parts) if floor else ""
    by_toolkit = worst([Verdict.COMPATIBLE, *(one.verdict for gpu in gpus for one in gpu_and_toolkit(cuda, gpu))])
    if floor is None or by_toolkit is Verdict.INCOMPATIBLE or (below and parts(lowest) >= parts(below)):
        return None
    limited_from = floor.limited if lowest == floor.driver else None
    return DriverChoice(lowest, limited_from, by_toolkit is Verdict.LIMITED, below, None, True)


def really_older(driver: str, other: str) -> bool:
    """Returns whether there may be a driver between the two: none is known between branch 570 and its 570.26."""
    return compare(driver, other) < 0 and not other.startswith(f"{driver}.")


def choice_remedy(choice: DriverChoice, present: str | None = None) -> Remedy:
    """Returns the sentence that says which driver to install, or (with a `present` one) what to change it to."""
    if present and is_windows(present):
        lowest = f" {choice.lowest} or newer" if choice.lowest else ""
        below = f", below {choice.below}," if choice.below else ""
        return Remedy(f"Install NVIDIA's driver{lowest}{below} for Windows, on Windows.", disturbs=Disturbs.HOST)
    words = _in_words(choice)
    if present is None or choice.lowest is None:
        return Remedy(f"Install {words}.", disturbs=Disturbs.HOST)
    verb = "Upgrade" if compare(choice.lowest, present) > 0 else "Change"
    text = f"{verb} the driver to {words.removeprefix('driver ')}."
    if choice.limited_from and compare(choice.limited_from, present) > 0:
        text += f" From {choice.limited_from} on it runs with limits (minor-version compatibility)."
    return Remedy(text, disturbs=Disturbs.HOST)


def _in_words(choice: DriverChoice) -> str:
    """The drivers as a phrase: "driver 418.39 or newer, below 590 (branch 580 recommended: …)"."""
    branch = choice.branch
    if choice.lowest is None and branch:
        until = f"supported until {branch.end_of_life}" if choice.supported else "NVIDIA supports none any more"
        return f"a driver of branch {branch.branch} ({until})"
    below = f", below {choice.below}" if choice.below else ""
    if branch is None or not choice.supported:
        last = f"; branch {branch.branch} was the last" if branch else ""
        preferred = f"NVIDIA supports no branch any more that would do{last}"
    else:
        preferred = f"branch {branch.branch} recommended: supported until {branch.end_of_life}"
    return f"driver {choice.lowest} or newer{below} ({preferred})"


def first_branch_without(gpus: Sequence[Gpu]) -> str | None:
    """Returns the first driver branch that no longer drives one of the GPUs; None where none is known."""
    known = (architectures().get(gpu.compute_capability) for gpu in gpus)
    return min((row.dropped_by_branch for row in known if row and row.dropped_by_branch), key=int, default=None)


def driver_floors(cuda: Cuda, gpus: Sequence[Gpu]) -> dict[Verdict, str]:
    """Returns each verdict that some driver gives on all GPUs, with the lowest such driver.

    Only where a row, a floor or a GPU's first branch begins can a verdict change.
    """
    if not serving_modules(gpus):
        return {}
    minima = {minimum for row in rows_of(cuda.minor) if row.decides and (minimum := row.driver.open_minimum())}
    floor = minor_version_floors().get(parts(cuda.minor)[0])
    known = (architectures().get(gpu.compute_capability) for gpu in gpus)
    minima |= {row.first_driver_branch for row in known if row and row.first_driver_branch}
    minima |= {floor.min_driver} if floor else set()
    minima |= {cuda.update.min_driver} if cuda.update and cuda.update.min_driver else set()
    floors: dict[Verdict, str] = {}
    for driver in sorted(minima, key=parts):
        floors.setdefault(verdict_on(cuda, driver, elsewhere(gpus)), driver)
    return floors


def recommended_branch(cuda: Cuda | None, gpus: Sequence[Gpu], month: str | None = None) -> Branch | None:
    """Returns the branch to prefer among those NVIDIA supports in a month (YYYY-MM; None: this one).

    The lowest that drives the GPUs and runs the CUDA version: without limits before with, long-term before production.
    None where none does.
    """
    long_term_first = sorted(branches(), key=lambda branch: (branch.kind != "LTSB", int(branch.branch)))
    return _best([row for row in long_term_first if row.supported(month)], cuda, gpus)


def _newest_branch(cuda: Cuda | None, gpus: Sequence[Gpu]) -> Branch | None:
    """The newest branch that serves, whether NVIDIA still supports it or not."""
    return _best(tuple(reversed(branches())), cuda, gpus)


def _best(candidates: Sequence[Branch], cuda: Cuda | None, gpus: Sequence[Gpu]) -> Branch | None:
    """The first that runs it without limits, else the first that runs it with."""
    if not serving_modules(gpus):
        return None
    ranks = [(_rank(branch.newest_version or branch.branch, cuda, elsewhere(gpus)), branch) for branch in candidates]
    serving = [pair for pair in ranks if pair[0] is not None]
    return min(serving, key=lambda pair: pair[0] or 0)[1] if serving else None


def _rank(driver: str, cuda: Cuda | None, gpus: Sequence[Gpu]) -> int | None:
    """0 runs without limits, 1 with, None not at all."""
    if cuda is None:
        return None if any(gpu_and_driver(driver, gpu, None) for gpu in gpus) else 0
    return {Verdict.COMPATIBLE: 0, Verdict.LIMITED: 1}.get(verdict_on(cuda, driver, gpus))


def elsewhere(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Returns the GPUs without what this host's driver says of them, which says nothing about another driver."""
    return tuple(dict.fromkeys(replace(gpu, driven=False) for gpu in gpus))
