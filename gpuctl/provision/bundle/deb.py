"""A flat repository of deb packages, as NVIDIA has it: InRelease, which names the list, which names the packages.

Source: https://wiki.debian.org/DebianRepository/Format
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gpuctl.bounds import unpacked
from gpuctl.facts.packages.sources import stanzas
from gpuctl.provision.bundle.index import (
    LIST_LIMIT,
    SHA256,
    Fetch,
    IndexedPackage,
    IndexProblem,
    Verify,
    check_sum,
)

RELEASE = "InRelease"
LISTS = ("Packages.gz", "Packages")
ARCHITECTURES: Mapping[str, str] = {"amd64": "amd64", "arm64": "arm64"}
_ENTRY = re.compile(r"^ (?P<sha256>[0-9a-f]{64}) +(?P<size>[0-9]{1,12}) +(?P<path>\S+)$", re.MULTILINE)


def signed_index(fetch: Fetch, verify: Verify) -> dict[str, bytes]:
    """Returns InRelease and the list of packages."""
    release = fetch(RELEASE)
    sums = release_sums(verify(release, None).decode("utf-8", "replace"))
    name = next((name for name in LISTS if name in sums), None)
    if name is None:
        raise IndexProblem(f"its {RELEASE} names no list of packages")
    listed = fetch(name)
    check_sum(name, listed, *sums[name])
    return {RELEASE: release, name: listed}


def release_sums(text: str) -> dict[str, tuple[int, str]]:
    """Returns size and SHA-256 of the files that a Release file names.

    SHA256:
     2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 1024 Packages.gz
    """
    _, begun, rest = text.partition("\nSHA256:\n")
    section = re.match(r"(?: [^\n]*\n?)*", rest) if begun else None
    found = _ENTRY.finditer(section[0]) if section else ()
    return {one["path"].removeprefix("./"): (int(one["size"]), one["sha256"]) for one in found}


def packages(index: Mapping[str, bytes]) -> tuple[IndexedPackage, ...]:
    """Returns the packages of the list."""
    name = next((name for name in LISTS if name in index), None)
    if name is None:
        raise IndexProblem("it has no list of packages")
    raw = index[name]
    try:
        text = (unpacked(raw, LIST_LIMIT) if name.endswith(".gz") else raw).decode("utf-8", "replace")
    except OSError as error:
        raise IndexProblem(f"its {name} cannot be opened: {error.strerror}") from None
    return parse_packages(text)


def parse_packages(text: str) -> tuple[IndexedPackage, ...]:
    """Returns the packages of a Packages file that have all that is needed of them.

    Package: libnvidia-container-tools
    Version: 1.18.0-1
    Architecture: amd64
    Depends: libc6 (>= 2.27), libnvidia-container1 (>= 1.18.0-1)
    Filename: ./libnvidia-container-tools_1.18.0-1_amd64.deb
    Size: 21190
    SHA256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
    """
    found = (_package(fields) for fields in stanzas(text))
    return tuple(one for one in found if one is not None)


def _package(fields: Mapping[str, str]) -> IndexedPackage | None:
    names = ("package", "version", "architecture", "filename", "size", "sha256")
    name, version, architecture, path, size, sha256 = (fields.get(one, "").strip() for one in names)
    if not (name and version and path and SHA256.fullmatch(sha256) and re.fullmatch(r"[0-9]{1,12}", size)):
        return None
    needs = tuple(re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]*)", fields.get("depends", "")))
    return IndexedPackage(name, version, architecture, path.removeprefix("./"), int(size), sha256, needs)
