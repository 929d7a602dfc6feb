"""What every family of package managers is handed, and what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gpuctl.facts.packages.packages import Packages
from gpuctl.host.look.reading import Host
from gpuctl.model import Step
from gpuctl.provision.change_set import Edit

Before = Mapping[str, str | None]
"""Versions of packages as they were, by name. None: it was not there; "": only its configuration was left."""


class PackageProblem(Exception):
    """The package manager did not do what it was told; the message says what, in a sentence or more."""


@dataclass(frozen=True)
class Repository:
    """Where the packages come from. `url` is as it stands in the manager's file, without user and password."""

    manager: str
    url: str
    key: bytes
    architecture: str
    """amd64 or arm64."""


@dataclass(frozen=True)
class Upgrade:
    """The whole toolkit in one `version`, as its packages have it; `remove` are the packages that go for it."""

    version: str
    install: tuple[str, ...]
    remove: tuple[str, ...]
    before: Before

    @property
    def lost(self) -> dict[str, str]:
        """The packages, by name, whose present version an undo needs and nobody has any more."""
        gone = (name for name in self.before if name in self.remove or name in self.install)
        return {
            name: old for name in gone if (old := self.before[name]) and (old != self.version or name in self.remove)
        }


class PackageFamily(Protocol):
    """One kind of packages. Each has a file of its own in this room."""

    def offered(self, repository: Repository) -> frozenset[str]:
        """Returns the versions in which the repository has the whole toolkit; nothing on the host changes.

        Raises PackageProblem where it cannot be reached, or is not signed by the key.
        """

    def edits(self, repository: Repository, packages: Packages) -> tuple[Edit, ...]:
        """Returns the files that tell the manager of the repository, and those that must not contradict them."""

    def keep(self, host: Host, repository: Repository, upgrade: Upgrade, packages: Packages) -> None:
        """Fetches the packages that an undo needs. Raises PackageProblem where one of them can be had nowhere."""

    def install(self, host: Host, repository: Repository, upgrade: Upgrade) -> None:
        """Brings the packages in. Call it after the edits. Raises PackageProblem: call undo then."""

    def install_alone(self, host: Host, repository: Repository, upgrade: Upgrade) -> None:
        """Brings the packages in by this repository and no other, of which the host is told for that moment only.

        Raises PackageProblem: call undo then.
        """

    def undo(self, host: Host, before: Before) -> None:
        """Brings the packages back to what they were, after whatever happened. Raises PackageProblem."""


def _nothing() -> None:
    """There is nothing to do."""


@dataclass(frozen=True)
class PackagePlan:
    """What --install does, in this order: `keep`, the edits, `install`; undone by undo() and then the edits' undo.

    `keeping` and `steps` are their steps. Without steps there is nothing to do, and no edits.
    """

    manager: str
    keeping: tuple[Step, ...] = ()
    edits: tuple[Edit, ...] = ()
    steps: tuple[Step, ...] = ()
    before: Before = field(default_factory=dict)
    """Keep it where a killed run's undo finds it, before `install` begins."""
    keep: Callable[[], None] = _nothing
    install: Callable[[], None] = _nothing
    """Both raise PackageProblem."""
    notes: tuple[str, ...] = ()
