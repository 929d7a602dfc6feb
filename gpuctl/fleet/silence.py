"""How many hosts may stay silent before a run counts as undetermined."""

from __future__ import annotations

from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class Share:
    """So many hosts, or so many of a hundred."""

    number: float
    of_hundred: bool

    def most(self, hosts: int) -> float:
        """Returns how many of so many hosts that are."""
        return self.number * hosts / 100 if self.of_hundred else self.number


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
