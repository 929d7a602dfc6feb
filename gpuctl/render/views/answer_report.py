"""A compatibility answer as findings, for the formats that know nothing else."""

from __future__ import annotations

from gpuctl.compat.answer.answer import Compatibility
from gpuctl.model import Evidence, Finding, Reason, Remedy, Report, Status, Verdict
from gpuctl.render.views.check import question_text

LAYER = "check"
STATUSES = {
    Verdict.COMPATIBLE: Status.PASS,
    Verdict.LIMITED: Status.WARN,
    Verdict.NEEDS_PACKAGE: Status.FAIL,
    Verdict.INCOMPATIBLE: Status.FAIL,
    Verdict.UNKNOWN: Status.UNKNOWN,
}


def answer_report(answer: Compatibility) -> Report:
    """Returns one finding for the whole answer and one for each GPU, worst first."""
    whole = _finding("answer", answer.verdict, question_text(answer), answer.reasons, answer.remedies)
    gpus = [
        _finding(f"gpu-{place}", gpu.verdict, f"{gpu.name} (GPU {place})", gpu.reasons)
        for place, gpu in enumerate(answer.gpus)
    ]
    return Report(tuple(sorted((whole, *gpus), key=lambda one: list(Status).index(one.status))))


def _finding(
    name: str, verdict: Verdict, what: str, reasons: tuple[Reason, ...], remedies: tuple[Remedy, ...] = ()
) -> Finding:
    why = f". {reasons[0].message}" if reasons else ""
    seen = tuple(Evidence(one.source, one.message) for one in reasons)
    # A finding has one remedy; what would help besides is told with what was seen.
    others = tuple(Evidence("another remedy", " ".join((one.text, *map(str, one.commands)))) for one in remedies[1:])
    remedy = remedies[0] if remedies else None
    return Finding(f"{LAYER}.{name}", LAYER, STATUSES[verdict], f"{verdict.value}: {what}{why}", seen + others, remedy)
