"""What has to be mended before the remedy of another finding can be carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gpuctl.checks.remedies import as_root
from gpuctl.command import Command, command
from gpuctl.facts.machine.system import System
from gpuctl.model import Finding, Status

DPKG = ("packages.dpkg-whole", "kernel.packages-whole")
_INSTALLS = ({"apt-get", "install"}, {"apt-get", "full-upgrade"}, {"ubuntu-drivers", "install"})


def behind_dpkg(findings: Sequence[Finding], system: System) -> list[Finding]:
    """Returns the findings in whose remedies dpkg ends first what it began, where apt installs nothing before."""
    cut = any(one.id in DPKG and one.status in (Status.FAIL, Status.WARN) for one in findings)
    return [_behind(one, system) for one in findings] if cut else list(findings)


def _behind(finding: Finding, system: System) -> Finding:
    remedy = finding.remedy
    if finding.id in DPKG or remedy is None or not any(map(_installs, (*remedy.commands, *remedy.by_hand))):
        return finding
    end = as_root(system, command("dpkg", "--configure", "-a"))
    by_hand = (*end, *remedy.by_hand) if remedy.by_hand else ()
    text = f"{remedy.text} Before it dpkg has to end what it began."
    return replace(finding, remedy=replace(remedy, text=text, commands=(*end, *remedy.commands), by_hand=by_hand))


def _installs(one: Command) -> bool:
    return any(words <= set(one.words) for words in _INSTALLS)
