"""The container's gate: would the toolkit let this image start on this host, and is it asked at all?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from gpuctl.bounds import amount
from gpuctl.compat.ask.image_claims import Claims, Expression
from gpuctl.compat.judge.by_gpu import gpu_and_driver
from gpuctl.compat.judge.gate import expression as requirement
from gpuctl.compat.judge.gate import expression_go as requirement_go
from gpuctl.compat.judge.gate.expression import MAX_EXPRESSIONS, Evaluation, Subject, quoted
from gpuctl.compat.judge.rulings import Ruling
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.compat.tables.loader import Branch, branches, driver_branch
from gpuctl.compat.versions import parts
from gpuctl.frozen import dataclass
from gpuctl.model import Reason, Verdict

LONGEST = 128 << 10
"""Characters of an expression: as long as a variable may be (execve(2), MAX_ARG_STRLEN)."""
SATISFIED, UNSATISFIED, ERROR, UNKNOWN = "satisfied", "unsatisfied", "error", "unknown"
EVALUATORS: Mapping[str, Callable[[str, Subject], Evaluation]] = {
    "libnvidia-container": requirement.evaluate,
    "go": requirement_go.evaluate,
}
_SOURCES = {
    "libnvidia-container": "https://github.com/NVIDIA/libnvidia-container/blob/main/src/cli/dsl.c",
    "go": "https://github.com/NVIDIA/nvidia-container-toolkit/tree/main/internal/requirements",
}
_PROPERTIES = {
    "cuda": "the highest CUDA version of the driver",
    "driver": "the driver",
    "arch": "the GPU's compute capability",
    "brand": "the GPU's brand",
}
_BRANDS_OF_CLASS = {
    "datacenter": ("tesla", "nvidia"),
    "workstation": ("quadro", "quadrortx", "nvidiartx", "nvidia"),
}
_ANYTHING = Subject("0", "0", "0", "unknown")
_CDI_SOURCE = "https://github.com/NVIDIA/nvidia-container-toolkit/issues/1470"


@dataclass(frozen=True)
class Enforcement:
    """Whether a host's toolkit evaluates what images require, and why: a clause. None: not known."""

    enforced: bool | None
    why: str


NOT_KNOWN = Enforcement(None, "a toolkit in legacy mode refuses the container then, one in a CDI mode does not look")


@dataclass(frozen=True)
class Requirement:
    """What came of an image's requirement. `verdict` is SATISFIED, UNSATISFIED, ERROR or UNKNOWN, `message` a sentence.

    `failed`: of each alternative the factor that is false. `branch`: the driver branch that would meet it, if any.
    """

    enforced: bool | None
    verdict: str
    message: str
    source: str
    failed: tuple[str, ...] = ()
    branch: Branch | None = None

    @property
    def satisfied(self) -> bool:
        """Whether the container is known to start."""
        return self.verdict == SATISFIED


@dataclass(frozen=True)
class Gate:
    """What is asked at the gate: the image's own expressions, those that a person typed, and by which evaluator."""

    claims: Claims | None = None
    typed: tuple[Expression, ...] = ()
    evaluator: str = "libnvidia-container"

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """All that must hold, the image's own first."""
        own = self.claims.expressions if self.claims and not self.claims.disabled else ()
        return (*own, *self.typed)

    @property
    def asks(self) -> bool:
        """Whether anything is asked at all."""
        return bool(self.expressions or (self.claims and self.claims.broken and not self.claims.disabled))


def subject_of(driver: str | None, gpu: Gpu, driver_cuda: str | None = None) -> Subject:
    """Returns what an expression sees of a driver and a GPU; the driver's highest CUDA is its branch's if not given."""
    branch = driver_branch(driver) if driver else None
    cuda = driver_cuda or (branch.max_cuda if branch else None)
    return Subject(cuda, driver, gpu.compute_capability or None, gpu.brand_on(parts(driver)) if driver else gpu.brand)


def malformed(gate: Gate) -> str | None:
    """Returns why a person's own expressions are none, as a sentence without its full stop; None: they are.

    Every alternative counts, though the toolkit stops at the first that holds.
    """
    evaluate = EVALUATORS[gate.evaluator]
    for one in gate.typed:
        for alternative in one.text.split(" "):
            said = [evaluate(factor, _ANYTHING).error for factor in alternative.split(",")]
            error = next((each for each in said if each), None)
            if error:
                return f"{one.name} is a broken requirement: {error}"
    return None


def at_the_gate(
    gate: Gate, subject: Subject, gpu: Gpu, enforcement: Enforcement | None, thorough: bool = True
) -> Requirement:
    """Returns what the toolkit says of one GPU: the first expression that does not hold decides.

    `thorough` looks, which takes its time, for the driver branch that would meet it.
    """
    enforced = enforcement.enforced if enforcement else None
    source = _SOURCES[gate.evaluator]
    broken = _broken(gate)
    if broken:
        return Requirement(enforced, ERROR, broken, source)
    assumed: tuple[str, ...] = ()
    for expression in gate.expressions:
        said = EVALUATORS[gate.evaluator](expression.text, subject)
        if said.error:
            message = f"{expression.name} is a broken requirement: {said.error}."
            return Requirement(enforced, ERROR, message, source)
        if not said.holds:
            message = _unmet(expression, said.failed[0], subject, gpu)
            unmet = Requirement(enforced, UNSATISFIED, message, source, said.failed)
            return _with_branch(unmet, gate, subject, gpu) if thorough else unmet
        assumed += said.assumed
    required = " and ".join(_or_else(one, one.text.split(" ")[0]) for one in gate.expressions)
    if assumed and not _whatever_its_brand(gate, subject, gpu):
        what = " and ".join(_PROPERTIES[name] for name in dict.fromkeys(assumed))
        message = f"Whether {gpu.name} meets what is required ({required}) is not known: gpuctl cannot tell {what}."
        message += " Name the brand with --brand." if "brand" in assumed else ""
        return Requirement(enforced, UNKNOWN, message, source)
    met = f"The driver and {gpu.name} meet what is required: {required}."
    message = met if required else "Nothing is required of the driver and the GPU."
    return Requirement(enforced, SATISFIED, message, source)


