"""What the smoke container asks for: the words after --gpus, as Docker's own command line takes them."""

from __future__ import annotations

import re

from gpuctl.frozen import dataclass

FORMS = "use all, a count (2), or device= with indexes or UUIDs (device=0,2)"
_INDEX = re.compile(r"[0-9]{1,4}")
_UUID = re.compile(r"GPU-[0-9a-fA-F-]{4,64}")


@dataclass(frozen=True)
class GpuRequest:
    """The GPUs asked for: those named in `devices` (indexes and UUIDs), else the first `count`, else all."""

    count: int | None = None
    devices: tuple[str, ...] = ()


ALL = GpuRequest()


def parse_gpus(text: str) -> GpuRequest:
    """Returns the request that a person typed: `all`, `2`, `device=0,2`, `"device=GPU-…"` with Docker's inner quotes.

    Raises ValueError with a sentence that says what is wrong and which forms there are.
    """
    words = text.strip().strip("\"'").strip()
    if words == "all":
        return ALL
    if _INDEX.fullmatch(words):
        return _counted(int(words))
    if words.startswith("device="):
        names = [name.strip() for name in words.removeprefix("device=").split(",")]
        return GpuRequest(devices=tuple(_device(name) for name in names))
    raise ValueError(f"`{text}` names no GPUs: {FORMS}")


def docker_flag(request: GpuRequest) -> str:
    """Returns the value of `docker run --gpus` for the request; a list of devices needs quotes of its own there."""
    if request.devices:
        value = f"device={','.join(request.devices)}"
        return f'"{value}"' if len(request.devices) > 1 else value
    return "all" if request.count is None else str(request.count)


def visible_devices(request: GpuRequest) -> str:
    """Returns NVIDIA_VISIBLE_DEVICES for the request: how a container asks where there is no --gpus."""
    if request.devices:
        return ",".join(request.devices)
    return "all" if request.count is None else ",".join(str(index) for index in range(request.count))


def _counted(count: int) -> GpuRequest:
    if count == 0:
        raise ValueError(f"0 asks for no GPU: {FORMS}")
    return GpuRequest(count=count)


def _device(name: str) -> str:
    if name.startswith("MIG-") or ":" in name:
        raise ValueError(f"`{name}` is a MIG device; smoke compares whole GPUs: name the GPU that it is part of")
    if not _INDEX.fullmatch(name) and not _UUID.fullmatch(name):
        raise ValueError(f"`{name}` is neither an index nor a UUID (GPU-…): {FORMS}")
    return name
