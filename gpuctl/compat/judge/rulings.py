"""What is asked, and what a rule answers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from gpuctl.compat.tables.loader import CudaRow, CudaToolkit, cuda_versions, rows_of, toolkits
from gpuctl.compat.versions import parse_cuda, parts
from gpuctl.frozen import dataclass
from gpuctl.model import Reason, Verdict

SEVERITY = (Verdict.COMPATIBLE, Verdict.LIMITED, Verdict.UNKNOWN, Verdict.NEEDS_PACKAGE, Verdict.INCOMPATIBLE)
"""From the verdict that every other outweighs to the one that outweighs every other."""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Returns the verdict that decides: a sure no outweighs what is not known, which outweighs a yes."""
    return max(verdicts, key=SEVERITY.index)


@dataclass(frozen=True)
class Ruling:
    """What one rule says, and the rows of the CUDA table that it rests on."""

    verdict: Verdict
    reason: Reason
    rows: tuple[CudaRow, ...] = ()


@dataclass(frozen=True)
class Cuda:
    """The CUDA version that is asked for. `unknown` says why the tables cannot answer for it."""

    text: str
    minor: str
    update: CudaToolkit | None = None
    unknown: str | None = None


@lru_cache(maxsize=1024)
def resolve_cuda(text: str) -> Cuda:
    """Returns what "12.4", "12.4.1" or "12" (the newest 12.x) asks for. Raises ValueError where it is no version."""
    version = parse_cuda(text)
    if len(version) == 1:
        known = [minor for minor in cuda_versions() if parts(minor)[0] == version[0]]
        return Cuda(known[-1], known[-1]) if known else Cuda(text.strip(), text.strip(), unknown=_why_unknown(version))
    full = ".".join(str(number) for number in version)
    minor = f"{version[0]}.{version[1]}"
    if not rows_of(minor):
        return Cuda(full, minor, unknown=_why_unknown(version))
    if len(version) == 2:
        return Cuda(minor, minor)
    update = next((row for row in toolkits() if row.release == full), None)
    releases = ", ".join(row.release for row in toolkits() if row.cuda == minor)
    return Cuda(full, minor, update, None if update else f"the known releases of CUDA {minor} are {releases}")


def minor_versions(major: str, lowest: str) -> tuple[str, ...]:
    """Returns the minor versions of a CUDA major that the tables know, oldest first, from `lowest` (if any) on."""
    known = (minor for minor in cuda_versions() if minor.partition(".")[0] == major)
    return tuple(minor for minor in known if parts(minor) >= parts(lowest or "0"))


def _why_unknown(version: tuple[int, ...]) -> str:
    oldest, newest = cuda_versions()[0], cuda_versions()[-1]
    if version > parts(newest):
        return f"the newest CUDA version known here is {newest}"
    if version < parts(oldest):
        return f"the oldest CUDA version known here is {oldest}"
    return f"NVIDIA released no such toolkit; the versions known here go from {oldest} to {newest}"
