"""From an engine's error text to its cause and remedy."""

from __future__ import annotations

from io import BytesIO

from gpuctl.command import command
from gpuctl.diagnose.answer import Match, matches
from gpuctl.diagnose.scan import scan
from gpuctl.diagnose.signatures import Strength
from gpuctl.model import Remedy, Report

DOCTOR = Remedy("See what is wrong on this host.", (command("gpuctl", "doctor"),))
_WORDS = 300
"""Letters of an error text that fit into a sentence."""


def explain(error: str, report: Report) -> tuple[str, Remedy]:
    """Returns the cause in a sentence, and the remedy. `report` is the doctor's, of the host where it happened."""
    found = matches(scan(BytesIO(error.encode(errors="replace"))), report)
    if not found or _is_guess(found[0]):
        return f"The container did not run: {_shortened(error)}", DOCTOR
    best = found[0]
    here = f" {best.here.message}" if best.here else ""
    return f"{best.family.cause}{here}", best.remedies[0]


def _is_guess(match: Match) -> bool:
    """Whether there is nothing but words that several causes have in common, and this host shows none of them."""
    shared = all(seen.strength is Strength.SIGN and len(seen.families) > 1 for seen in match.evidence)
    return shared and match.here is None


def _shortened(error: str) -> str:
    line = " ".join(error.split())
    return line if len(line) <= _WORDS else f"{line[:_WORDS]}…"
