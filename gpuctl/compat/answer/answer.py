"""Will this run on this driver and these GPUs? The answer, its reasons and what would change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, groupby
from typing import TYPE_CHECKING

from gpuctl.compat.answer.alternatives import settled
from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.ask.question import Machine, Question, typed_cuda
from gpuctl.compat.judge.by_gpu import gpu_and_driver
from gpuctl.compat.judge.by_jetpack import on_jetson_linux
from gpuctl.compat.judge.judge import asked_cuda, judge_ask
from gpuctl.compat.judge.rulings import SEVERITY, Cuda, Ruling, worst
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.tables.loader import CudaRow
from gpuctl.compat.versions import parse_driver, parts
from gpuctl.frozen import dataclass
from gpuctl.model import Reason, Remedy, Verdict

if TYPE_CHECKING:  # only what is asked at the gate pays for the gate
    from gpuctl.compat.ask.image_claims import Claims
    from gpuctl.compat.judge.gate.gate import Requirement

_TABLES = "gpuctl's tables"
_REMEMBERED = 4096
"""In a fleet many hosts ask for the same, and differ in what an image or a requirement says besides."""


@dataclass(frozen=True)
class GpuAnswer:
    """The verdict for one GPU, its reasons (those that decided first) and the table rows that they rest on."""

    name: str
    compute_capability: str
    architecture: str
    brand: str | None
    verdict: Verdict
    reasons: tuple[Reason, ...]
    rows: tuple[CudaRow, ...]


@dataclass(frozen=True)
class JudgedCuda:
    """A CUDA version that was judged, in whose name, and what became of it on this host."""

    cuda: str
    by: str
    source: str
    others: tuple[str, ...]
    verdict: Verdict


@dataclass(frozen=True)
class Compatibility:
    """The verdict for a host: that of the GPU which is worst off.

    `asked` are the CUDA versions that were judged, the one that decides first. `driver` None: there is none to judge
    by; `reasons` then says why, as it does for anything about the whole host. `requirement` None: nothing required.
    `image`: the one that was asked about.
    """

    driver: str | None
    verdict: Verdict
    asked: tuple[JudgedCuda, ...] = ()
    gpus: tuple[GpuAnswer, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    reasons: tuple[Reason, ...] = ()
    requirement: Requirement | None = None
    image: str | None = None

    @property
    def cuda(self) -> str | None:
        """The CUDA version that decides; None: none is asked for, or none is known."""
        return next((one.cuda for one in self.asked if one.cuda), None)


@dataclass(frozen=True)
class _Case:
    """One GPU before all that is asked: what each ask came to, in their order, all together, and what the gate says.

    Where which of several chips it has is not known, `gpu` has the first of them.
    """

    gpu: Gpu
    by_ask: tuple[tuple[Ruling, ...], ...]
    settled: tuple[Ruling, ...]
    requirement: Requirement | None
    at_gate: tuple[Ruling, ...]

    @property
    def rulings(self) -> tuple[Ruling, ...]:
        return (*self.settled, *self.at_gate)


def check(question: Question, machine: Machine) -> Compatibility:
    """Returns whether what is asked runs on a machine, and what would change that.

    Raises ValueError for what is no version, without a GPU, and for a CUDA version without a driver.
    """
    cudas, cases, whole = _judged(question, machine, thorough=True)
    asked = tuple(_asked(place, cudas[place], ask, cases) for place, ask in enumerate(question.asks))
    by_gpu = {case.gpu: _gpu_answer(case, machine.driver) for case in cases}
    requirement = _deciding(cases)
    return Compatibility(
        machine.driver,
        _verdict(cases, whole),
        tuple(sorted(asked, key=lambda one: SEVERITY.index(one.verdict), reverse=True)),
        tuple(by_gpu[gpu] for gpu in machine.gpus if gpu in by_gpu),
        () if _runs_nowhere(whole) else (*_remedies(question, asked, machine, requirement), *_of_unread(question)),
        tuple(ruling.reason for ruling in whole),
        requirement,
        question.image,
    )


def without_gpu(question: Question, driver: str | None) -> Compatibility | None:
    """Returns the answer to a question for builds for the CPU alone, whatever the host; None for any other."""
    if question.at_the_gate or not question.asks or not all(ask.for_cpu for ask in question.asks):
        return None
    asked = tuple(JudgedCuda("", ask.by, ask.source, (), Verdict.COMPATIBLE) for ask in question.asks)
    reasons = tuple(Reason("build.for-cpu", ask.for_cpu, ask.source) for ask in question.asks)
    return Compatibility(driver, Verdict.COMPATIBLE, asked, reasons=reasons)


def brief(question: Question, machine: Machine) -> tuple[Verdict, Reason | None, Requirement | None]:
    """Returns the verdict, the reason that decided and what came of the requirement: `check` without its advice.

    Raises ValueError as `check` does.
    """
    _, cases, whole = _judged(question, machine, thorough=False)
    verdict = _verdict(cases, whole)
    rulings = [*(ruling for case in cases for ruling in case.rulings), *whole]
    return verdict, next((one.reason for one in rulings if one.verdict == verdict), None), _deciding(cases)


def _judged(
    question: Question, machine: Machine, thorough: bool
) -> tuple[tuple[Cuda, ...], tuple[_Case, ...], tuple[Ruling, ...]]:
    if machine.driver is not None:
        parse_driver(machine.driver)
    elif question.asks:
        raise ValueError("no driver to ask about: name one")
    if not machine.gpus:
        raise ValueError("no GPU to ask about: name one")
    cudas = tuple(asked_cuda(ask, machine.driver or "", machine.gpus, machine.open_module) for ask in question.asks)
    cases = [_case(question, cudas, machine, gpu, thorough) for gpu in dict.fromkeys(machine.gpus)]
    return cudas, tuple(_boards(cases)), _of_the_image(question.gate.claims if question.gate else None, machine)


def _of_the_image(claims: Claims | None, machine: Machine) -> tuple[Ruling, ...]:
    if claims is None:
        return ()
    from gpuctl.compat.judge.by_image import image_rulings

    return image_rulings(claims, machine.architecture, machine.gpus)


def _runs_nowhere(whole: Sequence[Ruling]) -> bool:
    """Whether the image's tag is none, or is for Jetsons only: nothing done to this host makes it run."""
    return any(ruling.reason.id in ("image.no-such-tag", "image.for-jetson") for ruling in whole)


