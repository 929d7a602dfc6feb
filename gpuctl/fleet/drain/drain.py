"""What every way of taking hosts out of service does. Whose a host is that is out of service, the scheduler says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import begin

T = TypeVar("T")
Problems = Mapping[str, str]
"""By host, a sentence on why not."""
AT_ONCE = 16
IN_SERVICE = "It is in service again: somebody has brought it back."


@dataclass(frozen=True)
class Taken:
    """Whether a host is out of service by this run, not by others. `problem` is "" for one that is out of service.

    `ours` None: that could not be told, and is as it was.
    """

    ours: bool | None
    problem: str = ""


class Drain(Protocol):
    """A way of taking hosts out of service. What was done already is no problem to any of these."""

    def take_out(self, hosts: Sequence[str]) -> Mapping[str, Taken]:
        """Takes hosts out of service: nothing new begins on them."""

    def busy(self, hosts: Sequence[str]) -> Problems:
        """Returns on which hosts something runs, or may begin, or cannot be asked for, and what."""

    def bring_back(self, hosts: Sequence[str]) -> Problems:
        """Brings hosts back that this run has taken out; others it leaves alone. Returns which could not be."""


def each(hosts: Sequence[str], ask: Callable[[str], T]) -> dict[str, T]:
    """Returns what is said for each host, AT_ONCE of which are asked at once.

    What interrupts this waits for none of them: what was started for them is killed when gpuctl ends.
    """
    coming = iter(tuple(hosts))
    waits = [begin(lambda: {host: ask(host) for host in coming}) for _ in range(min(AT_ONCE, len(hosts)))]
    try:
        said = [wait() for wait in waits]
    finally:
        deque(coming, maxlen=0)  # nobody else is begun with
    return {host: told for some in said for host, told in some.items()}


def problems(hosts: Sequence[str], ask: Callable[[str], str]) -> Problems:
    """Returns of which hosts something is said, and what."""
    return {host: why for host, why in each(hosts, ask).items() if why}
