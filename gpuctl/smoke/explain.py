"""From an engine's error text to its cause and remedy."""

from __future__ import annotations

from io import BytesIO

from gpuctl.command import command
from gpuctl.diagnose.answer import Match, matches
from gpuctl.diagnose.scan import scan
from gpuctl.diagnose.signatures import Strength
from gpuctl.diagnose.unwrapped import unwrapped
from gpuctl.frozen import dataclass
from gpuctl.model import Remedy, Report

DOCTOR = Remedy("See what is wrong on this host.", (command("gpuctl", "doctor"),))


@dataclass(frozen=True)
class Explained:
    """The cause in a sentence, the remedy, and the family of failures, "" where it is of none that is known."""

    cause: str
    remedy: Remedy
    family: str = ""


def explain(error: str, report: Report) -> Explained:
    """Returns what an error text says. `report` is the doctor's, of the host where it happened."""
    found = matches(scan(BytesIO(error.encode(errors="replace"))), report)
    if not found or _is_guess(found[0]):
        return Explained(f"The container did not run: {unwrapped(error)}", DOCTOR)
    return Explained(found[0].sentence, found[0].remedies[0], found[0].family.id)


def _is_guess(match: Match) -> bool:
    """Whether there is nothing but words that several causes have in common, and this host shows none of them."""
    shared = all(seen.strength is Strength.SIGN and len(seen.families) > 1 for seen in match.evidence)
    return shared and match.here is None
