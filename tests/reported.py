"""What a reported host's thread came to, and what doctor prints for that host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hosts import host, shown
from synthetic import Machine

from gpuctl.checks.every import diagnose
from gpuctl.facts.gather import gather
from gpuctl.model import Finding, Status
from gpuctl.render.views.doctor import report_text


@dataclass(frozen=True)
class Reported:
    """`fails` are the checks that fail, `warns` some that warn, `says` what the printed commands and sentences have,
    `never` what not; `ready`: whether the host is said to be, None where that is not asked.
    """

    machine: Machine
    fails: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    warns: tuple[str, ...] = ()
    ready: bool | None = None


def hold(right: Reported) -> None:
    """Asserts that doctor says of the host what its thread came to."""
    facts = gather(host(**right.machine))
    report = diagnose(facts)
    text = told(report.findings)
    assert failures(report.findings) == list(right.fails), text
    assert {one.id for one in report.findings if one.status is Status.WARN} >= set(right.warns), text
    assert [words for words in right.says if words not in text] == [], text
    assert [words for words in right.never if words in text] == [], text
    said = "Ready: " in report_text(report, facts, verbose=False).plain
    assert right.ready in (None, said), text


def judged(machine: Machine) -> tuple[Finding, ...]:
    """All that doctor finds on it."""
    return diagnose(gather(host(**machine))).findings


def told(found: tuple[Finding, ...]) -> str:
    """What is printed of failures and warnings: messages, remedies and commands."""
    remedies: list[Any] = [finding.remedy for finding in found if finding.remedy and finding.status is Status.FAIL]
    remedies += [finding.remedy for finding in found if finding.remedy and finding.status is Status.WARN]
    messages = [finding.message for finding in found if finding.status in (Status.FAIL, Status.WARN)]
    return "\n".join(
        [*messages, *(remedy.text for remedy in remedies), *(line for one in remedies for line in shown(one))]
    )


def failures(found: tuple[Finding, ...]) -> list[str]:
    """The ids of what fails."""
    return [one.id for one in found if one.status is Status.FAIL]
