"""What the packages of CUDA itself say by their versions, and others by their names and their builds' tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gpuctl.compat.ask.asks import Ask
from gpuctl.compat.ask.frameworks import PACKAGES, TAG_SOURCE, pinned_version
from gpuctl.compat.ask.pip_files.pins import Pin
from gpuctl.compat.knowledge.frameworks import NoCuda, cuda_of_tag, spelt_out
from gpuctl.compat.versions import leading
from gpuctl.frozen import dataclass

# Packages whose version begins with that of CUDA, the most telling first: the runtime is what the driver must run,
# while old releases of torch leave nvjitlink open, so that a newer one gets locked beside an older runtime.
# cublas, cudnn, cufft, cusparse, nccl and the like have versions of their own: cublas 13.1.0.3 is in CUDA 13.0.2.
# Source: the component versions in NVIDIA's release notes; what cuda-toolkit 12.8.1 and 13.0.2 on PyPI require.
_COMPONENTS = (
    "cuda-toolkit",
    "nvidia-cuda-runtime",
    "nvidia-cuda-nvrtc",
    "nvidia-cuda-nvcc",
    "nvidia-cuda-cupti",
    "nvidia-nvtx",
    "nvidia-nvjitlink",
)
_COMPONENT_SOURCE = "https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/ (component versions)"
_FIRST_WITHOUT_SUFFIX = 13  # until CUDA 12 the packages were called nvidia-...-cu12
_FIRST_YEAR = 99  # 2022.4.25: once the versions were dates
CUDA_IN_NAME = re.compile(r"-cu(?:da)?([0-9]{2,3})x?(?=-|$)")
_CUDA_EXTRA = re.compile(r"cu(?:da)?-?([0-9]{2,3})x?")


@dataclass(frozen=True)
class Component:
    """A package of CUDA itself: how telling it is (the less the more), of which CUDA version, and in whose name."""

    rank: int
    cuda: str
    by: str

    @property
    def major(self) -> str:
        """The major version of CUDA."""
        return self.cuda.partition(".")[0]


def component_asks(pins: Iterable[Pin]) -> Iterator[Ask]:
    """Yields what the CUDA packages themselves say: of each major version only the most telling ones."""
    found = [one for one in map(component, pins) if one]
    best = {one.major: one.rank for one in sorted(found, key=lambda each: -each.rank)}
    for one in found:
        if one.rank == best[one.major]:
            yield Ask(one.cuda, one.by, _COMPONENT_SOURCE, wheel=True)


def component(pin: Pin) -> Component | None:
    """Returns what a package of CUDA itself says; None for any other, and where its version is open."""
    name = pin.name
    suffix = CUDA_IN_NAME.search(name)
    base = name[: suffix.start()] if suffix else name
    fixed = _fixed(pin)
    if base not in _COMPONENTS or len(fixed) < 2 or fixed[0] > _FIRST_YEAR or fixed[1] > 99:
        return None
    if suffix and (cuda_of_tag(suffix[0]) or "").partition(".")[0] != str(fixed[0]):
        return None  # 2022.4.25: once they had dates
    if not suffix and base != "cuda-toolkit" and fixed[0] < _FIRST_WITHOUT_SUFFIX:
        return None  # 0.0.1: a placeholder
    return Component(_COMPONENTS.index(base), f"{fixed[0]}.{fixed[1]}", pin.label)


def _lowest_minor(pin: Pin) -> str:
    """Returns the lowest CUDA version that a CUDA package's open requirement admits: "12.1" of >=12.1.105; or ""."""
    base = CUDA_IN_NAME.sub("", pin.name)
    bounds = [clause.version for clause in pin.requirement.specifier if clause.operator in (">=", ">", "~=", "==")]
    numbers = [leading(bound).split(".")[:2] for bound in bounds if base in _COMPONENTS]
    lowest = next((found for found in numbers if found[0].isdigit() and int(found[0]) < _FIRST_YEAR), [])
    if not lowest or (base == pin.name != "cuda-toolkit" and int(lowest[0]) < _FIRST_WITHOUT_SUFFIX):
        return ""
    return ".".join([*lowest, "0"][:2])


def asks_by_name(pins: Iterable[Pin]) -> Iterator[Ask]:
    """Yields what packages' names say ("cupy-cuda12x"), and the tags of their builds ("xformers 0.0.27+cu118")."""
    for pin in pins:
        name, version = pin.name, pinned_version(pin.requirement)
        in_name = None if name in PACKAGES else CUDA_IN_NAME.search(name)
        lowest = _lowest_minor(pin)
        cuda = str(cuda_of_tag(in_name[0])) if in_name else lowest.partition(".")[0]
        if cuda and component(pin) is None:
            from_minor = lowest if lowest.partition(".")[0] == cuda else ""
            yield Ask(cuda, pin.label, f"https://pypi.org/project/{name}/", wheel=True, from_minor=from_minor)
            continue
        extras = [match[1] for match in map(_CUDA_EXTRA.fullmatch, sorted(pin.requirement.extras)) if match]
        if extras and name not in PACKAGES:
            by = f"{name}[{','.join(sorted(pin.requirement.extras))}]"
            yield Ask(spelt_out(extras[-1]), by, f"https://pypi.org/project/{name}/ (its extras)", wheel=True)
        elif version and version.local and name not in PACKAGES:
            try:
                tagged = cuda_of_tag(version.local)
            except NoCuda:
                continue
            if tagged:
                yield Ask(tagged, pin.label, TAG_SOURCE, wheel=True)


def _fixed(pin: Pin) -> tuple[int, ...]:
    """Returns the leading numbers of a version that a requirement fixes: of ==12.8.90, ==12.8.* and ~=12.8.0."""
    version = pinned_version(pin.requirement)
    if version:
        return version.release
    clauses = list(pin.requirement.specifier)
    wildcard = len(clauses) == 1 and (clauses[0].operator == "~=" or clauses[0].version.endswith(".*"))
    if not wildcard or clauses[0].operator not in ("==", "~="):
        return ()
    numbers = [int(number) for number in re.findall(r"[0-9]+", clauses[0].version.removesuffix(".*"))]
    return tuple(numbers[:-1] if clauses[0].operator == "~=" else numbers)
