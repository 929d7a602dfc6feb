"""Packages that ask for CUDA without naming it: through what they pull in, or built in. From data/indirect_packages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from gpuctl.compat.knowledge.frameworks import spelt_out
from gpuctl.compat.tables.loader import load
from gpuctl.compat.versions import parts
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from packaging.version import Version

_LEAST_POST = 100
"""post1 is a mended release, post100 would be CUDA 10.0."""


@dataclass(frozen=True)
class IndirectPackage:
    """A package, by its normalized name, that asks for CUDA through packages that it `pulls` in.

    `pulls` empty: it was built for a CUDA version that neither its name nor its version tells. `pins` are the very
    versions of that which its releases require, each of those from a release on, up to `pins_until`; "": those leave
    it open.
    `own_code`: it has kernels of its own beside theirs. `post_from`: from this release on its post releases are
    builds, named by their CUDA; `posts` are those of releases before it, each with its CUDA. `built_there`: PyPI has
    its sources alone. `made_there`: it makes its code where it runs, and adds nothing to what others ask. `also`:
    packages of which the same holds. `repositories`: how they are called where not by the package's name, each with
    its package; "flash-attention/hopper" is a folder of one.
    """

    package: str
    source: str
    also: tuple[str, ...] = ()
    repositories: Mapping[str, str] = MappingProxyType({})
    pulls: tuple[str, ...] = ()
    pins: Mapping[str, str] = MappingProxyType({})
    pins_until: str = "0"
    own_code: bool = False
    note: str | None = None
    post_from: str | None = None
    posts: Mapping[str, str] = MappingProxyType({})
    built_there: bool = False
    made_there: bool = False

    def cuda_of_post(self, version: Version) -> str | None:
        """Returns the CUDA version that a post release names: "11.7" of 2.4.2.post117; None where none does."""
        if self.post_from is None or version.release < parts(self.post_from):
            return self.posts.get(str(version.post))
        return spelt_out(str(version.post)) if (version.post or 0) >= _LEAST_POST else None

    def pinned(self, version: str) -> str:
        """Returns what a release requires to the very version: "torch==2.8.0"; "" where it is open, or not known."""
        from packaging.version import InvalidVersion, Version

        try:
            release = Version(version.partition("+")[0])
        except InvalidVersion:
            return ""
        if not self.pins or release.is_prerelease or release > _version(self.pins_until):
            return ""
        reached = [required for since, required in self.pins.items() if _version(since) <= release]
        return f"{self.pulls[0]}=={reached[-1]}" if reached and reached[-1] else ""

    def why_partly_known(self, pinned: str) -> str:
        """Why what it pins does not tell all, as `why_unknown`."""
        return f"has code of its own beside {pinned}'s, and nothing here says for which GPUs: ask its release notes"

    @property
    def why_unknown(self) -> str:
        """Why nothing tells which CUDA it asks for, and what would: a sentence without its subject and full stop."""
        if self.pulls:
            return (
                f"asks for CUDA through what it pulls in ({', '.join(self.pulls)}), and nothing here says which "
                "version of that: give what pip freeze prints where it is installed"
            )
        if self.made_there:
            return "makes its code where it runs, with the CUDA toolkit that is there: ask with --cuda for that"
        if self.built_there:
            return (
                "is built where it is installed, as PyPI has its sources alone, for the CUDA that is there: ask with "
                "--cuda for that"
            )
        return (
            "brings a CUDA of its own, which neither its name nor its version tells: look in its release notes, and "
            "ask with --cuda"
        )


@cache
def _version(text: str) -> Version:
    """Returns a version of the table, which a file of many lines has compared as often."""
    from packaging.version import Version

    return Version(text)


@cache
def indirect_packages() -> dict[str, IndirectPackage]:
    """Returns the packages by name."""
    return {name: row for row in load("indirect_packages", IndirectPackage) for name in (row.package, *row.also)}


@cache
def _repositories() -> dict[str, str]:
    rows = load("indirect_packages", IndirectPackage)
    return {name: package for row in rows for name, package in row.repositories.items()}


def package_of_repository(name: str, folder: str = "") -> str:
    """Returns the package that a repository, or a folder with its sources, is called after: flash-attn of
    flash-attention; the name itself where none is known. `name` is normalized. `folder`: where in it the package is.
    """
    return _repositories().get(f"{name}/{folder}") or _repositories().get(name, name)
