"""One line and an exit code, as Nagios and its relatives expect of a plugin.

https://nagios-plugins.org/doc/guidelines.html: STATE, text, and behind a bar the performance data.
"""

from __future__ import annotations

from enum import IntEnum

from gpuctl.model import Finding, Report, Status
from gpuctl.render.draw.text import plain
from gpuctl.render.formats.standing import counted, counts, standing, waived_until


class NagiosState(IntEnum):
    """What a plugin exits with."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_STATES = {"fail": NagiosState.CRITICAL, "warn": NagiosState.WARNING, "unknown": NagiosState.UNKNOWN}
"""Worst first: what is known to be wrong counts before what is not known."""


def nagios_state(report: Report, strict: bool) -> NagiosState:
    """Returns the state that a report stands for; `strict`: warnings and unknowns are critical."""
    standings = {standing(finding) for finding in report.findings}
    state = next((state for name, state in _STATES.items() if name in standings), NagiosState.OK)
    return NagiosState.CRITICAL if strict and state is not NagiosState.OK else state


def report_nagios(report: Report, command: str, strict: bool) -> str:
    """Returns the line: the state, the counts, what is wrong and what is waived, and the counts as performance data."""
    told = (_told(one) for one in report.findings if one.status in (Status.FAIL, Status.WARN, Status.UNKNOWN))
    words = "; ".join((counted(report), *told))
    data = " ".join(f"{name}={count};;;0" for name, count in counts(report).items())
    return f"GPUCTL {command.upper()} {nagios_state(report, strict).name} - {_line(words)} | {data}\n"


def _told(finding: Finding) -> str:
    accepted = f" ({waived_until(finding.waived)})" if finding.waived else ""
    return f"{finding.id}: {finding.message.rstrip('.')}{accepted}"


def _line(text: str) -> str:
    """A bar would begin the performance data."""
    return plain(text).replace("|", "/")
