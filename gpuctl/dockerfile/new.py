"""A good Dockerfile for hosts, for an application, and by what an old image says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from gpuctl.compat.answer.tags import Wanted
from gpuctl.compat.ask.question import Machine
from gpuctl.compat.knowledge.branch_ends import branch_reason
from gpuctl.dockerfile.app.scan import Application
from gpuctl.dockerfile.app.wants import Wants, machine_of, wants_of
from gpuctl.dockerfile.base import ChosenBase, PackageOf, choose_base
from gpuctl.dockerfile.carried import Carried, carried_from
from gpuctl.dockerfile.framework import ChosenFramework, FrameworkWish, choose_framework, own_image_notes
from gpuctl.dockerfile.old_image import OldImage
from gpuctl.dockerfile.said import application_notes, base_notes, foreign_problems, old_notes
from gpuctl.dockerfile.text import DockerfileParts, dockerfile_text
from gpuctl.frozen import dataclass

_FAMILIES = {"ubuntu": "ubuntu", "debian": "ubuntu", "ubi": "ubi", "rockylinux": "rockylinux", "centos": "rockylinux"}
"""The distribution of a new base by an old image's: NVIDIA has no images of Debian, and none of CentOS any more."""


@dataclass(frozen=True)
class DockerfileWish:
    """What a Dockerfile is for: hosts; which base; an application; an old image; a framework.

    `machine` is the processor of the hosts ("x86_64").
    """

    machines: tuple[Machine, ...]
    machine: str
    wanted: Wanted
    flavour: str | None = None
    application: Application | None = None
    old: OldImage | None = None
    framework: FrameworkWish | None = None

    @property
    def hosts(self) -> str:
        """The hosts for people."""
        if len(self.machines) > 2:
            return f"all {len(self.machines)} kinds of the hosts"
        return " and ".join(machine.words for machine in self.machines)

    @cached_property
    def wants(self) -> tuple[Application | None, Wants | None]:
        """The application, which may be the old image's, and what it wants."""
        application = self.application
        if application is None and self.old and self.old.contents:
            application = self.old.contents.application
        return application, wants_of(application, self.machine) if application else None


@dataclass(frozen=True)
class NewDockerfile:
    """A Dockerfile with what it rests on. `problems` keep the application from running; `notes` are worth knowing."""

    text: str
    base: ChosenBase
    capabilities: tuple[str, ...]
    wants: Wants | None
    carried: Carried | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    framework: ChosenFramework | None = None


def processor_of(application: Application | None, old: OldImage | None) -> str:
    """Returns the processor ("x86_64") of hosts of which it is not told: that of what is to run there."""
    if application:
        return machine_of(application) or "x86_64"
    return "aarch64" if old and old.config.architecture == "arm64" else "x86_64"


def new_dockerfile(wish: DockerfileWish, package_of: PackageOf) -> NewDockerfile:
    """Returns the Dockerfile. Raises NoBase, and ValueError where the base that is wanted does not exist."""
    application, wants = wish.wants
    wanted, framework = _wanted(wish), None
    if wish.framework:
        base, framework = choose_framework(
            wish.framework, wanted, wish.flavour, wish.machines, wish.machine, wants, package_of
        )
    else:
        base = choose_base(wanted, wish.flavour, wish.machines, wants, package_of)
    carried = carried_from(wish.old.run) if wish.old else None
    capabilities = wants.capabilities if wants else ("compute", "utility")
    problems, notes = [*base.problems], [*_branch_notes(wish.machines), *base_notes(base)]
    if application and wants:
        problems += foreign_problems(wants, application)
        notes += application_notes(base, wants, application)
    if wish.framework and wish.machine == "x86_64":
        notes += own_image_notes(wish.framework, wish.machines)
    if wish.old and carried:
        notes += (*old_notes(wish.old), *carried.left)
    has_folder = wish.application is not None
    draft = DockerfileParts(
        wish.hosts, base, capabilities, tuple(problems), wants, has_folder, wish.old, carried, framework
    )
    text = dockerfile_text(draft)
    return NewDockerfile(text, base, capabilities, wants, carried, draft.problems, tuple(notes), framework)


def _branch_notes(machines: Sequence[Machine]) -> list[str]:
    """What is to be said of hosts whose driver is told as a branch."""
    reasons = (branch_reason(driver) for driver in dict.fromkeys(one.driver for one in machines) if driver)
    return [reason.message for reason in reasons if reason]


def _wanted(wish: DockerfileWish) -> Wanted:
    """The base that is wanted: where none is named, one of the old image's distribution."""
    system = wish.old.contents.system if wish.old and wish.old.contents else None
    family = _FAMILIES.get(re.sub(r"[\d.]+$", "", system or ""))
    return wish.wanted if wish.wanted.os or family is None else Wanted(wish.wanted.cuda, os=family)
