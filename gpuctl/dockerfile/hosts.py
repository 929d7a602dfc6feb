"""Whether the hosts that a person names run a CUDA version."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import BinaryIO

from gpuctl.compat.answer.driver_choice import driver_floors
from gpuctl.compat.answer.fleet_rows import NoHosts, host_verdicts, lines_of
from gpuctl.compat.answer.tags import RUNS, image_verdict
from gpuctl.compat.ask.question import Machine, Question, typed_cuda
from gpuctl.compat.judge.rulings import resolve_cuda
from gpuctl.dockerfile.rules.engine import WhyNot
from gpuctl.model import Verdict

__all__ = ["NoHosts", "of_fleet", "of_machine"]
_NAMED = 3
"""Hosts of a fleet that are told by name."""


def of_machine(machine: Machine) -> WhyNot:
    """Returns what tells why a CUDA version does not run on a driver and GPUs, of which one may be open."""

    @cache
    def why_not(cuda: str, in_image: bool) -> str | None:
        if machine.driver is None:
            version = resolve_cuda(cuda)
            runs = not machine.gpus or version.unknown or set(RUNS) & set(driver_floors(version, machine.gpus))
            return None if runs else f"{machine.gpu_names}, whatever the driver"
        verdict = image_verdict(cuda, machine)
        if verdict in (None, Verdict.UNKNOWN) or _runs(verdict, in_image):
            return None
        return machine.words

    return why_not


def _runs(verdict: Verdict | None, in_image: bool) -> bool:
    """Whether it runs: the package that needs-package asks for is in NVIDIA's own images."""
    return verdict in RUNS and (in_image or verdict is not Verdict.NEEDS_PACKAGE)


def of_fleet(file: BinaryIO) -> WhyNot:
    """Returns what tells why a CUDA version does not run on a fleet, rows as `gpuctl check --hosts` takes them.

    Raises NoHosts where the file holds none.
    """
    lines = list(lines_of(file))
    list(zip(range(1), host_verdicts(lines, Question((typed_cuda("12.0"),))), strict=False))

    @cache
    def why_not(cuda: str, in_image: bool) -> str | None:
        not_running = [
            one.host or f"the host in line {one.line}"
            for one in host_verdicts(lines, Question((typed_cuda(cuda),)))
            if one.kind.said.verdict in (Verdict.INCOMPATIBLE, Verdict.NEEDS_PACKAGE)
            and not _runs(one.kind.said.verdict, in_image)
        ]
        names = list(Counter(not_running))
        more = f" and {len(not_running) - _NAMED} more" if len(not_running) > _NAMED else ""
        return ", ".join(names[:_NAMED]) + more if names else None

    return why_not
