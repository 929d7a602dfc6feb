"""What of paths and variables served a driver that was mapped by hand, wherever it is written."""

from __future__ import annotations

import posixpath

from gpuctl.compat.knowledge.driver_parts import ALL_CAPABILITIES, DriverPart, PartKind, driver_part
from gpuctl.frozen import dataclass
from gpuctl.migrate.gpus import USUAL

_MACHINES = ("x86_64", "i386", "aarch64", "powerpc64le")
LIBRARY_FOLDERS = frozenset(
    (
        *("/lib", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"),
        *(f"{lib}/{machine}-linux-gnu" for lib in ("/lib", "/usr/lib") for machine in _MACHINES),
    )
)
"""Folders in which a host's driver lies among all its other libraries."""
WHOLES = LIBRARY_FOLDERS | frozenset(
    ("/", "/bin", "/dev", "/opt", "/sbin", "/usr", "/usr/bin", "/usr/local", "/usr/local/bin", "/usr/sbin")
)
"""Folders that hold more than a driver, and of an image its own files, whatever is mounted into them."""
PATHS = ("LD_LIBRARY_PATH", "PATH", "LD_PRELOAD")
"""Variables that lead to a driver's folders or libraries."""


@dataclass(frozen=True)
class Search:
    """A search path without the folders of a driver: None where no folder is left."""

    rest: str | None
    folders: tuple[str, ...]


def mounted_part(source: str, target: str) -> DriverPart | None:
    """Returns what of a driver a mount brings: by what is mounted, or because it goes where a driver only lies."""
    part = driver_part(source)
    if part is None and (target and not source.startswith((".", "~"))):
        at = driver_part(target)
        part = at if at and at.kind is PartKind.FOLDER else None
    return part


def without_driver(path: str, mounted: tuple[str, ...] = ()) -> Search:
    """Returns a search path without a driver's folders and libraries, and without those into which it was mounted."""
    folders = path.split(":")
    gone = tuple(folder for folder in folders if folder and _holds_driver(folder, mounted))
    rest = ":".join(folder for folder in folders if folder not in gone)
    return Search(rest.strip(":") or None, gone)


def _holds_driver(folder: str, mounted: tuple[str, ...]) -> bool:
    part, folder = driver_part(folder), folder.rstrip("/")
    if part and part.kind in (PartKind.FOLDER, PartKind.LIBRARY):
        return True
    targets = [target.rstrip("/") for target in mounted if target.rstrip("/")]
    if any(folder == target or folder.startswith(f"{target}/") for target in targets):
        return folder not in WHOLES
    return folder in map(posixpath.dirname, targets) and folder not in WHOLES


def lacking(parts: frozenset[str], said: str) -> tuple[str, ...]:
    """Returns the words of NVIDIA_DRIVER_CAPABILITIES that mapped parts need beyond what is said.

    `said` is what the variable is already, "" where it is not set: then a folder of all libraries needs "all", since
    an image that names none gets no more than the usual ones, and video or OpenGL would be gone. Who names some has
    said which of that folder the program uses.
    """
    have = frozenset(word.strip() for word in said.split(",") if word.strip())
    if ALL_CAPABILITIES in have:
        return ()
    if ALL_CAPABILITIES in parts and not have:
        return (ALL_CAPABILITIES,)
    return tuple(sorted(parts - (have or set(USUAL)) - {ALL_CAPABILITIES}))


def wider(parts: frozenset[str], said: str) -> tuple[str, ...]:
    """Returns what NVIDIA_DRIVER_CAPABILITIES has to say for mapped parts, nothing where what is said is enough."""
    more = lacking(parts, said)
    if not more or "$" in said:
        return ()
    if more == (ALL_CAPABILITIES,):
        return more
    return tuple(sorted({*more, *said.replace(" ", "").split(","), *USUAL} - {""}))


WHY_ALL = (
    f"the folder held all of the driver's libraries; an image that names no capabilities gets {' and '.join(USUAL)}"
    " alone: take it away where the program needs no more"
)
"""Why all capabilities are asked for in the place of a driver's folder
(https://github.com/NVIDIA/nvidia-container-toolkit, cmd/nvidia-container-runtime-hook/container_config.go)."""
