"""For which GPUs a build holds code: machine code for some compute capabilities, PTX that the driver compiles."""

from __future__ import annotations

from functools import lru_cache

from gpuctl.compat.versions import parts
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_FLOOR = regex(r"([0-9]+\.[0-9])(?: |$)")
_NAME = regex(r"(sm|compute)_([0-9]+)([0-9])([af]?)")


@dataclass(frozen=True)
class Code:
    """What a build for a processor architecture holds. It runs on no compute capability below `lowest`.

    `kernels` are the compute capabilities of its machine code, "9.0a" for that one alone, "10.0f" for its family;
    `ptx` those of its PTX, "9.0a" again for that one alone. `kernels` empty: only `lowest` is known.
    """

    machine: str
    lowest: str
    kernels: tuple[str, ...] = ()
    ptx: tuple[str, ...] = ()

    def serves(self, capability: str) -> bool:
        """Returns whether machine code in the build runs on a GPU; True where only `lowest` is known and it is newer.

        Machine code runs on its own compute capability and on later ones of the same major number:
        https://docs.nvidia.com/cuda/ada-compatibility-guide/
        """
        if parts(capability) < parts(self.lowest):
            return False
        return not self.kernels or any(_runs(kernel, capability) for kernel in self.kernels)

    def compiles_for(self, capability: str) -> bool:
        """Returns whether the driver can compile PTX in the build for a GPU: PTX for it, or for an older one.

        PTX whose name ends in "a" or "f" is compiled for the GPUs alone for which such machine code runs.
        Source: https://docs.nvidia.com/cuda/parallel-thread-execution/ (.target)
        """
        return any(_compiles(ptx, capability) for ptx in self.ptx)


@lru_cache(maxsize=256)
def code_of(text: str, machine: str = "x86_64") -> Code:
    """Returns what a table's text says: "7.5" (only the lowest is known), or names as nvcc has them.

    "sm_75 sm_90a compute_90" is machine code for 7.5 and newer ones of 7, for 9.0 alone, and PTX for 9.0. In
    "5.2 sm_50 sm_60" the framework itself asks for more than its oldest code does.
    """
    floor = _FLOOR.match(text)
    named = [(kind, f"{major}.{minor}", only) for kind, major, minor, only in _NAME.findall(text)]
    kernels = tuple(capability + only for kind, capability, only in named if kind == "sm")
    ptx = tuple(capability + only for kind, capability, only in named if kind == "compute")
    lowest = floor[1] if floor else min((capability for _, capability, _ in named), key=parts)
    return Code(machine, lowest, kernels, ptx)


def _runs(kernel: str, capability: str) -> bool:
    own = kernel.rstrip("af")
    if kernel.endswith("a"):
        return capability == own
    return parts(capability)[0] == parts(own)[0] and parts(capability) >= parts(own)


def _compiles(ptx: str, capability: str) -> bool:
    return _runs(ptx, capability) if ptx[-1] in "af" else parts(ptx) <= parts(capability)
