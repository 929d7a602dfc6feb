"""The driver to recommend to this host: its facts put into the rules' terms, and the commands of its distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuctl.checks.driver_remedies import install_driver, kept_by_another, package_may_be_gone
from gpuctl.checks.gpus import compat_gpus, gpu_of_board, silent_gpus
from gpuctl.checks.remedies import target
from gpuctl.compat.answer.driver_choice import elsewhere
from gpuctl.compat.answer.recommendation import Advice, Recommendation, recommend
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.knowledge.install_commands import compiler_note, driver_commands, off_branch, open_modules_only
from gpuctl.compat.knowledge.keepers import KeeperRow
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.system import System
from gpuctl.model import CannotTell, Reason, Remedy

_LOCKING = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/version-locking.html"
_OPEN_ONLY = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/595/advanced-options.html"
_GUIDE = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/"


def host_recommendation(cuda: str | None, facts: Facts, driver: str | None, described: Sequence[Gpu]) -> Recommendation:
    """Returns the driver to install on this host. `driver` or `described` GPUs stand in for the host's own.

    The facts of System are needed, and those of Pci and Driver unless both are described.
    """
    try:
        machine = _machine(facts, driver, described)
    except CannotTell as why:
        reason = Reason("host.unknown", f"Could not be determined: {why}", "this host")
        return _without(cuda, driver, Advice.UNKNOWN, reason)
    if not machine.gpus:
        reason = Reason("host.no-gpu", "No NVIDIA GPU is visible.", facts.known(Pci).gpus.source)
        return _without(cuda, machine.driver, Advice.NONE, reason)
    found = recommend(cuda, machine)
    return _with_commands(found, facts) if found.answer == Advice.INSTALL else found


def _machine(facts: Facts, driver: str | None, described: Sequence[Gpu]) -> Machine:
    if driver and described:
        return Machine(driver, tuple(described))
    seen = facts.known(Driver)
    pci = facts.known(Pci)
    of_board = gpu_of_board(facts.known(Tegra))
    here = (of_board,) if of_board else (*compat_gpus(pci, seen), *silent_gpus(pci, seen))
    gpus = tuple(described) or here
    if driver:
        return Machine(driver, elsewhere(gpus))
    return Machine(seen.version.get(), gpus, seen.open_module.value)


def _without(cuda: str | None, driver: str | None, answer: Advice, reason: Reason) -> Recommendation:
    hint = Remedy("Ask about a host that is not here with --gpu.")
    return Recommendation(answer, cuda, driver, (), (reason,), hint)


def _with_commands(found: Recommendation, facts: Facts) -> Recommendation:
    """The recommendation with the commands, and with what there is to say of them."""
    branch = found.choice.branch.branch if found.choice and found.choice.branch else None
    try:
        system = facts.known(System)
    except CannotTell as why:
        message = f"Which commands install it is not known: {why}."
        return _noting(found, Reason("host.distribution-unknown", message, "this host"))
    keeper = facts.get(Keeper)
    row = kept_by_another(keeper) if keeper else None
    if keeper and row:
        return _by_its_keeper(found, system, keeper, row)
    here = system.distribution.value
    name = here.title if here else "a distribution that does not say its name"
    if open_modules_only(found.gpus, target(system)):
        return _not_here(found, name)
    commands = driver_commands(found.gpus, target(system), branch)
    if not commands:
        message = f"gpuctl knows no commands that install it on {name}."
        return _noting(found, Reason("host.no-commands", message, _GUIDE))
    remedy = replace(found.remedy, commands=commands) if found.remedy else None
    found = replace(found, remedy=remedy)
    note = compiler_note(target(system))
    if note:
        found = _noting(found, Reason("host.before-install", f"On {name} {note}.", _GUIDE))
    gone = package_may_be_gone(target(system))
    if gone:
        found = _noting(found, Reason("driver.package-may-be-gone", gone, _GUIDE))
    elif branch and found.choice and not found.choice.supported:
        message = f"Branch {branch} is over: NVIDIA's repository may not have its package for this distribution."
        return _noting(found, Reason("driver.package-may-be-gone", message, _GUIDE))
    off = off_branch(commands, branch) if branch else None
    return _noting(found, Reason("driver.newest-package", off, _LOCKING)) if off else found


def _not_here(found: Recommendation, name: str) -> Recommendation:
    """What is said where the distribution has no kernel module that drives the GPUs."""
    names = " and ".join(dict.fromkeys(gpu.name for gpu in found.gpus))
    message = f"On {name} NVIDIA supports the open kernel modules only, which do not drive {names}."
    remedy = Remedy("Use another distribution on this host, or a GPU of Turing or newer.")
    none = replace(found, answer=Advice.NONE, choice=None, open_module=None, package=None, image=None, remedy=remedy)
    return replace(none, reasons=(Reason("host.open-modules-only", message, _OPEN_ONLY),))


def _by_its_keeper(found: Recommendation, system: System, keeper: Keeper, row: KeeperRow) -> Recommendation:
    text = found.remedy.text if found.remedy else "Install the driver."
    branch = found.choice.branch.branch if found.choice and found.choice.branch else None
    remedy = install_driver(text, system, keeper, found.gpus, branch=branch)
    reason = Reason("host.keeper", f"The driver here is kept by {row.title}.", keeper.driver.source)
    return _noting(replace(found, remedy=remedy, package=None), reason)


def _noting(found: Recommendation, reason: Reason) -> Recommendation:
    return replace(found, reasons=(*found.reasons, reason))
