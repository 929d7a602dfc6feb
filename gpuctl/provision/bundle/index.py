"""What the index of a signed repository says of its packages, whatever kind they are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Protocol

from gpuctl.facts.packages.packages import TOOLKIT
from gpuctl.frozen import dataclass

Fetch = Callable[[str], bytes]
"""Gives a file of a repository, by its path there. Raises Refused."""
Verify = Callable[[bytes, bytes | None], bytes]
"""Gives what a key has signed: of a text with its signature in it, or of a file by its signature. Raises Refused."""


SHA256 = re.compile(r"[0-9a-f]{64}")
LIST_LIMIT = 64 << 20
"""Bytes of a list of packages, opened. NVIDIA's has less than one in a hundred of it."""


class IndexProblem(Exception):
    """An index is not as those of package repositories are; the message is a clause that says why."""


@dataclass(frozen=True)
class IndexedPackage:
    """A package as the index has it: where its file lies, its size in bytes, its SHA-256, and what it needs by name."""

    name: str
    version: str
    architecture: str
    path: str
    size: int
    sha256: str
    needs: tuple[str, ...]


class IndexFamily(Protocol):
    """One kind of index. Each has a file of its own in this room."""

    ARCHITECTURES: Mapping[str, str]
    """What it calls amd64 and arm64."""

    def signed_index(self, fetch: Fetch, verify: Verify) -> dict[str, bytes]:
        """Returns the files that make up the index, by their paths, of which the signature vouches for every byte.

        Raises IndexProblem, and what the two functions raise.
        """

    def packages(self, index: Mapping[str, bytes]) -> tuple[IndexedPackage, ...]:
        """Returns the packages in an index whose signature has been verified. Raises IndexProblem."""


def check_sum(name: str, raw: bytes, size: int | None, sha256: str) -> None:
    """Raises IndexProblem for a file that is another than the one of that size in bytes and that SHA-256.

    `size` None: the list tells none.
    """
    if size is not None and len(raw) != size:
        raise IndexProblem(f"{name} has {len(raw):,} bytes, and is to have {size:,}")
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise IndexProblem(f"{name} is not the file that the signed list names: its SHA-256 differs")


def toolkits(packages: Iterable[IndexedPackage], architecture: str) -> dict[str, tuple[IndexedPackage, ...]]:
    """Returns the packages of each version in which the whole toolkit is there, in the order of installing."""
    found: dict[str, dict[str, IndexedPackage]] = {}
    for one in packages:
        if one.name in TOOLKIT and one.architecture == architecture:
            found.setdefault(one.version, {})[one.name] = one
    return {version: _ordered(parts) for version, parts in found.items() if len(parts) == len(TOOLKIT)}


def _ordered(parts: Mapping[str, IndexedPackage]) -> tuple[IndexedPackage, ...]:
    needs = {name: sorted(parts.keys() & set(parts[name].needs)) for name in sorted(parts)}
    try:
        return tuple(parts[name] for name in TopologicalSorter(needs).static_order())
    except CycleError:
        raise IndexProblem("its packages need each other in a circle") from None
