"""The systems on which images are based: knowledge from data/base_systems.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import parts
from gpuctl.frozen import dataclass

_OF_OS_RELEASE: Mapping[str, str] = {"rhel": "ubi", "rocky": "rockylinux", "ol": "oraclelinux", "amzn": "amzn"}
"""What the tags of nvidia/cuda call the distributions whose id in os-release is another word."""
_WITH_MINOR = ("ubuntu",)


@dataclass(frozen=True)
class BaseSystem:
    """A system: its package manager, its month of release, the newest symbol versions that its libraries have.

    `python` is the version of its package python3, None where it is not known. `user_tools` is the package that holds
    useradd, None where the images have it.
    """

    os: str
    manager: str
    released: str
    glibc: str
    glibcxx: str
    cxxabi: str
    source: str
    python: str | None = None
    user_tools: str | None = None

    @property
    def family(self) -> str:
        """Whose packages it has: "debian" for those of apt, else "rpm"."""
        return "debian" if self.manager == "apt" else "rpm"

    @property
    def newest(self) -> Mapping[str, str]:
        """The newest version of each kind of symbols."""
        return {"GLIBC": self.glibc, "GLIBCXX": self.glibcxx, "CXXABI": self.cxxabi}

    def lacks(self, symbols: str, version: str) -> bool:
        """Returns whether a version of symbols ("GLIBC", "2.34") is newer than what it has."""
        return parts(version) > parts(self.newest[symbols])


@cache
def base_systems() -> dict[str, BaseSystem]:
    """Returns the systems by their name in the tags of nvidia/cuda ("ubuntu22.04", "ubi9")."""
    return {row.os: row for row in load("base_systems", BaseSystem)}


def system_called(id: str, version: str) -> str:
    """Returns the name by which tags and tables call a distribution: "ubi9" for os-release's rhel 9.4."""
    return _OF_OS_RELEASE.get(id, id) + (version if id in _WITH_MINOR else version.partition(".")[0])
