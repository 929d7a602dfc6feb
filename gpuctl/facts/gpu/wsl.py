"""Libraries of a Linux driver inside of WSL, where the driver is Windows' and brings its own."""

from __future__ import annotations

import posixpath
from typing import Any, Optional

from gpuctl.facts.gpu.driver_library import DIRECTORIES, parse_linker_cache
from gpuctl.facts.machine.system import probe_package_manager
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact

FOLDER = "/usr/lib/wsl/lib"
"""Where Windows puts its driver's libraries for Linux."""
LIBRARY = "libcuda.so.1"


@dataclass(frozen=True)
class WslLibraries:
    """All absent where Windows keeps no driver."""

    other: Fact[str]
    """Where a libcuda of Linux' own lies beside that of Windows."""
    first: Fact[str]
    """The libcuda that the dynamic linker takes (ld.so(8))."""
    package: Fact[str]
    """The package that `other` is from."""


def probe_wsl_libraries(host: Host) -> WslLibraries:
    """Returns which libcuda there are beside Windows', and from whom."""
    windows = posixpath.join(FOLDER, LIBRARY)
    if not host.stat(windows).ok:
        gone: Fact[Any] = Fact(None, windows)
        return WslLibraries(gone, gone, gone)
    cache = host.run(("ldconfig", "-p"))
    first = fact(cache, lambda text: next(iter(parse_linker_cache(text, LIBRARY)), None))
    places = (posixpath.join(folder, LIBRARY) for folder in DIRECTORIES if folder != FOLDER)
    other = next((path for path in places if host.stat(path).ok), None)
    return WslLibraries(Fact(other, other or windows), first, _package(host, other))


def _package(host: Host, path: Optional[str]) -> Fact[str]:
    manager = probe_package_manager(host).value
    if path is None or manager not in ("apt", "dnf", "yum", "zypper"):
        return Fact(None, "package manager")
    if manager == "apt":
        return fact(host.run(("dpkg", "-S", path)), parse_dpkg_owner)
    return fact(host.run(("rpm", "-qf", "--qf", "%{NAME}\n", path)), parse_rpm_owner)


def parse_dpkg_owner(text: str) -> Optional[str]:
    """Returns the package that has a file, by dpkg -S.

    libnvidia-compute-535:amd64: /usr/lib/x86_64-linux-gnu/libcuda.so.1
    """
    return text.partition(":")[0].strip() or None


def parse_rpm_owner(text: str) -> Optional[str]:
    """Returns the package that has a file, by rpm -qf.

    nvidia-driver-cuda-libs
    """
    return next(iter(text.split()), None)
