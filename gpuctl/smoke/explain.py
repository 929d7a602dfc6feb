"""From an engine's error text to its cause and remedy."""

from __future__ import annotations

from io import BytesIO

from gpuctl.command import command
from gpuctl.diagnose.answer import Match, matches
from gpuctl.diagnose.scan import scan
from gpuctl.diagnose.signatures import Strength
from gpuctl.diagnose.unwrapped import unwrapped
from gpuctl.model import Remedy, Report

DOCTOR = Remedy("See what is wrong on this host.", (command("gpuctl", "doctor"),))


def explain(error: str, report: Report) -> tuple[str, Remedy]:
    """Returns the cause in a sentence, and the remedy. `report` is the doctor's, of the host where it happened."""
    found = matches(scan(BytesIO(error.encode(errors="replace"))), report)
    if not found or _is_guess(found[0]):
        return f"The container did not run: {unwrapped(error)}", DOCTOR
    return found[0].sentence, found[0].remedies[0]


def _is_guess(match: Match) -> bool:
    """Whether there is nothing but words that several causes have in common, and this host shows none of them."""
    shared = all(seen.strength is Strength.SIGN and len(seen.families) > 1 for seen in match.evidence)
    return shared and match.here is None