def _without_gpu(question: Question) -> tuple[Ruling, ...]:
    claims = question.gate.claims if question.gate else None
    if claims is None or not claims.for_cpu:
        return ()
    from gpuctl.compat.judge.by_image import without_gpu

    return (without_gpu(claims),)


def _case(question: Question, cudas: tuple[Cuda, ...], machine: Machine, gpu: Gpu, thorough: bool) -> _Case:
    by_ask, alternatives = _of_asks(question.asks, cudas, machine.driver or "", gpu, machine.open_module)
    together = (*alternatives, *_without_gpu(question))
    # What an image requires of the driver nobody evaluates on a Jetson.
    if question.gate is None or not question.gate.asks or on_jetson_linux(machine.driver or "", gpu):
        return _Case(gpu, by_ask, together, None, ())
    from gpuctl.compat.judge.gate.gate import at_the_gate, gate_rulings, subject_of

    subject = subject_of(machine.driver, gpu, machine.driver_cuda)
    said = at_the_gate(question.gate, subject, gpu, machine.enforcement, thorough)
    return _Case(gpu, by_ask, together, said, gate_rulings(said, machine.enforcement, question.gate, not by_ask))


@lru_cache(maxsize=_REMEMBERED)
def _of_asks(
    asks: tuple[Ask, ...], cudas: tuple[Cuda, ...], driver: str, gpu: Gpu, open_module: bool | None
) -> tuple[tuple[tuple[Ruling, ...], ...], tuple[Ruling, ...]]:
    """What is ruled of each thing that is asked for, and what settles alternatives among them."""
    by_ask = tuple(judge_ask(ask, cuda, driver, gpu, open_module) for ask, cuda in zip(asks, cudas, strict=True))
    return by_ask, tuple(settled(asks, by_ask))


def _boards(cases: Sequence[_Case]) -> Iterator[_Case]:
    """Yields the cases, those of a GPU with one of several chips as one."""
    for product, same in groupby(cases, key=lambda case: case.gpu.one_of):
        found = tuple(same)
        yield from (_of_one_chip(product, found),) if product else found


def _of_one_chip(product: str, cases: Sequence[_Case]) -> _Case:
    """Returns what a GPU comes to that has one of these chips: their answer where they fare alike, else it is open."""
    verdicts = {case.gpu.name: _verdict([case], ()) for case in cases}
    ruling = _about_chips(product, verdicts)
    by_ask = tuple(
        tuple(chain(*told)) if len({worst(one.verdict for one in rulings) for rulings in told}) == 1 else (ruling,)
        for told in zip(*(case.by_ask for case in cases), strict=True)
    )
    alike = cases if ruling.verdict in verdicts.values() else ()
    settled_alike = tuple(one for case in alike for one in case.settled)
    at_gate = tuple(one for case in alike for one in case.at_gate)
    return _Case(cases[0].gpu, by_ask, (*settled_alike, ruling), _deciding(cases), at_gate)


