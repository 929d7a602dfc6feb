"""How many hosts may stay silent before a run counts as undetermined."""

from __future__ import annotations

from collections.abc import Iterable

from gpuctl.fleet.run_folder import State
from gpuctl.frozen import dataclass
from gpuctl.model import ExitCode

SILENT = (State.UNREACHABLE, State.LOST)
"""Of these nothing is known, not even that something is wrong with them."""


@dataclass(frozen=True)
class Share:
    """So many hosts, or so many of a hundred."""

    number: float
    of_hundred: bool

    def allows(self, silent: int, all: int) -> bool:
        """Returns whether so many hosts of all are not too many."""
        return silent * 100 <= self.number * all if self.of_hundred else silent <= self.number


def share(text: str) -> Share:
    """Returns a share that was typed: 2%, or 3. Raises ValueError."""
    number, of_hundred = (text[:-1], True) if text.endswith("%") else (text, False)
    try:
        found = float(number) if of_hundred else float(int(number))
    except ValueError:
        raise ValueError(f"{text!r} is no number of hosts such as 3, and no share such as 2%") from None
    if not 0 <= found <= (100 if of_hundred else 1_000_000):
        raise ValueError(f"{text!r} is no share of the hosts")
    return Share(found, of_hundred)


def silence_code(states: Iterable[State], allowed: Share) -> ExitCode:
    """Returns what the hosts that did not report make of the run: undetermined, where they are more than is allowed."""
    all = list(states)
    silent = sum(state in SILENT for state in all)
    failed = any(state not in (*SILENT, State.REPORTED) for state in all)
    good = not failed and allowed.allows(silent, len(all))
    return ExitCode.GOOD if good else ExitCode.UNDETERMINED
