"""What is asked, and of which machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.knowledge.branch_ends import driver_words
from gpuctl.compat.knowledge.gpus.gpus import Gpu
from gpuctl.frozen import dataclass

if TYPE_CHECKING:  # only what is asked at the gate pays for the gate
    from gpuctl.compat.ask.image_claims import Claims
    from gpuctl.compat.judge.gate.gate import Enforcement, Gate


@dataclass(frozen=True)
class Question:
    """What is to run: the CUDA versions that something was built for, and what is asked at the container's gate."""

    asks: tuple[Ask, ...] = ()
    gate: Gate | None = None

    @property
    def at_the_gate(self) -> bool:
        """Whether anything is asked at the gate."""
        return self.gate is not None and self.gate.asks

    @property
    def image(self) -> str | None:
        """The image that is asked about."""
        return self.gate.claims.reference if self.gate and self.gate.claims else None

    @property
    def anything(self) -> bool:
        """Whether anything is asked at all."""
        return bool(self.asks) or self.at_the_gate


@dataclass(frozen=True)
class Machine:
    """Where it is to run: a driver and its GPUs. Without a driver there is an answer at the gate only.

    `driver` may be a branch (535), whose ends are judged then. `open_module`: which flavour of the kernel module is
    loaded. `driver_cuda`: the driver's highest CUDA, where it is not that of its branch. `architecture` is Docker's
    name of it. None: not known, or not said.
    """

    driver: str | None = None
    gpus: tuple[Gpu, ...] = ()
    open_module: bool | None = None
    driver_cuda: str | None = None
    enforcement: Enforcement | None = None
    architecture: str | None = None

    @property
    def gpu_names(self) -> str:
        """Its GPUs for people, each name once."""
        return ", ".join(dict.fromkeys(gpu.one_of or gpu.name for gpu in self.gpus))

    @property
    def of_several(self) -> str:
        """The name of a GPU of which it is not told which of several it is; "" where none has such a name."""
        return next((gpu.one_of for gpu in self.gpus if gpu.one_of), "")

    @property
    def by_chip(self) -> tuple[tuple[Gpu, Machine], ...]:
        """Each GPU that this one may be, with the machine that has it, as its last; empty where all are told."""
        named = self.of_several
        others = tuple(gpu for gpu in self.gpus if gpu.one_of != named)
        chips = [gpu for gpu in dict.fromkeys(self.gpus) if named and gpu.one_of == named]
        return tuple((gpu, replace(self, gpus=(*others, replace(gpu, one_of="")))) for gpu in chips)

    @property
    def words(self) -> str:
        """The machine for people: driver 535.104.05 with A100."""
        driver = f"driver {driver_words(self.driver)}" if self.driver else "no driver"
        return f"{driver} with {self.gpu_names}" if self.gpus else driver


def typed_cuda(cuda: str) -> Ask:
    """Returns the ask of a person who names a CUDA version."""
    return Ask(cuda, f"CUDA {cuda.strip()}", "the command line")


def with_image(question: Question, claims: Claims) -> Question:
    """Returns the question with what an image says of itself."""
    from gpuctl.compat.judge.gate.gate import Gate

    own = (_own_ask(claims),) if claims.cuda else ()
    return Question((*question.asks, *own), replace(question.gate or Gate(), claims=claims))


def _own_ask(claims: Claims) -> Ask:
    """What an image asks for: its CUDA, and the code of the build that its tag names."""
    from gpuctl.compat.knowledge.images import is_cuda_image  # only who asks about an image loads its tables

    build = claims.build
    has_compat = is_cuda_image(claims.reference) or bool(build and build.has_compat)
    plain = Ask(claims.cuda or "", claims.reference, claims.source, has_compat=has_compat)
    if build is None or not build.tells_gpus:
        return replace(plain, unjudged=build.unjudged) if build else plain
    source = "; ".join(dict.fromkeys((claims.source, build.source)))
    return replace(plain, source=source, release=build.release, codes=build.codes, beside=build.beside)
