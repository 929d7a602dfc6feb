"""Which package holds a file, by what lies on this host's disk: its package database, or apt-file's index."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache

from gpuctl.compat.knowledge.base_systems import BaseSystem, system_called
from gpuctl.compat.knowledge.libraries import BasePackage, package_of
from gpuctl.facts.machine.distribution import probe_distribution
from gpuctl.host.look.reading import Host

_SECONDS = 60.0
_MOST = 200
"""Files that are asked for at once."""


def system_here(host: Host) -> str | None:
    """Returns this host's system as tags name it ("ubuntu22.04"), None where it is not known."""
    distribution = probe_distribution(host).value
    return system_called(distribution.id, distribution.version) if distribution else None


def package_index(files: Iterable[str], host: Host) -> Callable[[str, BaseSystem], BasePackage | None]:
    """Returns what tells the package of a file: the table, and where it does not know, the index of this very system.

    `files` are all that may be asked for, since the host is asked once, and only if it has to be.
    """

    system_of_host = cache(lambda: system_here(host))

    @cache
    def of_this(system: BaseSystem) -> dict[str, str]:
        return packages_here([file for file in files if not _is_known(package_of(file, system))], host)

    def package(file: str, system: BaseSystem) -> BasePackage | None:
        found = package_of(file, system)
        if _is_known(found) or system.family != "debian" or system.os != system_of_host():
            return found
        told = of_this(system).get(file)
        return BasePackage(told) if told else found

    return package


def _is_known(package: BasePackage | None) -> bool:
    return package is not None and package.known


def packages_here(files: Iterable[str], host: Host) -> dict[str, str]:
    """Returns the packages of this Debian or Ubuntu host that hold files of these names, as far as it can tell."""
    wanted = [file for file in files if re.fullmatch(r"[\w.+-]+", file)][:_MOST]
    if not wanted:
        return {}
    owned = host.run(("dpkg-query", "-S", *(f"*/{file}" for file in wanted)), _SECONDS).text
    found = dict(_owners(owned, wanted))
    missing = [file for file in wanted if file not in found]
    if missing:
        pattern = f"/({'|'.join(map(re.escape, missing))})$"
        listed = host.run(("apt-file", "-x", "search", pattern), _SECONDS).text
        found.update(pair for pair in _owners(listed, missing))
    return found


def _owners(text: str, wanted: Iterable[str]) -> Iterable[tuple[str, str]]:
    """libnuma1:amd64: /usr/lib/x86_64-linux-gnu/libnuma.so.1"""
    names = set(wanted)
    for line in reversed(text.splitlines()):
        packages, colon, path = line.rpartition(": ")
        file = path.rpartition("/")[2]
        if colon and file in names and "-dev" not in packages:
            yield file, packages.partition(",")[0].partition(":")[0].strip()
