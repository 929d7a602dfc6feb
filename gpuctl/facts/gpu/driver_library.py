"""The version of the driver's libraries, which is in the name of the file behind libnvidia-ml.so.1."""

from __future__ import annotations

import posixpath
import re
from typing import List, Optional

from gpuctl.host.look.reading import Host
from gpuctl.model import Fact
from gpuctl.regex import regex

LIBRARY = "libnvidia-ml.so.1"
DIRECTORIES = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/wsl/lib",
    "/usr/local/glibc/usr/lib",  # Talos, whose own C library is musl
    "/x86_64-bottlerocket-linux-gnu/sys-root/usr/lib/nvidia",
    "/aarch64-bottlerocket-linux-gnu/sys-root/usr/lib/nvidia",
)
"""Source of Talos': https://github.com/siderolabs/extensions/issues/940"""
LINKS = 8
"""As many links are followed: Debian's alternatives take three."""
_CACHE_LINE = regex(r"^[ \t]+(?P<name>\S+) \((?P<abi>[^)\n]*)\) => (?P<path>/\S+)$", re.MULTILINE)
_VERSION = regex(r"\.so\.([0-9]{1,9}(?:\.[0-9]{1,9})+)$")


def probe_library_version(host: Host) -> Fact[str]:
    """Returns the version of the library that the dynamic linker takes first (ld.so(8)), absent without a library."""
    set_by_hand = [place for place in host.env("LD_LIBRARY_PATH").text.split(":") if place]
    cached = [posixpath.dirname(path) for path in parse_linker_cache(host.run(("ldconfig", "-p")).text)]
    candidates = [posixpath.join(place, LIBRARY) for place in (*set_by_hand, *cached, *DIRECTORIES)]
    found = next((path for path in candidates if host.stat(path).ok), None)
    if found is None:
        return Fact(None, LIBRARY)
    target = _target(host, found)
    version = parse_library_version(target)
    if version is None:
        return Fact(None, found, unknown="the file name %s holds no version" % target)
    return Fact(version, found)


def parse_linker_cache(text: str, library: str = LIBRARY) -> List[str]:
    """Returns where the linker's cache has a library for 64-bit programs, in its order.

    \tlibnvidia-ml.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libnvidia-ml.so.1
    \tlibnvidia-ml.so.1 (libc6) => /lib/i386-linux-gnu/libnvidia-ml.so.1
    """
    return [line["path"] for line in _CACHE_LINE.finditer(text) if line["name"] == library and "," in line["abi"]]


def _target(host: Host, path: str) -> str:
    for _ in range(LINKS):
        link = host.link(path)
        if not link.ok:
            break
        path = posixpath.join(posixpath.dirname(path), link.text)
    return path


def parse_library_version(path: str) -> Optional[str]:
    """Returns the version at the end of a library's file name.

    /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.535.161.08
    """
    found = _VERSION.search(path)
    return found.group(1) if found else None
