"""What every way of taking hosts out of service does. Whose a host is that is out of service, the scheduler says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gpuctl.frozen import dataclass

Problems = Mapping[str, str]
"""By host, a sentence on why not."""


@dataclass(frozen=True)
class Taken:
    """Whether a host is out of service by this run, not by others. `problem` is "" for one that is out of service."""

    ours: bool
    problem: str = ""


class Drain(Protocol):
    """A way of taking hosts out of service. What was done already is no problem to any of these."""

    def take_out(self, hosts: Sequence[str]) -> Mapping[str, Taken]:
        """Takes hosts out of service: nothing new begins on them."""

    def busy(self, hosts: Sequence[str]) -> Problems:
        """Returns on which hosts something still runs, or cannot be asked for, and what."""

    def bring_back(self, hosts: Sequence[str]) -> Problems:
        """Brings hosts back that this run has taken out; others it leaves alone. Returns which could not be."""
