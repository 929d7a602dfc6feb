"""The compatibility question asked of this host: its facts put into the rules' terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar, cast

from gpuctl.checks.gpus import compat_gpus
from gpuctl.checks.remedies import target
from gpuctl.compat.gpus import Gpu
from gpuctl.compat.packages import driver_package, install_commands
from gpuctl.compat.remedies import driver_to_install
from gpuctl.compat.rules import Answer, check_cuda
from gpuctl.facts.driver import Driver
from gpuctl.facts.gather import Facts, Missing
from gpuctl.facts.pci import Pci
from gpuctl.facts.system import System
from gpuctl.model import CannotTell, Reason, Remedy, Verdict

T = TypeVar("T")

SUBJECTS = (System, Pci, Driver)
"""What has to be gathered to answer for this host."""


def host_answer(cuda: str, facts: Facts, driver: str | None, described: Sequence[Gpu]) -> Answer:
    """Returns whether this host runs a CUDA version. `driver` or `described` GPUs stand in for the host's own.

    A host without GPU or driver is incompatible; where either could not be looked up the answer is unknown.
    """
    try:
        pci, seen = _known(facts, Pci), _known(facts, Driver)
        gpus = described or compat_gpus(pci, seen)
        version = driver or seen.version.get()
    except CannotTell as why:
        return _without(cuda, Verdict.UNKNOWN, Reason("host.unknown", f"Could not be determined: {why}", "this host"))
    if not gpus:
        return _without(cuda, Verdict.INCOMPATIBLE, Reason("host.no-gpu", "No NVIDIA GPU is visible.", pci.gpus.source))
    if version is None:
        reason = Reason("host.no-driver", "No NVIDIA driver is installed.", seen.version.source)
        return replace(_without(cuda, Verdict.INCOMPATIBLE, reason), remedies=_driver(cuda, facts, gpus))
    if driver:
        # What drives the GPUs now says nothing about another driver.
        return check_cuda(cuda, driver, [replace(gpu, driven=False) for gpu in gpus])
    return check_cuda(cuda, version, gpus, seen.open_module.value)


def host_driver_and_gpus(facts: Facts) -> tuple[str | None, tuple[Gpu, ...]]:
    """Returns this host's driver and GPUs as far as they can be told, for a view that can do without them."""
    try:
        seen = _known(facts, Driver)
        return seen.version.value, compat_gpus(_known(facts, Pci), seen)
    except CannotTell:
        return None, ()


def _known(facts: Facts, subject: type[T]) -> T:
    found = facts[subject]
    if isinstance(found, Missing):
        raise CannotTell(found.reason)
    return cast(T, found)


def _without(cuda: str, verdict: Verdict, reason: Reason) -> Answer:
    hint = Remedy("Ask about a host that is not here with --driver and --gpu.")
    return Answer(cuda, None, verdict, (), (hint,), (reason,))


def _driver(cuda: str, facts: Facts, gpus: Sequence[Gpu]) -> tuple[Remedy, ...]:
    wanted = driver_to_install(cuda, gpus)
    system = facts[System]
    if wanted is None or isinstance(system, Missing):
        return tuple(one for one in (wanted,) if one)
    commands = install_commands("driver", target(system), driver_package=driver_package(gpus))
    return (replace(wanted, commands=commands),)
