"""From an engine's error text to its cause and remedy."""

from __future__ import annotations

from io import BytesIO

from gpuctl.command import command
from gpuctl.diagnose.answer import Match, matches
from gpuctl.diagnose.scan import scan
from gpuctl.diagnose.signatures import Strength
from gpuctl.diagnose.unwrapped import unwrapped
from gpuctl.frozen import dataclass
from gpuctl.model import Finding, Remedy, Report, Status

_NOTHING_GIVEN = "nvidia-smi-not-in-container"
"""What is said so of a container that did ask for GPUs: not the request is missing, the toolkit has passed it over."""
_SETTINGS = ("toolkit.config-valid", "toolkit.hook-mode", "toolkit.ldconfig", "toolkit.settings")
"""Some of the settings that these judge make the toolkit's programs end without a word (tried with 1.20.0)."""
DOCTOR = Remedy("See what is wrong on this host.", (command("gpuctl", "doctor"),))


@dataclass(frozen=True)
class Explained:
    """The cause in a sentence, the remedy, and the family of failures, "" where it is of none that is known."""

    cause: str
    remedy: Remedy
    family: str = ""


def explain(error: str, report: Report, way: str | None = None) -> Explained:
    """Returns what an error text says of a container that was to get GPUs, by which way where that is known.

    `report` is the doctor's, of the host where it happened: what the text does not tell, a setting of the toolkit may.
    """
    found = matches(scan(BytesIO(error.encode(errors="replace"))), report)
    known = found[0] if found and not _is_guess(found[0]) else None
    if known is None or known.family.id == _NOTHING_GIVEN:
        setting = next((one for one in report.findings if one.id in _SETTINGS and _spoils(one, way)), None)
        if setting:
            return Explained(f"The container got no GPU: {setting.message}", setting.remedy or DOCTOR)
    if known is None:
        return Explained(f"The container did not run: {unwrapped(error)}", DOCTOR)
    return Explained(known.sentence, known.remedies[0], known.family.id)


def _spoils(setting: Finding, way: str | None) -> bool:
    """Whether it is said to keep all containers from their GPUs, or those of this way."""
    spoilt = setting.message.rpartition("; ")[0]
    return setting.status is Status.FAIL or (setting.status is Status.WARN and way is not None and way in spoilt)


def _is_guess(match: Match) -> bool:
    """Whether there is nothing but words that several causes have in common, and this host shows none of them."""
    shared = all(seen.strength is Strength.SIGN and len(seen.families) > 1 for seen in match.evidence)
    return shared and match.here is None
