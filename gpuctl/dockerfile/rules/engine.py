"""What a rule is, and what it is handed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from gpuctl.compat.ask.asks import Ask
from gpuctl.dockerfile.bases import NamedImage, base_of
from gpuctl.dockerfile.shell import ShellCommand
from gpuctl.dockerfile.stages import Dockerfile, Stage, StageStep
from gpuctl.dockerfile.words import expanded
from gpuctl.engines.spans import Span
from gpuctl.frozen import dataclass

WhyNot = Callable[[Ask, bool], "str | None"]
"""Returns which of the hosts that were named do not run what asks for a CUDA version, None where all do.

The second argument says whether it lies in an nvidia/cuda image, which brings cuda-compat.
"""


@dataclass(frozen=True)
class Found:
    """Where a rule found what, as offsets in the file, and the edits that mend it, if there are any."""

    start: int
    end: int
    message: str
    edits: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A Dockerfile with what the rules ask of it again and again."""

    dockerfile: Dockerfile
    why_not: WhyNot | None
    """None where no host was named."""
    gpu: frozenset[Stage]
    """The stages that have to do with GPUs."""

    @property
    def runs(self) -> Iterator[tuple[Stage, StageStep, ShellCommand]]:
        """Every command of a RUN, with where it stands."""
        for stage in self.dockerfile.stages:
            for step in stage.steps:
                if step.name == "RUN":
                    for command in step.commands:
                        yield stage, step, command


Rule = Callable[[Subject], Iterable[Found]]
RULES: dict[str, Rule] = {}


def rule(id: str) -> Callable[[Rule], Rule]:
    """Returns a decorator that makes a function the rule of that id, whose row data/dockerfile_rules.jsonl has."""

    def register(function: Rule) -> Rule:
        RULES[id] = function
        return function

    return register


def base(stage: Stage) -> NamedImage:
    """Returns what the image is that a stage and those before it begin with."""
    return base_of(stage.root)


def variables_after(step: StageStep, escape: str) -> Mapping[str, str]:
    """Returns what an ENV sets, by name, as Docker understands it."""
    return {pair.name: expanded(pair.value or "", step.variables, escape) for pair in step.pairs}


def unresolved(text: str) -> bool:
    """Returns whether a variable stands in a value, so that nothing can be said of it."""
    return "$" in text
