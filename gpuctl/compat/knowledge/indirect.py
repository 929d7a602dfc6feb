"""Packages that ask for CUDA without naming it: through what they pull in, or built in. From data/indirect_packages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class IndirectPackage:
    """A package, by its normalized name, that asks for CUDA through packages that it `pulls` in.

    `pulls` empty: it was built for a CUDA version that neither its name nor its version tells. `pins` are the very
    requirements of its releases, as far as they are known. `own_code`: it has kernels of its own beside theirs.
    """

    package: str
    source: str
    pulls: tuple[str, ...] = ()
    pins: Mapping[str, str] = MappingProxyType({})
    own_code: bool = False
    note: str | None = None

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
        return (
            "brings a CUDA of its own, which neither its name nor its version tells: look in its release notes, and "
            "ask with --cuda"
        )


@cache
def indirect_packages() -> dict[str, IndirectPackage]:
    """Returns the packages by name."""
    return {row.package: row for row in load("indirect_packages", IndirectPackage)}
