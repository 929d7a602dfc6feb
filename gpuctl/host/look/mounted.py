"""A host whose root is mounted in a folder: the node of a cluster, as a privileged pod of it sees it."""

from __future__ import annotations

import os
from typing import Iterable

from gpuctl.host.look.local import LocalHost, ask_nvml
from gpuctl.host.look.reading import Reading

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
"""The host's, in the place of the image's."""


class MountedHost(LocalHost):
    """This machine, once the process has gone into its root. NVML was asked before: that takes this Python's files."""

    def __init__(self, nvml: Reading) -> None:
        self._nvml = nvml

    def nvml(self, deadline: float = 8.0) -> Reading:
        return self._nvml


def enter(root: str, libraries: Iterable[str]) -> MountedHost:
    """Has this process see the host at `root` for good, and returns it. Raises OSError.

    `libraries` are where that host may have NVML's. Whatever is to be imported has to be there already.
    """
    places = (_outside(root, library) for library in libraries)
    library = next(filter(os.path.exists, places), None)
    # Loaded before all else, and into this Python: beside it stand libraries of the host's that this one cannot take.
    nvml = ask_nvml({**os.environ, **({"LD_PRELOAD": library} if library else {})}, 8.0)
    os.chroot(root)
    os.chdir("/")
    os.environ.clear()
    os.environ.update(_ENVIRONMENT)
    return MountedHost(nvml)


_LINKS = 40
"""As many as the kernel follows."""


def _outside(root: str, path: str) -> str:
    """Returns where a file of the host's is as long as its root is a folder: absolute links lead from that root."""
    place, left, links = root, path.split("/"), 0
    while left:
        part = left.pop(0)
        if part == "..":
            place = os.path.dirname(place) if place != root else root
        elif part not in ("", "."):
            step = "%s/%s" % (place, part)
            links += os.path.islink(step)
            if os.path.islink(step) and links <= _LINKS:
                target = os.readlink(step)
                place, left = root if target.startswith("/") else place, target.split("/") + left
            else:
                place = step
    return place