def _about_chips(product: str, verdicts: Mapping[str, Verdict]) -> Ruling:
    if len(set(verdicts.values())) == 1:
        message = f"The same holds for each that {product} may be: {', '.join(verdicts)}."
        return Ruling(next(iter(verdicts.values())), Reason("gpu.chips-alike", message, _TABLES))
    each = ", ".join(f"{name} is {verdict.value}" for name, verdict in verdicts.items())
    message = f"Which chip this {product} has decides, and lspci names it: {each}. Give that with --gpu."
    return Ruling(Verdict.UNKNOWN, Reason("gpu.chip-decides", message, _TABLES))


def _verdict(cases: Sequence[_Case], whole: Sequence[Ruling]) -> Verdict:
    """Returns the worst; where nothing was judged, nothing is known."""
    of_gpus = [ruling.verdict for case in cases for ruling in case.rulings] or [Verdict.UNKNOWN]
    return worst([*of_gpus, *(ruling.verdict for ruling in whole)])


def _deciding(cases: Sequence[_Case]) -> Requirement | None:
    """Returns what came of the requirement: what the first GPU that does not meet it got for an answer."""
    said = [case.requirement for case in cases if case.requirement]
    return next((one for one in said if not one.satisfied), said[0] if said else None)


def _asked(place: int, cuda: Cuda, ask: Ask, cases: Sequence[_Case]) -> JudgedCuda:
    verdict = worst(ruling.verdict for case in cases for ruling in case.by_ask[place])
    return JudgedCuda(cuda.text, ask.by, ask.source, ask.others, verdict)


def _remedies(
    question: Question, asked: Sequence[JudgedCuda], machine: Machine, requirement: Requirement | None
) -> tuple[Remedy, ...]:
    if all(one.verdict is Verdict.COMPATIBLE for one in asked) and (requirement is None or requirement.satisfied):
        return ()  # a good answer does not pay for what would change it
    from gpuctl.compat.answer.remedies import gate_remedies, remedies

    found = remedies(question.asks, machine)
    if requirement:
        found += gate_remedies(requirement, {one.verdict for one in asked})
    return tuple(dict.fromkeys(found))


def _of_unread(question: Question) -> tuple[Remedy, ...]:
    claims = question.gate.claims if question.gate else None
    if claims is None or claims.unread is None or claims.cuda or claims.for_cpu:
        return ()
    from gpuctl.compat.answer.remedies import reading_remedy
    from gpuctl.compat.knowledge.jetpack import is_for_jetson

    if is_for_jetson(claims.reference):
        return ()
    return (reading_remedy(claims.reference),)


def check_cuda(cuda: str, driver: str, gpus: Sequence[Gpu], open_module: bool | None = None) -> Compatibility:
    """Returns whether software built for a CUDA version runs on a driver and its GPUs.

    `cuda` is 12.4, 12.4.1 or 12 (the newest 12.x). Raises ValueError for text that is no version, and without GPU.
    """
    return check(Question((typed_cuda(cuda),)), Machine(driver.strip(), tuple(gpus), open_module))


def driver_verdict(driver: str, compute_capability: str) -> Reason | None:
    """Returns why a driver does not drive GPUs of a compute capability; None where nothing is known against it."""
    rulings = gpu_and_driver(driver, Gpu("", compute_capability, ""), None)
    return rulings[0].reason if rulings else None


def _gpu_answer(case: _Case, driver: str | None) -> GpuAnswer:
    verdict = _verdict([case], ())
    decisive_first = sorted(case.rulings, key=lambda ruling: ruling.verdict != verdict)
    return GpuAnswer(
        case.gpu.one_of or case.gpu.name,
        "" if case.gpu.one_of else case.gpu.compute_capability,
        "unknown" if case.gpu.one_of else case.gpu.architecture,
        case.gpu.brand_on(parts(driver)) if driver else case.gpu.brand,
        verdict,
        tuple(dict.fromkeys(ruling.reason for ruling in decisive_first)),
        tuple(dict.fromkeys(row for ruling in case.rulings for row in ruling.rows)),
    )
