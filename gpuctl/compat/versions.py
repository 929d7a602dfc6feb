"""Version numbers of drivers, CUDA, Docker and the toolkit, compared part by part as integers."""

from __future__ import annotations

import re
from functools import lru_cache

from gpuctl.frozen import dataclass
from gpuctl.regex import regex

Version = tuple[int, ...]

_DRIVER = regex(r"[0-9]{2,4}(\.[0-9]{1,4}){1,3}")
_PACKAGED = regex(r"(?:[0-9]{1,2}:)?([0-9]{2,4}(?:\.[0-9]{1,4}){1,3})-[rv]?[0-9][0-9A-Za-z.+~_-]{0,60}")
_CALLED = regex(
    r"(?:[rv]|(?:nvidia|cuda-drivers)(?:-[a-z][a-z0-9_]*)*[-:])?([0-9]{3,4}(?:\.[0-9]{1,4}){0,3})"
    r"(?:-(?:server|open|dkms|grid))*(?:\.run)?",
    re.IGNORECASE,
)
"""As NVIDIA's documents call a branch, and as its packages and installers are called. Sources:
https://packages.ubuntu.com/source/jammy/nvidia-graphics-drivers-535-server,
https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/, https://www.nvidia.com/en-us/drivers/unix/"""
_CUDA = regex(r"[0-9]{1,2}(\.[0-9]{1,2}(\.[0-9]{1,4})?)?")
_RELEASE = regex(r"v?([0-9]{1,9})\.([0-9]{1,9})(?:\.([0-9]{1,9}))?(?:[-~+.](.*))?")
_LEADING = regex(r"[0-9]{1,9}(\.[0-9]{1,9})*(?![0-9])")
_PRERELEASE = regex(r"\b(alpha|beta|tp|rc)\.?([0-9]{0,9})")
_STAGES = ("alpha", "beta", "tp", "rc", "release")
_CLAUSE = regex(r"(>=|<|==)\s*([0-9]+(?:\.[0-9]+)*)")


@lru_cache(maxsize=4096)
def parts(text: str) -> Version:
    """Returns dotted numbers as a tuple without trailing zeros, so that 418.87.00 equals 418.87.

    Raises ValueError where a part is no number.
    """
    numbers = [int(number) for number in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def minor_of(text: str) -> tuple[int, int]:
    """Returns a version's first two numbers: (12, 0) of 12, of 12.0 and of 12.0.1. Raises ValueError."""
    major, minor, *_ = (*parts(text), 0, 0)
    return major, minor


def compare(one: str, other: str) -> int:
    """Returns -1, 0 or 1 as one dotted number is older than, equal to or newer than the other. Raises ValueError."""
    return (parts(one) > parts(other)) - (parts(one) < parts(other))


def leading(text: str) -> str:
    """Returns the dotted number that a version text begins with: "1.17.3" of "1.17.3-rc1"; "" where there is none."""
    match = _LEADING.match(text)
    return match[0] if match else ""


def driver_number(text: str) -> str:
    """Returns a driver's version or branch without what packages and documents add to it, any other text as it is.

    535.183.01 of 535.183.01-0ubuntu0.22.04.1, of 3:535.183.01-1.el9 and of NVIDIA-Linux-x86_64-535.183.01.run; 535 of
    R535 and of nvidia-driver-535-server-open.
    """
    match = _PACKAGED.fullmatch(text.strip()) or _CALLED.fullmatch(text.strip())
    return match[1] if match else text.strip()


def parse_driver(text: str) -> Version:
    """Returns a driver's version, comparable: 384.111 is newer than 384.90. Raises ValueError for another shape."""
    if not _DRIVER.fullmatch(text.strip()):
        known = "a driver version, such as 535.104.05, nor a branch that gpuctl knows, such as 535"
        raise ValueError(f"{text!r} is neither {known}")
    return parts(text.strip())


def parse_cuda(text: str) -> Version:
    """Returns a CUDA version's parts as typed: (12,), (12, 4) or (12, 4, 1). Raises ValueError for another shape."""
    if not _CUDA.fullmatch(text.strip()):
        raise ValueError(f"{text!r} is not a CUDA version: give one such as 12.4 or 12.4.1")
    return tuple(int(number) for number in text.strip().split("."))


def docker_version(text: str) -> Version:
    """Returns a version of Docker or of the toolkit, comparable; a release candidate sorts before its release.

    Takes 17.03.2-ce, 19.03.0-rc3, 20.10.24+dfsg1 and 1.13.1. Raises ValueError for text that does not begin so.
    """
    match = _RELEASE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a version such as 20.10.24")
    major, minor, patch, rest = match.groups()
    early = _PRERELEASE.search(rest or "")
    stage, number = (early[1], early[2]) if early else ("release", "")
    return (int(major), int(minor), int(patch or 0), _STAGES.index(stage), int(number or 0))


@dataclass(frozen=True)
class DriverRange:
    """A driver condition as the CUDA table words it: ">= 384.111, < 385.00" or "== 361.93 or >= 375.51".

    A comma is "and". "==" compares as many parts as it names: == 361.93 holds for 361.93.02.
    """

    text: str
    alternatives: tuple[tuple[tuple[str, str], ...], ...]

    def holds(self, driver: Version) -> bool:
        """Returns whether the driver lies in the range."""
        return any(all(_holds(driver, operator, bound) for operator, bound in both) for both in self.alternatives)

    def open_minimum(self) -> str | None:
        """Returns the lowest driver from which on every newer one holds; None where the range has an upper end."""
        bounds = (both[0][1] for both in self.alternatives if len(both) == 1 and both[0][0] == ">=")
        return next(bounds, None)

    def lowest(self) -> str:
        """Returns the oldest driver in the range."""
        bounds = (bound for both in self.alternatives for operator, bound in both if operator != "<")
        return min(bounds, key=parts)


def parse_range(text: str) -> DriverRange:
    """Returns the condition that the text words. Raises ValueError where it is none."""
    alternatives = (tuple(_clause(part) for part in both.split(",")) for both in text.split(" or "))
    return DriverRange(text, tuple(alternatives))


def _clause(text: str) -> tuple[str, str]:
    match = _CLAUSE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a driver condition such as '>= 418.39'")
    return match[1], match[2]


def _holds(driver: Version, operator: str, bound: str) -> bool:
    if operator == "==":
        named = tuple(int(number) for number in bound.split("."))
        return (driver + (0,) * len(named))[: len(named)] == named
    return driver >= parts(bound) if operator == ">=" else driver < parts(bound)
