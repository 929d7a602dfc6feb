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


ALGORITHMS: Mapping[str, re.Pattern[str]] = {
    "sha512": re.compile(r"[0-9a-f]{128}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
}
"""The sums that count, the better one first. NVIDIA's lists of lists have no other than SHA-512."""
LIST_LIMIT = 64 << 20
"""Bytes of a list of packages, opened. NVIDIA's has less than one in a hundred of it."""


class IndexProblem(Exception):
    """An index is not as those of package repositories are; the message is a clause that says why."""


@dataclass(frozen=True)
class Digest:
    """The sum of a file by one of ALGORITHMS."""

    algorithm: str
    value: str

    def fits(self, raw: bytes) -> bool:
        """Returns whether a file has this sum."""
        return hashlib.new(self.algorithm, raw).hexdigest() == self.value


def digest_of(algorithm: str, value: str) -> Digest | None:
    """Returns the sum that two words of an index tell, None where they tell none that counts."""
    return Digest(algorithm, value) if algorithm in ALGORITHMS and ALGORITHMS[algorithm].fullmatch(value) else None


@dataclass(frozen=True)
class IndexedPackage:
    """A package as the index has it: where its file lies, its size in bytes, its sum, and what it needs by name."""

    name: str
    version: str
    architecture: str
    path: str
    size: int
    digest: Digest
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


def check_sum(name: str, raw: bytes, size: int | None, digest: Digest) -> None:
    """Raises IndexProblem for a file that is another than the one of that size in bytes and that sum.

    `size` None: the list tells none.
    """
    if size is not None and len(raw) != size:
        raise IndexProblem(f"{name} has {len(raw):,} bytes, and is to have {size:,}")
    if not digest.fits(raw):
        raise IndexProblem(f"{name} is not the file that the signed list names: its sum differs")


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
