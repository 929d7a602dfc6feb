"""A compatibility question answered: for this host or for one that is described, an image's own claims included."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.compat.ask.question import Machine, Question, with_image
from gpuctl.frozen import dataclass

if TYPE_CHECKING:  # who describes all of a host does not pay for a look at one
    from gpuctl.compat.answer.answer import Compatibility
    from gpuctl.facts.gather import Facts
    from gpuctl.host.look.reading import Host


@dataclass(frozen=True)
class Inquiry:
    """What is asked, of which machine, and where to look for what is not described.

    `image` is asked about besides, `offline` without a registry. `described`, and the GPUs' `brand`, stand in for what
    `host` has, which is opened only where it is looked at. `working` shows a person what they wait for.
    """

    question: Question
    image: str | None
    described: Machine
    brand: str | None
    offline: bool
    host: Callable[[], Host]
    working: Callable[[str], AbstractContextManager[None]]


def answer_to(asked: Inquiry) -> Compatibility:
    """Returns whether it runs; on a branch of the driver, whether it does with its first and its last known release.

    Raises ValueError for what is no CUDA version, and for what is no image's name.
    """
    from gpuctl.compat.answer.answer import check, without_gpu
    from gpuctl.compat.knowledge.branch_ends import branch_ends

    for_cpu = None if asked.image else without_gpu(asked.question, asked.described.driver)
    if for_cpu:
        return for_cpu
    branch = asked.described.driver or ""
    ends = branch_ends(branch)
    if ends:
        once = replace(asked, question=question_elsewhere(asked), image=None)
        first, last = (answer_to(replace(once, described=replace(asked.described, driver=end))) for end in ends)
        return _of_branch(branch, first, last)
    if asked.described.driver and asked.described.gpus:
        return check(question_elsewhere(asked), asked.described)
    from gpuctl.checks.questions.host_answer import GATE_SUBJECTS, SUBJECTS, host_answer

    facts = _facts(asked, GATE_SUBJECTS if asked.image or asked.question.at_the_gate else SUBJECTS)
    return host_answer(_with_image(asked, facts), facts, asked.described, asked.brand)


def _of_branch(branch: str, first: Compatibility, last: Compatibility) -> Compatibility:
    """The worse of the two answers, with what the other end of the branch does."""
    from gpuctl.compat.judge.rulings import SEVERITY
    from gpuctl.compat.knowledge.branch_ends import branch_reason

    worse = max(first, last, key=lambda one: SEVERITY.index(one.verdict))
    same = first.verdict is last.verdict
    apart = " and ".join(f"with {one.driver} it is {one.verdict.value}" for one in (first, last))
    reason = branch_reason(branch, "the same answer" if same else apart)
    return replace(worse, reasons=(*((reason,) if reason else ()), *worse.reasons))


def question_elsewhere(asked: Inquiry) -> Question:
    """Returns the question to ask of hosts that are described. Raises ValueError for what is no image's name."""
    if asked.image is None:
        return asked.question
    from gpuctl.images.claims import SUBJECTS

    return _with_image(asked, _facts(asked, SUBJECTS))


def _facts(asked: Inquiry, subjects: Iterable[type]) -> Facts:
    from gpuctl.facts.gather import gather

    host = asked.host()
    with asked.working("Looking at this host"):
        return gather(host, subjects)


def _with_image(asked: Inquiry, facts: Facts) -> Question:
    if asked.image is None:
        return asked.question
    from gpuctl.images.claims import image_claims

    with asked.working("Reading what the image says of itself"):
        return with_image(asked.question, image_claims(asked.image, asked.host(), facts, asked.offline))
