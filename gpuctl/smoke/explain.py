"""From an engine's error text to its cause and remedy.

Error text alone is often ambiguous, so a cause names the doctor's checks that tell its variants apart on this host:
the first of them that fails says the rest.
"""

from __future__ import annotations

from gpuctl.model import Finding, Remedy, Report, Status
from gpuctl.smoke.causes import CAUSES, DOCTOR

_WORDS = 300
"""Letters of an error text that fit into a sentence."""


def explain(error: str, report: Report) -> tuple[str, Remedy]:
    """Returns the cause in a sentence, and the remedy. `report` is the doctor's, of the host where it happened."""
    text = _core(error)
    cause = next((one for one in CAUSES if any(_core(piece) in text for piece in one.cores)), None)
    if cause is None:
        return f"The container did not run: {_shortened(error)}", DOCTOR
    known = finding(report, cause.checks)
    if known is None:
        return cause.sentence, cause.remedy
    return f"{cause.sentence} {known.message}", known.remedy or cause.remedy


def finding(report: Report, checks: tuple[str, ...]) -> Finding | None:
    """Returns the first of these checks' findings that failed, else the first that warned."""
    by_id = {one.id: one for one in report.findings}
    told = [by_id[id] for id in checks if id in by_id]
    loud = [one for status in (Status.FAIL, Status.WARN) for one in told if one.status is status]
    return loud[0] if loud else None


def _shortened(error: str) -> str:
    line = " ".join(error.split())
    return line if len(line) <= _WORDS else f"{line[:_WORDS]}…"


def _core(text: str) -> str:
    # Engines wrap a core line in ever deeper quotes and escapes, and terminals break it anywhere: none of that counts.
    return "".join(letter for letter in text.lower() if letter not in "\\\"' \t\r\n")