def _whatever_its_brand(gate: Gate, subject: Subject, gpu: Gpu) -> bool:
    """Returns whether all holds with each brand that NVML may have for a board of this class; False without a class."""
    brands = _BRANDS_OF_CLASS.get(gpu.product_class or "", ()) if subject.brand is None else ()
    evaluate = EVALUATORS[gate.evaluator]
    said = [evaluate(one.text, replace(subject, brand=brand)) for brand in brands for one in gate.expressions]
    return bool(said) and all(one.holds and not one.assumed for one in said)


def _broken(gate: Gate) -> str | None:
    """Returns why the toolkit refuses whatever the host, as a sentence."""
    if gate.claims and gate.claims.broken and not gate.claims.disabled:
        return f"The toolkit cannot tell what {gate.claims.reference} requires: {gate.claims.broken}."
    long = next((one.name for one in gate.expressions if len(one.text) > LONGEST), None)
    if long:
        return f"{long} is longer than {amount(LONGEST)}, which no program can be given: no container starts with it."
    if len(gate.expressions) > MAX_EXPRESSIONS:
        return f"The toolkit refuses more than {MAX_EXPRESSIONS} requirements, and there are {len(gate.expressions)}."
    return None


def _unmet(expression: Expression, failed: str, subject: Subject, gpu: Gpu) -> str:
    told = (
        f"driver {subject.driver}" if subject.driver else "",
        f"CUDA {subject.cuda}" if subject.cuda else "",
        f"compute capability {subject.arch}" if subject.arch else "",
        f"brand {subject.brand}" if subject.brand else "",
    )
    seen = ", ".join(one for one in told if one)
    return f"{expression.name} asks for {_or_else(expression, failed)}, which {gpu.name} here ({seen}) does not meet."


def _or_else(expression: Expression, factor: str) -> str:
    others = len(expression.text.split()) - 1
    alternatives = f" or one of {others} alternatives" if others > 1 else " or an alternative" if others == 1 else ""
    return f"{quoted(factor)[1:-1]}{alternatives}"


def _with_branch(said: Requirement, gate: Gate, subject: Subject, gpu: Gpu) -> Requirement:
    branch = _branch_that_would(gate, subject, gpu)
    return replace(said, message=f"{said.message} {_in_words(branch)}", branch=branch)


def _in_words(branch: Branch | None) -> str:
    if branch is None:
        return "No driver branch known here would meet it."
    until = f" (supported until {branch.end_of_life})" if branch.supported() else " (no longer supported)"
    return f"A driver of branch {branch.branch}{until} would meet it."


def _branch_that_would(gate: Gate, subject: Subject, gpu: Gpu) -> Branch | None:
    """Returns the lowest newer branch that meets what is required, a supported one before the others."""
    present = int((subject.driver or "0").split(".")[0])
    serving = [branch for branch in branches() if int(branch.branch) > present and _would(branch, gate, gpu)]
    return min(serving, key=lambda branch: not branch.supported(), default=None)


def _would(branch: Branch, gate: Gate, gpu: Gpu) -> bool:
    driver = branch.newest_version or f"{branch.branch}.0"
    elsewhere = replace(gpu, driven=False)
    if gpu_and_driver(driver, elsewhere, None):
        return False
    subject = subject_of(driver, elsewhere, branch.max_cuda or "0")
    return all(EVALUATORS[gate.evaluator](one.text, subject).holds for one in gate.expressions)


def gate_rulings(said: Requirement, enforcement: Enforcement | None, gate: Gate, alone: bool) -> tuple[Ruling, ...]:
    """Returns what the gate rules. `alone`: nothing but the requirement is asked about.

    Where nobody evaluates it, an image that does not run here starts and fails inside; then the other rules decide.
    """
    if said.verdict == SATISFIED:
        return (Ruling(Verdict.COMPATIBLE, Reason("gate.satisfied", said.message, said.source)),)
    if said.verdict == UNKNOWN:
        return (Ruling(Verdict.UNKNOWN, Reason("gate.unknown", said.message, said.source)),)
    if said.verdict == ERROR:
        sure = said.enforced is True and not gate.typed
        verdict = Verdict.INCOMPATIBLE if sure else Verdict.UNKNOWN
        return (Ruling(verdict, Reason("gate.error", said.message, said.source)),)
    why = (enforcement or NOT_KNOWN).why
    if said.enforced is False:
        message = (
            f"{said.message} Nothing here will say so: {why}, so the container starts, and what needs more "
            "than this driver fails inside it. This answer is the only check there is."
        )
        verdict = Verdict.INCOMPATIBLE if alone else Verdict.LIMITED
        return (Ruling(verdict, Reason("gate.not-enforced", message, _CDI_SOURCE)),)
    message = f"{said.message} {why[0].upper()}{why[1:]}."
    return (Ruling(Verdict.INCOMPATIBLE, Reason("gate.unsatisfied", message, said.source)),)
