"""Waves: which hosts are changed together, one batch after the other. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain, repeat

from gpuctl.frozen import dataclass

DEFAULT = "1,1%,10%,100%"
"""One canary, one in a hundred, one in ten, the rest."""


@dataclass(frozen=True)
class Size:
    """How many hosts a wave has: so many, or so many of a hundred of all."""

    number: float
    of_hundred: bool

    def of(self, all: int) -> int:
        """Returns how many hosts that are, one at least."""
        return max(1, math.ceil(self.number * all / 100) if self.of_hundred else int(self.number))


@dataclass(frozen=True)
class Domains:
    """What hosts share: a rack, an NVLink domain. A host that is in none is one of its own.

    `most`: so many of one are touched at once; None: all of one are, in one wave.
    """

    of: Mapping[str, str]
    most: int | None = None


@dataclass(frozen=True)
class Partition:
    """How hosts are to be divided into waves: their sizes, the variable by which hosts belong together, None for none.

    `most`: so many that share its value are touched at once; None: all that do.
    """

    sizes: Sequence[Size]
    domain: str | None = None
    most: int | None = None


def sizes(text: str) -> tuple[Size, ...]:
    """Returns the sizes of waves that were typed, such as 1,5%,25%,100%. Raises ValueError."""
    return tuple(map(_size, text.split(",")))


def _size(text: str) -> Size:
    number, of_hundred = (text[:-1], True) if text.endswith("%") else (text, False)
    try:
        found = float(number) if of_hundred else float(int(number))
    except ValueError:
        found = 0.0
    if not 0 < found <= (100 if of_hundred else 1_000_000):
        raise ValueError(f"{text!r} is no size of a wave such as 1 or 5%")
    return Size(found, of_hundred)


def waves(hosts: Sequence[str], wanted: Sequence[Size], domains: Domains | None = None) -> tuple[tuple[str, ...], ...]:
    """Returns the hosts in waves of these sizes, the last size repeated until no host is left.

    Each host is in one wave. A wave is larger than its size where a domain is kept whole, and smaller where no more of
    a domain may be touched.
    """
    found: list[tuple[str, ...]] = []
    left = tuple(hosts)
    for size in chain(wanted, repeat(wanted[-1])):
        if not left:
            return tuple(found)
        wave = _wave(left, size.of(len(hosts)), domains)
        taken = set(wave)
        left = tuple(host for host in left if host not in taken)
        found.append(wave)
    raise AssertionError("the last size is repeated for ever")


def _wave(left: Sequence[str], size: int, domains: Domains | None) -> tuple[str, ...]:
    if domains is None:
        return tuple(left[:size])
    if domains.most is None:
        return _whole(left, size, domains)
    return _sparing(left, size, domains, domains.most)


def _domain(host: str, domains: Domains) -> tuple[bool, str]:
    return (host in domains.of, domains.of.get(host, host))


def _whole(left: Sequence[str], size: int, domains: Domains) -> tuple[str, ...]:
    """Domains in their order, all of each, until there are enough hosts."""
    parts: dict[tuple[bool, str], list[str]] = {}
    for host in left:
        parts.setdefault(_domain(host, domains), []).append(host)
    wave: list[str] = []
    for part in parts.values():
        if len(wave) >= size:
            break
        wave += part
    return tuple(wave)


def _sparing(left: Sequence[str], size: int, domains: Domains, most: int) -> tuple[str, ...]:
    """Hosts in their order, but no more than `most` of a domain."""
    touched: Counter[tuple[bool, str]] = Counter()
    wave: list[str] = []
    for host in left:
        domain = _domain(host, domains)
        if len(wave) < size and touched[domain] < most:
            touched[domain] += 1
            wave.append(host)
    return tuple(wave)
