"""The table of frameworks: which CUDA versions each release is built for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from gpuctl.compat.knowledge.code import Code, code_of
from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import Version, parts
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_TAG = regex(r"(?:^|[^a-z])cu(?:da)?([0-9]{2,3})(?![0-9])")
OnArm = Literal["cpu", "none"]
_OTHER_MAKERS = {"cpu": "for the CPU", "rocm": "for AMD GPUs", "xpu": "for Intel GPUs"}


class NoCuda(ValueError):
    """A build that asks for no CUDA: for the CPU, or for another maker's GPUs."""


class ForCpu(NoCuda):
    """A build for the CPU, which asks for no GPU at all."""


class NotKnown(ValueError):
    """A release or a build that the table does not have, so that nothing can be said of it."""


@dataclass(frozen=True)
class FrameworkRelease:
    """A release of a framework.

    `builds`: CUDA versions, oldest first, each with what the x86_64 build holds code for, as `code.code_of` takes it
    (None: not known); empty: a build for the CPU. `aarch64`: the same of the builds for Arm, as far as it is known.
    `default` is the build that PyPI has, None where no source tells; `on_arm`: what it has for Arm where that is not
    CUDA's, a build for the "cpu" or "none".
    `until` is the newest later release of its minor version that is built alike; None: none is known.
    `framework` "ngc" are the containers of NVIDIA's catalogue by month, "ngc-trtllm" those of TensorRT-LLM.
    """

    framework: str
    version: str
    builds: tuple[tuple[str, str | None], ...]
    source: str
    until: str | None = None
    default: str | None = None
    experimental: tuple[str, ...] = ()
    aarch64: tuple[tuple[str, str], ...] = ()
    on_arm: OnArm | None = None
    note: str | None = None

    @property
    def cudas(self) -> tuple[str, ...]:
        """The CUDA versions that it is built for, oldest first."""
        return tuple(cuda for cuda, _ in self.builds)

    def codes(self, cuda: str) -> tuple[Code, ...]:
        """Returns the code of the builds for a CUDA version, of each processor architecture where it is known."""
        held = {"x86_64": dict(self.builds).get(cuda), "aarch64": dict(self.aarch64).get(cuda)}
        return tuple(code_of(text, machine) for machine, text in held.items() if text)

    def build_for(self, cuda: str) -> str | None:
        """Returns the newest build that a CUDA version, or a bare major such as "12", names; None where there is none.

        A build for a bare major is for each of its minor versions.
        """
        fitting = [build for build in self.cudas if _same(build, cuda)]
        return fitting[-1] if fitting else None


def release_covering(version: str, releases: Sequence[FrameworkRelease]) -> FrameworkRelease | None:
    """Returns the one of a framework's releases that a version is, or is built like; None for one that nobody knows.

    `version` is dotted numbers. Of two numbers it is the newest of that minor version.
    """
    number = _padded(version)
    of_minor = [one for one in releases if _padded(one.version)[:2] == number[:2]]
    if version.count(".") < 2:
        exact = [one for one in of_minor if _padded(one.version) == number]
        return next(iter(exact or of_minor[-1:]), None)
    alike = [one for one in of_minor if _padded(one.version) <= number <= _padded(one.until or one.version)]
    return alike[-1] if alike else None


def _padded(version: str) -> Version:
    return (*parts(version), 0, 0, 0, 0)[:4]


@cache
def framework_releases() -> tuple[FrameworkRelease, ...]:
    """Returns all releases, oldest first within a framework."""

    def make(builds: dict[str, str | None], aarch64: dict[str, str] | None = None, **row: Any) -> FrameworkRelease:
        arm = tuple((aarch64 or {}).items())
        return FrameworkRelease(builds=tuple(builds.items()), aarch64=arm, **row)

    return load("frameworks", make)


def releases_of(*frameworks: str) -> tuple[FrameworkRelease, ...]:
    """Returns the releases of one framework, or of several under which its releases lie."""
    return tuple(row for row in framework_releases() if row.framework in frameworks)


def cuda_of_tag(tag: str) -> str | None:
    """Returns the CUDA version that a build's tag names: "12.1" of cu121, "12" of cuda12.cudnn89; None: it names none.

    Raises NoCuda for a tag of another maker's, and ForCpu (which is one).
    """
    match = _TAG.search(tag)
    if match:
        return spelt_out(match[1])
    maker = next((words for start, words in _OTHER_MAKERS.items() if tag.startswith(start)), None)
    if maker:
        kind = ForCpu if tag.startswith("cpu") else NoCuda
        raise kind(f"a build tagged {tag} is {maker} and asks for no CUDA")
    return None


def spelt_out(digits: str) -> str:
    """Returns the version that the digits behind cu mean: "12.1" of 121. 92 is 9.2, while 12 is any 12.x, as there was
    no CUDA 1.x to build for.
    """
    return digits if len(digits) == 2 and digits[0] == "1" else f"{digits[:-1]}.{digits[-1]}"


def next_to_it(older: Sequence[str], newer: Sequence[str]) -> str:
    """Returns what is known next to a version that is not, as a clause. One of the two may be empty."""
    if older and newer:
        return f"the known ones next to it are {older[-1]} and {newer[0]}"
    return f"the newest known is {older[-1]}" if older else f"the oldest known is {newer[0]}"


def _same(build: str, cuda: str) -> bool:
    return build == cuda or (("." in build) != ("." in cuda) and build.split(".")[0] == cuda.split(".")[0])
