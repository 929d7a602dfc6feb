"""Which driver to install, so that given GPUs run a CUDA version or run at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

from gpuctl.command import command
from gpuctl.compat.answer.driver_choice import (
    DriverChoice,
    choice_remedy,
    choose_driver,
    driver_floors,
    elsewhere,
    first_branch_without,
)
from gpuctl.compat.answer.tags import newest_image
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.judge.by_gpu import OPEN_MODULE_SOURCE, gpu_and_driver, open_module_need, serving_modules
from gpuctl.compat.judge.judge import judge
from gpuctl.compat.judge.rulings import Cuda, resolve_cuda, worst
from gpuctl.compat.knowledge.branch_ends import branch_reason, releases_meant
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.knowledge.install_commands import driver_package
from gpuctl.compat.knowledge.jetpack import ARCHIVE
from gpuctl.compat.knowledge.windows import is_windows
from gpuctl.compat.tables.loader import Branch, architectures, cuda_versions, driver_branch
from gpuctl.compat.versions import parse_driver
from gpuctl.frozen import dataclass
from gpuctl.model import Disturbs, Reason, Remedy, Verdict

KINDS = {"LTSB": "long-term", "PB": "production", "NFB": "new-feature"}
_TABLES = "gpuctl's tables"
_ONLY_OPEN_SOURCE = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/620/kernel-modules.html"


class Advice(str, Enum):
    """What a recommendation says: the present driver will do, install one, none would do, or that it is not known."""

    KEEP = "keep"
    INSTALL = "install"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Recommendation:
    """What to do about the driver. `cuda` None: it shall drive the GPUs, and NVIDIA shall support it.

    `present` is the driver that is there, `verdict` what it makes of the CUDA version. `choice` says which drivers
    would do (None: none), `open_module` whether the kernel module is to be the open one (no, optional, required, only;
    None: not known), `package` is NVIDIA's name for it. `image` is the newest that then runs; `newest_cuda`, where no
    driver does, the newest CUDA that one runs. `remedy` is what to do, None where there is nothing to do.
    """

    answer: Advice
    cuda: str | None
    present: str | None
    gpus: tuple[Gpu, ...]
    reasons: tuple[Reason, ...]
    remedy: Remedy | None = None
    verdict: Verdict | None = None
    choice: DriverChoice | None = None
    open_module: str | None = None
    package: str | None = None
    image: str | None = None
    newest_cuda: str | None = None


def recommend(cuda: str | None, machine: Machine, month: str | None = None) -> Recommendation:
    """Returns the recommendation for a CUDA version, an update of one, or None, on at least one GPU.

    `month` (YYYY-MM; None: this one) is when NVIDIA has to support the driver. Where chips of a name take different
    drivers, that the chip decides. Raises ValueError where `cuda` or the driver is no version.
    """
    if machine.of_several:
        return _of_one_chip(cuda, machine, month)
    wanted = resolve_cuda(cuda) if cuda else None
    for release in releases_meant(machine.driver) if machine.driver else ():
        parse_driver(release)
    unknown = _unknown(wanted, machine.gpus)
    if unknown:
        found = _said(Advice.UNKNOWN, wanted, machine, unknown)
        return replace(found, remedy=_ask_jetpack(wanted)) if unknown[0].id == "gpu.integrated" else found
    choice = choose_driver(wanted, machine.gpus, month, machine.driver)
    if choice is None:
        return _none(wanted, machine)
    present = _present(wanted, machine, choice, month)
    if machine.driver and present.will_do:
        found = _said(Advice.KEEP, wanted, machine, present.reasons)
        image = newest_image(found.cuda, machine.driver, machine)
        return replace(found, verdict=present.verdict, choice=choice, image=image)
    return _install(wanted, machine, choice, present)


def _of_one_chip(cuda: str | None, machine: Machine, month: str | None) -> Recommendation:
    by_chip = {gpu: recommend(cuda, having, month) for gpu, having in machine.by_chip}
    product, (chip, first) = machine.of_several, next(iter(by_chip.items()))
    others = tuple(gpu for gpu in machine.gpus if gpu.one_of != product)
    if len({(one.answer, one.remedy, one.package) for one in by_chip.values()}) == 1:
        return replace(first, gpus=(*others, replace(chip, name=product, one_of="")))
    each = " ".join(f"With {gpu.name}: {_in_short(one)}" for gpu, one in by_chip.items())
    message = f"Which chip this {product} has decides, and lspci names it. {each} Give that with --gpu."
    return replace(
        first,
        answer=Advice.UNKNOWN,
        gpus=(*others, Gpu(product, "", "unknown")),
        reasons=(Reason("gpu.chip-decides", message, _TABLES),),
        remedy=None,
        verdict=None,
        choice=None,
        open_module=None,
        package=None,
        image=None,
        newest_cuda=None,
    )


def _in_short(found: Recommendation) -> str:
    """What a recommendation says, as a clause with its full stop."""
    if found.remedy is None:
        return f"driver {found.present} will do." if found.answer is Advice.KEEP else "no driver would do."
    return f"{found.remedy.text[0].lower()}{found.remedy.text[1:]}"


def _said(answer: Advice, cuda: Cuda | None, machine: Machine, reasons: tuple[Reason, ...]) -> Recommendation:
    return Recommendation(answer, cuda.text if cuda else None, machine.driver, machine.gpus, reasons)


def _install(cuda: Cuda | None, machine: Machine, choice: DriverChoice, present: _Present) -> Recommendation:
    if is_windows(machine.driver or ""):
        found = _said(Advice.INSTALL, cuda, machine, present.reasons)
        return replace(found, remedy=choice_remedy(choice, machine.driver), verdict=present.verdict, choice=choice)
    module = _module(machine.gpus, choice)
    reasons = (*present.reasons, *_branch_reasons(choice), _module_reason(machine.gpus, module, choice))
    found = _said(Advice.INSTALL, cuda, machine, reasons)
    return replace(
        found,
        remedy=choice_remedy(choice, machine.driver),
        verdict=present.verdict,
        choice=choice,
        open_module=module,
        package=driver_package(machine.gpus),
        image=newest_image(found.cuda, _its_driver(choice), Machine(None, elsewhere(machine.gpus))),
    )


def _unknown(cuda: Cuda | None, gpus: Sequence[Gpu]) -> tuple[Reason, ...]:
    """Why the tables cannot answer, if so."""
    if cuda and cuda.unknown:
        message = f"CUDA {cuda.text} is not in the table: {cuda.unknown}."
        return (Reason("cuda.not-in-table", message, _TABLES),)
    known = ((gpu, architectures().get(gpu.compute_capability)) for gpu in gpus)
    strange = [(gpu, row) for gpu, row in known if row is None or row.integrated]
    return tuple(
        Reason("gpu.integrated", f"{gpu.name} is integrated (Tegra): its driver comes with JetPack.", ARCHIVE)
        if row
        else Reason("gpu.not-in-table", f"The compute capability of {gpu.name} is not in the table.", _TABLES)
        for gpu, row in dict.fromkeys(strange)
    )


def _ask_jetpack(cuda: Cuda | None) -> Remedy:
    asked = command("gpuctl", "check", "--cuda", cuda.text if cuda else "X.Y")
    return Remedy("Ask on the Jetson what its JetPack runs.", (asked,))


@dataclass(frozen=True)
class _Present:
    """What there is to say of the driver that is there."""

    will_do: bool
    verdict: Verdict | None
    reasons: tuple[Reason, ...]


def _present(cuda: Cuda | None, machine: Machine, choice: DriverChoice, month: str | None) -> _Present:
    if machine.driver is None:
        return _Present(False, None, ())
    branch = driver_branch(machine.driver)
    over = _support_over(branch) if branch and branch.ended(month) else ()
    if cuda is None:
        return _present_for_gpus(machine.driver, machine, choice, over)
    rulings = [
        ruling
        for release in releases_meant(machine.driver)
        for gpu in machine.gpus
        for ruling in judge(cuda, release, gpu, machine.open_module)
    ]
    verdict = worst(ruling.verdict for ruling in rulings)
    reasons = tuple(dict.fromkeys(ruling.reason for ruling in rulings if ruling.verdict == verdict))
    will_do = verdict == Verdict.COMPATIBLE or (verdict == Verdict.LIMITED and choice.limited)
    return _Present(will_do, verdict, (*_of_branch(machine.driver), *reasons, *over))


def _of_branch(driver: str) -> tuple[Reason, ...]:
    reason = branch_reason(driver)
    return (reason,) if reason else ()


def _present_for_gpus(driver: str, machine: Machine, choice: DriverChoice, over: tuple[Reason, ...]) -> _Present:
    """Where no CUDA version is asked for, a driver will do that drives the GPUs and of whose kind none is better."""
    against = [
        one
        for release in releases_meant(driver)
        for gpu in machine.gpus
        for one in gpu_and_driver(release, gpu, machine.open_module)
    ]
    branch = driver_branch(driver)
    will_do = not against and (not over or (not choice.supported and branch == choice.branch))
    reasons = (*dict.fromkeys(ruling.reason for ruling in against), *over)
    if not reasons:
        source = branch.source if branch else _TABLES
        reasons = (Reason("driver.drives-gpus", f"Driver {driver} drives these GPUs.", source),)
    return _Present(will_do, None, (*_of_branch(driver), *reasons))


def _support_over(branch: Branch) -> tuple[Reason, ...]:
    message = f"NVIDIA's support for branch {branch.branch} ended in {branch.end_of_life}."
    return (Reason("driver.branch-ended", message, branch.source),)


def _branch_reasons(choice: DriverChoice) -> tuple[Reason, ...]:
    branch = choice.branch
    if branch is None:
        return ()
    kind = f" is a {KINDS[branch.kind]} branch" if branch.kind in KINDS else ""
    newest = f"; its newest release known here is {branch.newest_version}" if branch.newest_version else ""
    if choice.supported:
        message = f"Branch {branch.branch}{kind} that NVIDIA supports until {branch.end_of_life}{newest}."
        return (Reason("driver.branch-supported", message, branch.source),)
    ended = f" ({branch.branch}'s ended in {branch.end_of_life})" if branch.end_of_life else ""
    message = f"NVIDIA supports no branch any more that would do{ended}; {branch.branch} is the newest{newest}."
    return (Reason("driver.branch-ended", message, branch.source),)


def _its_driver(choice: DriverChoice) -> str:
    branch = choice.branch
    return (branch.newest_version or branch.branch) if branch else (choice.lowest or "")


def _open_module(gpus: Sequence[Gpu]) -> str | None:
    """How all the GPUs together stand to the open kernel module, in the words of `open_module_need`."""
    needs = {open_module_need(gpu) for gpu in gpus}
    return next((need for need in ("no", "required", None, "optional") if need in needs), None)


def _module(gpus: Sequence[Gpu], choice: DriverChoice) -> str | None:
    """The same, or `only`: they run either, and the branch to install has the open one alone."""
    need = _open_module(gpus)
    has_one = choice.branch is not None and choice.branch.open_modules == "only"
    return "only" if has_one and need != "required" else need


def _module_reason(gpus: Sequence[Gpu], need: str | None, choice: DriverChoice) -> Reason:
    names = ", ".join(dict.fromkeys(gpu.name for gpu in gpus if open_module_need(gpu) == need))
    if need == "only" and choice.branch:
        message = f"The kernel module is the open one: branch {choice.branch.branch} has no other."
        return Reason("driver.kernel-module", message, _ONLY_OPEN_SOURCE)
    messages = {
        "no": f"The kernel module must be the proprietary one: the open one does not drive {names}.",
        "required": f"The kernel module must be the open one: the proprietary one does not drive {names}.",
        "optional": "Either kernel module serves; the open one is NVIDIA's default from branch 560 on.",
        None: f"Whether {names} needs the open kernel module is not known; it is NVIDIA's default.",
    }
    return Reason("driver.kernel-module", messages[need], OPEN_MODULE_SOURCE)


def _none(cuda: Cuda | None, machine: Machine) -> Recommendation:
    """No driver would do: why, and what these GPUs can run instead."""
    gpus = machine.gpus
    newest = next((minor for minor in reversed(cuda_versions()) if _some_driver(minor, gpus)), None)
    text = f"Use an image for CUDA {newest} or older: the newest that a driver runs on these GPUs."
    remedy = Remedy(text, (command("gpuctl", "image", "--cuda", newest),), Disturbs.NEW_CONTAINERS) if newest else None
    return replace(_said(Advice.NONE, cuda, machine, _why_none(cuda, gpus)), remedy=remedy, newest_cuda=newest)


def _some_driver(minor: str, gpus: Sequence[Gpu]) -> bool:
    return bool({Verdict.COMPATIBLE, Verdict.LIMITED} & driver_floors(resolve_cuda(minor), gpus).keys())


def _why_none(cuda: Cuda | None, gpus: Sequence[Gpu]) -> tuple[Reason, ...]:
    if not serving_modules(gpus):
        old, new = (_named(gpus, need) for need in ("no", "required"))
        message = (
            f"{old} needs the proprietary kernel module and {new} the open one: a host loads one for all its GPUs."
        )
        return (Reason("driver.modules-exclude", message, OPEN_MODULE_SOURCE),)
    alone = [gpu for gpu in elsewhere(gpus) if choose_driver(cuda, (gpu,)) is None]
    if cuda and alone:
        return tuple(dict.fromkeys(reason for gpu in alone for reason in _reasons_against(cuda, gpu)))
    return tuple(_bounds(gpu) for gpu in elsewhere(gpus))


def _named(gpus: Sequence[Gpu], need: str) -> str:
    return " and ".join(dict.fromkeys(gpu.name for gpu in gpus if open_module_need(gpu) == need))


def _reasons_against(cuda: Cuda, gpu: Gpu) -> list[Reason]:
    """Why no driver runs the CUDA version on the GPU, told of the lowest that is tried."""
    driver = next(iter(driver_floors(cuda, (gpu,)).values()))
    return [ruling.reason for ruling in judge(cuda, driver, gpu) if ruling.verdict == Verdict.INCOMPATIBLE]


def _bounds(gpu: Gpu) -> Reason:
    """Which drivers drive a GPU, where those of several exclude each other."""
    row, end = architectures()[gpu.compute_capability], first_branch_without((gpu,))
    since = f"from branch {row.first_driver_branch} on" if row.first_driver_branch else ""
    until = f"up to branch {row.last_driver_branch}" if end else ""
    words = " and ".join(word for word in (since, until) if word) or "by every driver known here"
    return Reason("driver.bounds", f"{gpu.name} ({row.architecture}) is driven {words}.", row.source)
