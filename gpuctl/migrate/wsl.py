"""GPUs of Windows that are mapped into containers by hand: WSL's device and folder, which are of any maker's GPUs.

In WSL, NVIDIA's toolkit brings with all GPUs the device, libdxcore.so and CUDA's part of the driver, and nothing of
Direct3D, by which Mesa draws and other makers' GPUs compute
(https://github.com/NVIDIA/nvidia-container-toolkit/blob/main/pkg/nvcdi/driver-wsl.go,
https://github.com/microsoft/wslg/blob/main/samples/container/Containers.md).
"""

from __future__ import annotations

import re

from gpuctl.regex import regex

DEVICE = "/dev/dxg"
_FOLDER = "/usr/lib/wsl"
_OF_CUDA = regex(r"nvidia|cuda", re.IGNORECASE)
_DRAWS = regex(r"/mnt/wslg|/\.X11-unix|\bDISPLAY\b|d3d12|\bdzn\b|directml", re.IGNORECASE)
_RUNS = regex(rf"(?<![:=]){_FOLDER}/[^\s:=]*nvidia-smi\b(?!:)")
KEEP_UNSURE = (
    f"in WSL it is of any maker's GPU: if it is there for CUDA, a request for all GPUs stands for {DEVICE} and"
    f" {_FOLDER}, of which NVIDIA's toolkit brings CUDA's part"
)
_KEEP_RUNS = (
    "nvidia-smi is run from there, and the toolkit puts it on PATH alone: call it by its name, then migrate again"
)
_KEEP_DRAWS = "Direct3D draws by it, of which the toolkit brings nothing: for CUDA ask for all GPUs beside it"


def is_of_wsl(path: str) -> bool:
    """Returns whether a path is the device, or lies in the folder of libraries that Windows brings."""
    path = path.rstrip("/")
    return path in (DEVICE, _FOLDER) or path.startswith(f"{_FOLDER}/")


def doubt_of(text: str) -> str:
    """Returns why what is mapped of WSL has to stay, "" where it serves CUDA alone; `text` is all that asks for it."""
    if _DRAWS.search(text):
        return _KEEP_DRAWS
    if _RUNS.search(text):
        return _KEEP_RUNS
    return "" if _OF_CUDA.search(text) else KEEP_UNSURE
