"""A flat repository of deb packages, as NVIDIA has it: InRelease, which names the list, which names the packages.

Source: https://wiki.debian.org/DebianRepository/Format
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gpuctl.bounds import unpacked
from gpuctl.facts.packages.sources import stanzas
from gpuctl.provision.bundle.index import (
    ALGORITHMS,
    LIST_LIMIT,
    Digest,
    Fetch,
    IndexedPackage,
    IndexProblem,
    Verify,
    check_sum,
    digest_of,
)

RELEASE = "InRelease"
LISTS = ("Packages", "Packages.gz")
"""The forms of the list of packages that gpuctl reads."""
ARCHITECTURES: Mapping[str, str] = {"amd64": "amd64", "arm64": "arm64"}
_FORM = re.compile(r"Packages(\.[a-z0-9]{1,4})?")
_ENTRY = re.compile(r"^ (?P<sum>[0-9a-f]+) +(?P<size>[0-9]{1,12}) +(?P<path>\S+)$", re.MULTILINE)


def signed_index(fetch: Fetch, verify: Verify) -> dict[str, bytes]:
    """Returns InRelease and the list of packages in every form: apt reads from files the one that it likes best."""
    index = {RELEASE: fetch(RELEASE)}
    sums = release_sums(verify(index[RELEASE], None).decode("utf-8", "replace"))
    for name in filter(_FORM.fullmatch, sorted(sums)):
        index[name] = fetch(name)
        check_sum(name, index[name], *sums[name])
    return index


def release_sums(text: str) -> dict[str, tuple[int, Digest]]:
    """Returns size and sum of the files that a Release file names.

    SHA256:
     2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 1024 Packages.gz
    """
    algorithm = next((name for name in ALGORITHMS if f"\n{name.upper()}:\n" in text), "")
    _, _, rest = text.partition(f"\n{algorithm.upper()}:\n")
    section = re.match(r"(?: [^\n]*\n?)*", rest)
    found = ((one, digest_of(algorithm, one["sum"])) for one in _ENTRY.finditer(section[0] if section else ""))
    return {one["path"].removeprefix("./"): (int(one["size"]), digest) for one, digest in found if digest}


def packages(index: Mapping[str, bytes]) -> tuple[IndexedPackage, ...]:
    """Returns the packages of the list."""
    name = next((name for name in LISTS if name in index), None)
    if name is None:
        raise IndexProblem("it has no list of packages, or none that is plain or packed by gzip")
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
    names = ("package", "version", "architecture", "filename", "size")
    name, version, architecture, path, size = (fields.get(one, "").strip() for one in names)
    sums = (digest_of(algorithm, fields.get(algorithm, "").strip()) for algorithm in ALGORITHMS)
    digest = next(filter(None, sums), None)
    if not (name and version and path and digest and re.fullmatch(r"[0-9]{1,12}", size)):
        return None
    needs = tuple(re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]*)", fields.get("depends", "")))
    return IndexedPackage(name, version, architecture, path.removeprefix("./"), int(size), digest, needs)
