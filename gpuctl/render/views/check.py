"""A compatibility answer for people: the verdict first, then each GPU with its reasons, then what would change it."""

from __future__ import annotations

from itertools import groupby

from gpuctl.compat.answer.answer import Compatibility, GpuAnswer
from gpuctl.model import Reason, Verdict
from gpuctl.render.draw.text import Styled, plain, remedy_lines

STYLES = {
    Verdict.COMPATIBLE: "bold green",
    Verdict.LIMITED: "bold yellow",
    Verdict.NEEDS_PACKAGE: "bold yellow",
    Verdict.INCOMPATIBLE: "bold red",
    Verdict.UNKNOWN: "bold magenta",
}


def answer_text(answer: Compatibility) -> Styled:
    """Returns the answer; equal GPUs are told once, with their number."""
    text = Styled(answer.verdict.value, STYLES[answer.verdict])
    text.append(f"  {plain(question_text(answer))}\n").append(_reasons(answer.reasons))
    for gpu, same in groupby(answer.gpus):
        text.append(_gpu(gpu, len(list(same))))
    for remedy in answer.remedies:
        text.append("\n").append(remedy_lines(remedy, ""))
    return text


def question_text(answer: Compatibility) -> str:
    """Returns what was asked, and of which driver. It may hold words of others."""
    return f"{_what(answer)} on {f'driver {answer.driver}' if answer.driver else 'this host'}"


def _what(answer: Compatibility) -> str:
    named = [one.by if one.cuda in one.by else f"{one.by} (CUDA {one.cuda})" for one in answer.asked]
    image = [answer.image] if answer.image and not any(one.by == answer.image for one in answer.asked) else []
    return ", ".join(dict.fromkeys((*named, *image))) or "the requirement"


def _gpu(gpu: GpuAnswer, count: int) -> Styled:
    times = f"{count} x " if count > 1 else ""
    capability = f" ({gpu.architecture}, compute capability {gpu.compute_capability})" if gpu.compute_capability else ""
    text = Styled(f"  {times}{plain(gpu.name)}{capability}: ").append(f"{gpu.verdict.value}\n", STYLES[gpu.verdict])
    return text.append(_reasons(gpu.reasons))


def _reasons(reasons: tuple[Reason, ...]) -> Styled:
    text = Styled()
    for reason in reasons:
        text.append(f"    {plain(reason.message)}\n").append(f"      {plain(reason.source)}\n", "dim")
    return text
