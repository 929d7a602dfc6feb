"""Whether the hosts that a person names run what asks for a CUDA version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import BinaryIO

from gpuctl.compat.answer.driver_choice import driver_floors
from gpuctl.compat.answer.fleet_rows import NoHosts, host_verdicts, lines_of
from gpuctl.compat.answer.tags import RUNS
from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.ask.question import Machine, Question, typed_cuda
from gpuctl.compat.judge.by_code import gpu_and_code
from gpuctl.compat.judge.judge import verdict_of
from gpuctl.compat.judge.rulings import resolve_cuda, worst
from gpuctl.compat.knowledge.branch_ends import releases_meant
from gpuctl.compat.knowledge.gpus.gpus import Gpu, gpu_of_every_kind
from gpuctl.dockerfile.rules.engine import WhyNot
from gpuctl.model import Verdict

__all__ = ["NoHosts", "of_fleet", "of_machine"]
_NAMED = 3
"""Hosts of a fleet that are told by name."""


def of_machine(machine: Machine) -> WhyNot:
    """Returns what tells why something does not run on a driver and GPUs, of which one may be open."""

    @cache
    def why_not(ask: Ask, in_image: bool) -> str | None:
        if machine.driver is None:
            return None if _some_driver_runs(ask, machine.gpus) else f"{machine.gpu_names}, whatever the driver"
        kinds = [machine.gpus] if machine.gpus else [(gpu,) for gpu in gpu_of_every_kind()]
        verdicts = (
            worst(verdict_of(ask, release, gpus, machine.open_module) for release in releases_meant(machine.driver))
            for gpus in kinds
        )
        runs = any(verdict is Verdict.UNKNOWN or _runs(verdict, in_image) for verdict in verdicts)
        return None if runs else machine.words

    return why_not


def _some_driver_runs(ask: Ask, gpus: Sequence[Gpu]) -> bool:
    """Whether some driver runs what asks on these GPUs, as far as is known."""
    without_code = (ruling.verdict for gpu in gpus for ruling in gpu_and_code(ask, gpu))
    if Verdict.INCOMPATIBLE in without_code:
        return False
    version = resolve_cuda(ask.cuda)
    return not gpus or bool(version.unknown or set(RUNS) & set(driver_floors(version, gpus)))


def _runs(verdict: Verdict, in_image: bool) -> bool:
    """Whether it runs: the package that needs-package asks for is in NVIDIA's own images."""
    return verdict in RUNS and (in_image or verdict is not Verdict.NEEDS_PACKAGE)


def of_fleet(file: BinaryIO) -> WhyNot:
    """Returns what tells why something does not run on a fleet, rows as `gpuctl check --hosts` takes them.

    Raises NoHosts where the file holds none.
    """
    lines = list(lines_of(file))
    list(zip(range(1), host_verdicts(lines, Question((typed_cuda("12.0"),))), strict=False))

    @cache
    def why_not(ask: Ask, in_image: bool) -> str | None:
        not_running = [
            one.host or f"the host in line {one.line}"
            for one in host_verdicts(lines, Question((ask,)))
            if one.kind.said.verdict in (Verdict.INCOMPATIBLE, Verdict.NEEDS_PACKAGE)
            and not _runs(one.kind.said.verdict, in_image)
        ]
        names = list(Counter(not_running))
        more = f" and {len(not_running) - _NAMED} more" if len(not_running) > _NAMED else ""
        return ", ".join(names[:_NAMED]) + more if names else None

    return why_not
