"""The compatibility question asked of this host: its facts put into the rules' terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuctl.checks.driver_remedies import install_driver, kept_by_another
from gpuctl.checks.gpus import compat_gpus, gpu_of_board, silent_gpus
from gpuctl.checks.questions.enforcement import enforcement
from gpuctl.checks.questions.jetson_answer import jetson_answer
from gpuctl.compat.answer.answer import Compatibility, JudgedCuda, check
from gpuctl.compat.answer.driver_choice import choice_remedy, choose_driver, elsewhere
from gpuctl.compat.ask.question import Machine, Question
from gpuctl.compat.judge.judge import members
from gpuctl.compat.judge.rulings import resolve_cuda
from gpuctl.compat.knowledge.gpus.gpus import Gpu, with_brand
from gpuctl.compat.versions import parts
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.machine.system import DOCKER_ARCHITECTURES, System
from gpuctl.facts.toolkit.settings import ToolkitSettings
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.model import CannotTell, Disturbs, Reason, Remedy, Verdict

SUBJECTS = (System, Pci, Driver, Keeper, Tegra)
"""What has to be gathered to answer for this host, where nothing is asked at the container's gate."""
GATE_SUBJECTS = (*SUBJECTS, Docker, Toolkit, ToolkitSettings)
"""And where something is."""


def host_answer(question: Question, facts: Facts, described: Machine, brand: str | None = None) -> Compatibility:
    """Returns whether this host runs what is asked.

    What is `described`, and the GPUs' `brand`, stand in for the host's own. A host without GPU or driver is
    incompatible; where either could not be looked up the answer is unknown.
    """
    try:
        tegra = facts.known(Tegra)
        if tegra.release.get() and not described.gpus and not described.driver:
            return jetson_answer(question, tegra, facts.known(System))
        pci, seen = facts.known(Pci), facts.known(Driver)
        gpus = described.gpus or (*compat_gpus(pci, seen), *silent_gpus(pci, seen))
        version = described.driver or seen.version.get()
    except CannotTell as why:
        reason = Reason("host.unknown", f"Could not be determined: {why}", "this host")
        return _without(question, Verdict.UNKNOWN, reason)
    if not gpus:
        reason = Reason("host.no-gpu", "No NVIDIA GPU is visible.", pci.gpus.source)
        return _without(question, Verdict.INCOMPATIBLE, reason)
    if version is None:
        reason = Reason("host.no-driver", "No NVIDIA driver is installed.", seen.version.source)
        cuda = members(question.asks[0])[0].text or None if question.asks else None
        return replace(_without(question, Verdict.INCOMPATIBLE, reason), remedies=_driver(cuda, facts, gpus))
    machine = _machine(version, with_brand(gpus, brand), seen, facts, described)
    answer = check(question, machine)
    return answer if described.driver or described.gpus else _by_the_keeper(answer, facts, gpus)


def _machine(version: str, gpus: Sequence[Gpu], seen: Driver, facts: Facts, described: Machine) -> Machine:
    system = facts.get(System)
    architecture = system.architecture.value if system else None
    if described.driver:
        # What drives the GPUs now says nothing about another driver.
        gpus, open_module, cuda = [replace(gpu, driven=False) for gpu in gpus], None, None
    else:
        open_module, cuda = seen.open_module.value, seen.cuda.value
    return Machine(
        version,
        tuple(gpus),
        open_module,
        described.driver_cuda or cuda,
        enforcement(facts),
        DOCKER_ARCHITECTURES.get(architecture or ""),
    )


def _by_the_keeper(answer: Compatibility, facts: Facts, gpus: Sequence[Gpu]) -> Compatibility:
    """The answer whose remedies change the driver by the way of its keeper here, where it has one of its own."""
    system, keeper = facts.get(System), facts.get(Keeper)
    if not system or not keeper or not kept_by_another(keeper):
        return answer
    branch = _branch_for(answer, gpus)
    ways = (
        install_driver(one.text, system, keeper, gpus, branch=branch) if one.disturbs is Disturbs.HOST else one
        for one in answer.remedies
    )
    return replace(answer, remedies=tuple(ways))


def _branch_for(answer: Compatibility, gpus: Sequence[Gpu]) -> str | None:
    """The lowest branch whose drivers run all that does not run here without limits; None where no driver would."""
    cudas = [resolve_cuda(one.cuda) for one in answer.asked if one.verdict is not Verdict.COMPATIBLE]
    choices = [choose_driver(cuda, gpus, present=answer.driver) for cuda in cudas]
    lowest = [choice.lowest for choice in choices if choice and choice.lowest]
    return str(parts(max(lowest, key=parts))[0]) if lowest else None


def machine_here(facts: Facts, driver: str | None, described: Sequence[Gpu]) -> Machine:
    """Returns this host's driver and GPUs as far as they can be told, for a view that can do without them.

    `driver` or `described` GPUs stand in for the host's own.
    """
    try:
        seen, of_board = facts.known(Driver), gpu_of_board(facts.known(Tegra))
        gpus = tuple(described) or compat_gpus(facts.known(Pci), seen) or ((of_board,) if of_board else ())
    except CannotTell:
        return Machine(driver, tuple(described))
    if driver:
        return Machine(driver, elsewhere(gpus))
    return Machine(seen.version.value, gpus, seen.open_module.value)


def _without(question: Question, verdict: Verdict, reason: Reason) -> Compatibility:
    hint = Remedy("Ask about a host that is not here with --driver and --gpu.")
    asked = tuple(JudgedCuda(ask.cuda, ask.by, ask.source, ask.others, verdict) for ask in question.asks)
    return Compatibility(None, verdict, asked, remedies=(hint,), reasons=(reason,), image=question.image)


def _driver(cuda: str | None, facts: Facts, gpus: Sequence[Gpu]) -> tuple[Remedy, ...]:
    choice = choose_driver(resolve_cuda(cuda) if cuda else None, gpus)
    if choice is None:
        return ()
    wanted, system, keeper = choice_remedy(choice), facts.get(System), facts.get(Keeper)
    branch = choice.branch.branch if choice.branch else None
    return (install_driver(wanted.text, system, keeper, gpus, branch=branch) if system and keeper else wanted,)
