"""What the host has against what the container saw."""

from __future__ import annotations

from collections.abc import Iterable

from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.nvml import NvmlGpu
from gpuctl.frozen import dataclass
from gpuctl.model import CannotTell
from gpuctl.smoke.request import GpuRequest

QUERY = ("--query-gpu=uuid,driver_version,name", "--format=csv,noheader")
"""What nvidia-smi is asked in the container; every driver since 418 knows these fields.

With MIG on, it lists the GPU that is divided, by the GPU's own UUID, as NVML does on the host.
"""


class NotOnThisHost(Exception):
    """More GPUs, or other ones, were asked for than this host has; the message says which."""


@dataclass(frozen=True)
class Expected:
    """The container must see this driver and `count` of these GPUs (UUIDs), none other."""

    driver: str
    gpus: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class SeenByContainer:
    """What nvidia-smi told in the container: the driver's version, "" when it told none, and the GPUs' UUIDs."""

    driver: str
    gpus: tuple[str, ...]


def expect(request: GpuRequest, driver: Driver) -> Expected:
    """Returns what a container that asks for `request` must see on this host.

    Raises NotOnThisHost, and CannotTell where the host's own NVML does not tell.
    """
    version, gpus = driver.nvml_version.get(), driver.gpus.get()
    if not version or not gpus:
        raise CannotTell(f"{driver.gpus.source}: no driver tells of a GPU on this host")
    if request.count is not None and request.count > len(gpus):
        raise NotOnThisHost(f"{_counted(request.count)} asked for, and this host has {len(gpus)}.")
    asked = [_find(name, gpus) for name in request.devices] or gpus
    uuids = tuple(dict.fromkeys(_uuid(gpu) for gpu in asked))
    return Expected(version, uuids, len(uuids) if request.count is None else request.count)


def read_query(output: str) -> SeenByContainer:
    """Returns what nvidia-smi printed for QUERY; its warnings, which it prints to stdout as well, are no GPUs.

    A line: `GPU-7d2b9c1e-…, 418.87.00, Tesla V100-SXM2-32GB`.
    """
    rows = [[field.strip() for field in line.split(",", 2)] for line in output.splitlines() if line.startswith("GPU-")]
    return SeenByContainer(next((row[1] for row in rows if len(row) > 1), ""), tuple(row[0] for row in rows))


def difference(expected: Expected, seen: SeenByContainer, who: str = "The container") -> str | None:
    """Returns in a sentence how the two differ, None when they agree. `who` saw what was seen."""
    if not seen.gpus:
        return f"{who} saw no GPU."
    if seen.driver != expected.driver:
        return f"{who} saw driver {seen.driver}, and this host runs {expected.driver}."
    strange = sorted(set(seen.gpus) - set(expected.gpus))
    if strange:
        return f"{who} saw {', '.join(strange)}, which it did not ask for."
    if len(set(seen.gpus)) == expected.count:
        return None
    unseen = [uuid for uuid in expected.gpus if uuid not in seen.gpus]
    missing = f": {', '.join(unseen)} missing" if expected.count == len(expected.gpus) else ""
    return f"{who} saw {len(set(seen.gpus))} of {_counted(expected.count)}{missing}."


def _find(name: str, gpus: Iterable[NvmlGpu]) -> NvmlGpu:
    for gpu in gpus:
        if name == str(gpu.index) or name == gpu.uuid:
            return gpu
    raise NotOnThisHost(f"This host has no GPU {name}.")


def _uuid(gpu: NvmlGpu) -> str:
    if gpu.uuid is None:
        raise CannotTell(f"GPU {gpu.index}: {gpu.error or 'NVML does not tell its UUID'}")
    return gpu.uuid


def _counted(count: int) -> str:
    return f"{count} GPU{'' if count == 1 else 's'}"
