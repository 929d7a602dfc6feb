"""What asks for a CUDA version, and in whose name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuctl.compat.versions import parts
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from gpuctl.compat.knowledge.code import Code
    from gpuctl.compat.knowledge.frameworks import FrameworkRelease, OnArm
    from gpuctl.compat.knowledge.package_code import ReleaseCode


@dataclass(frozen=True)
class OwnCode:
    """Code that a package has of its own, and in whose name (`by`)."""

    by: str
    release: ReleaseCode


@dataclass(frozen=True)
class Ask:
    """A CUDA version that something was built for.

    `cuda` is as `rulings.resolve_cuda` takes it. `by` names what asks ("pytorch 2.4.0+cu121"), `source` the document
    that says so. `release` is the framework's release that is asked for, `codes` the code of each build that asks;
    none: not known. `wheel`: a package that brings its own CUDA, on which no image has a say. Where a wheel asks for a
    bare major ("12"), any minor version of it will do, from `from_minor` on. `one_of`: of all that ask with the same
    text here one alone is installed; which one, `decided_by` tells and is not known. `on_arm`: what pip finds on Arm
    where that is not CUDA's. `optional`: it is installed only with an extra or a group that has to be named.
    `constraint` is what a person said of the release ("" where they pinned one, or said nothing): ">=2.0.0,!=2.0.1".
    `unjudged` are those of what asks of which nothing here tells for which GPUs their code is. `beside` is the code of
    packages that are installed with it, `beside_unjudged` those of them of which nothing tells it.
    `without_cuda`: others of `one_of` that ask for none, for the CPU or for another maker's GPUs. `parted`: what its
    file pins side by side though one release requires another than the other's, as sentences.
    `has_compat`: it is an image that carries CUDA's forward-compatibility package.
    `unknown`: why nothing tells which CUDA version it asks for, as a sentence; `for_cpu`: that it asks for no GPU, as a
    sentence. `cuda` is "" then.
    """

    cuda: str
    by: str
    source: str
    release: FrameworkRelease | None = None
    codes: tuple[Code, ...] = ()
    wheel: bool = False
    from_minor: str = ""
    one_of: str = ""
    decided_by: str = ""
    on_arm: OnArm | None = None
    unknown: str = ""
    optional: bool = False
    constraint: str = ""
    beside: tuple[OwnCode, ...] = ()
    unjudged: tuple[str, ...] = ()
    beside_unjudged: tuple[str, ...] = ()
    without_cuda: tuple[str, ...] = ()
    parted: tuple[str, ...] = ()
    has_compat: bool = False
    for_cpu: str = ""

    @property
    def tells_gpus(self) -> bool:
        """Whether it is known for which GPUs its code is, or that of what is installed with it."""
        return bool(self.codes or self.beside)

    @property
    def any_minor(self) -> bool:
        """Whether any minor version of a CUDA major will do."""
        return self.wheel and self.cuda.isdigit()

    @property
    def others(self) -> tuple[str, ...]:
        """The CUDA versions of the same release's other builds, oldest first."""
        return tuple(cuda for cuda in self.release.cudas if cuda != self.cuda) if self.release else ()

    @property
    def min_compute_capability(self) -> str | None:
        """The compute capability below which some build for x86_64 that asks holds no code; None: not known."""
        return max((code.lowest for code in self.codes if code.machine == "x86_64"), key=parts, default=None)


def release_ask(release: FrameworkRelease, cuda: str, by: str = "") -> Ask:
    """Returns what a package's release asks for in its build for a CUDA version. `by`: in whose name; "": its own."""
    named = by or f"{release.framework} {release.version}"
    codes = release.codes(cuda)
    return Ask(cuda, named, release.source, release, codes, wheel=True, unjudged=() if codes else (named,))


def cpu_ask(by: str, why: str) -> Ask:
    """Returns the ask of what asks for no GPU. `why` is a sentence."""
    return Ask("", by, "the tags of the builds", wheel=True, for_cpu=why)


def unknown_ask(by: str, why: str, source: str = "gpuctl's tables") -> Ask:
    """Returns the ask of what asks for a CUDA version that nothing here tells. `why` is a sentence."""
    return Ask("", by, source, wheel=True, unknown=why)
