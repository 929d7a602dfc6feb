"""What gpuctl itself can mend, by the checks that complain of it, and the command that leads to that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gpuctl.command import Command, Shell, command
from gpuctl.facts.gather import Facts
from gpuctl.facts.machine.system import System
from gpuctl.facts.toolkit.settings import LDCONFIG, MODE, NO_CGROUPS, ROOT
from gpuctl.model import Finding, Remedy, Report, Status

TOOLKIT = ("toolkit.installed", "toolkit.runtime", "toolkit.hook", "toolkit.cli")
OWN_CHECK: Mapping[str, str] = {
    "toolkit.ldconfig": LDCONFIG,
    "toolkit.no-cgroups": NO_CGROUPS,
    "toolkit.driver-root": ROOT,
    "toolkit.hook-mode": MODE,
}
"""The settings that have a check of their own; toolkit.settings tells of all others."""
SETTING = (*OWN_CHECK, "toolkit.settings")
SPECIFICATION = ("cdi.stale", "cdi.gpus", "registration.cdi", "registration.podman")
RUNTIME = ("registration.runtime", "registration.config-applied")
OTHER_RUNTIME = ("registration.runtime-path",)
CRIO = ("registration.crio",)
MENDABLE = frozenset((*TOOLKIT, *SETTING, *SPECIFICATION, *RUNTIME, *OTHER_RUNTIME, *CRIO))
LOUD = (Status.FAIL, Status.WARN)
_OWN = "gpuctl"


def led_by_gpuctl(finding: Finding, facts: Facts) -> Finding:
    """Returns the finding with gpuctl's own command first where that mends it; what a person would type is kept."""
    remedy = finding.remedy
    if not facts.get(System) or remedy is None or finding.id in TOOLKIT or not is_mended(finding) or _is_own(remedy):
        return finding
    return replace(finding, remedy=replace(remedy, commands=(fix((finding,), facts),), by_hand=remedy.commands))


def fix(findings: Iterable[Finding], facts: Facts) -> Command:
    """Returns gpuctl's own command that mends these findings, as this person types it.

    Root is told of a Docker of the person's own, which nothing leads to by itself; its file is mended without root.
    """
    own, system = command("gpuctl", "doctor", "--fix"), facts.get(System)
    if not system or system.euid.value == 0:
        return own
    endpoint = _own_docker(facts)
    if endpoint and all(one.id in (*RUNTIME, *OTHER_RUNTIME) for one in findings):
        return own
    return Command((Shell.SUDO, f"DOCKER_HOST={endpoint}", *own.words)) if endpoint else own.for_others()


def _own_docker(facts: Facts) -> str:
    """The address of a Docker on this machine that is not the system's, "" where the system's is meant."""
    if not facts.tell_of("Docker"):
        return ""
    from gpuctl.facts.docker.docker import Docker

    docker = facts.get(Docker)
    endpoint = docker.endpoint.value if docker else None
    return endpoint.url if endpoint and endpoint.local and endpoint.is_own else ""


def fixable(report: Report) -> tuple[Finding, ...]:
    """Returns the findings that `gpuctl doctor --fix` can mend."""
    return tuple(one for one in report.findings if one.status in LOUD and one.waived is None and is_mended(one))


def is_mended(finding: Finding) -> bool:
    """Returns whether gpuctl can mend it: what no command mends on this host, it does not either."""
    return finding.id in MENDABLE and finding.remedy is not None and bool(finding.remedy.commands)


def _is_own(remedy: Remedy) -> bool:
    return any(_OWN in one.words[:2] for one in remedy.commands[:1])
