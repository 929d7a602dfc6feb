"""What of a host's driver people map into containers by hand: knowledge from data/driver_parts.jsonl."""

from __future__ import annotations

import posixpath
from enum import Enum
from functools import cache

from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_DEVICE = regex(r"/dev/nvidia(?:\d+|ctl|-uvm|-uvm-tools|-modeset|-vgpuctl|-nvlink|-nvswitch\w*|-caps(?:/.*)?)")
_GPU = regex(r"/dev/nvidia(\d+)")
_LIBRARY = regex(r"(lib[A-Za-z0-9_+-]+\.so)(?:\.[0-9.*]+)?\*?")
_FOLDER = regex(
    r"/(?:usr/(?:local/)?)?lib(?:32|64)?/(?:(?:x86_64|i386|aarch64|powerpc64le)-linux-gnu/)?nvidia(?:-\d{3})?"
    r"(?:/current)?(?:/(?:bin|tls|vdpau|xorg))?"
    r"|/usr/local/nvidia(?:/(?:bin|lib|lib64))?"
    r"|/opt/nvidia-driver|/run/nvidia/driver"
    r"|(?:/var/lib/nvidia-docker/volumes/)?nvidia_driver(?:[_/][0-9.]+)?"
    r"|/home/kubernetes/bin/nvidia(?:/.*)?|/proc/driver/nvidia(?:/.*)?"
)
"""Folders that hold a driver and nothing else: Ubuntu's and Debian's of old, nvidia-docker 1's volume, an operator's
container's, GKE's."""
ALL_CAPABILITIES = "all"
"""The word of NVIDIA_DRIVER_CAPABILITIES for all that a driver has."""
_OF_FOLDERS = {"bin": "utility", "tls": "graphics", "vdpau": "video", "xorg": "display", "icd.d": "graphics"}
"""What folders within a driver's hold alone. All others hold every library, as nvidia-docker 1's volume did
(https://github.com/NVIDIA/nvidia-docker/blob/1.0/src/nvidia/volumes.go)."""
_SOCKET = regex(r"(?:/var)?/run/nvidia-(?:persistenced|fabricmanager)(?:/socket)?")


class PartKind(str, Enum):
    """What a part of the driver is."""

    DEVICE = "device"
    LIBRARY = "library"
    PROGRAM = "program"
    FOLDER = "folder"
    SOCKET = "socket"


@dataclass(frozen=True)
class DriverPartRow:
    """A library or program of the driver, and the word of NVIDIA_DRIVER_CAPABILITIES that brings it."""

    part: str
    kind: str
    capability: str
    source: str
    note: str | None = None


@dataclass(frozen=True)
class DriverPart:
    """What a path is of a driver. `capability` is None for what comes with any, "all" for a folder of all libraries."""

    kind: PartKind
    capability: str | None = None


@cache
def driver_parts() -> dict[str, DriverPartRow]:
    """Returns the libraries and programs by name; of a library without its version."""
    return {row.part: row for row in load("driver_parts", DriverPartRow)}


def driver_part(path: str) -> DriverPart | None:
    """Returns what a file or folder is of an NVIDIA driver, None for what is none of it, or may be more than it.

    A library of CUDA (libcudart.so) or another's (libGL.so) is none of it, and so is a folder of all libraries.
    """
    path = path.rstrip("/") or "/"
    name = posixpath.basename(path)
    library = _LIBRARY.fullmatch(name)
    row = driver_parts().get(library[1] if library else name)
    if row:
        return DriverPart(PartKind(row.kind), row.capability)
    if "nvidia" not in path:
        return None
    if _FOLDER.fullmatch(path):
        of_all = None if path.startswith("/proc/") else ALL_CAPABILITIES
        return DriverPart(PartKind.FOLDER, _OF_FOLDERS.get(name, of_all))
    for pattern, kind in ((_DEVICE, PartKind.DEVICE), (_SOCKET, PartKind.SOCKET)):
        if pattern.fullmatch(path):
            return DriverPart(kind)
    return None


def gpu_of(path: str) -> str | None:
    """Returns the number of the GPU whose device file a path is, None where it is no GPU's: /dev/nvidia2 is "2"."""
    found = _GPU.fullmatch(path)
    return found[1] if found else None
