"""What gpuctl itself can mend, by the checks that complain of it, and the command that leads to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gpuctl.checks.remedies import own_first
from gpuctl.command import command
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


def led_by_gpuctl(finding: Finding, system: System) -> Finding:
    """Returns the finding with gpuctl's own command first where that mends it; what a person would type is kept."""
    remedy = finding.remedy
    if remedy is None or finding.id in TOOLKIT or not is_mended(finding) or _is_own(remedy):
        return finding
    return replace(finding, remedy=own_first(remedy, system, command("gpuctl", "doctor", "--fix")))


def fixable(report: Report) -> int:
    """Returns how many of the findings `gpuctl doctor --fix` can mend."""
    loud = (one for one in report.findings if one.status in LOUD and one.waived is None)
    return sum(map(is_mended, loud))


def is_mended(finding: Finding) -> bool:
    """Returns whether gpuctl can mend it: what no command mends on this host, it does not either."""
    return finding.id in MENDABLE and finding.remedy is not None and bool(finding.remedy.commands)


def _is_own(remedy: Remedy) -> bool:
    return any(_OWN in one.words[:2] for one in remedy.commands[:1])
