"""Facts of a host that is looked at again and again: what takes long to look up is looked up less often."""

from __future__ import annotations

import time
from typing import Any, Dict, Iterable, Mapping

from gpuctl.facts.gather import gather
from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.reading import Host
from gpuctl.host.record.memory import RememberingHost

REST = 20.0
"""A subject rests so many times as long as its look took: a look never takes more than a twentieth of the time."""


@dataclass(frozen=True)
class TimedLook:
    """What a look at one subject gave, and when the next one is due, in seconds of the monotonic clock."""

    seen: Any
    due: float


def look_again(host: Host, subjects: Iterable[type], before: Mapping[type, TimedLook]) -> Dict[type, TimedLook]:
    """Returns the looks at all subjects; those that are due, or were never taken, are taken now, side by side."""
    now, memory = time.monotonic(), RememberingHost(host)
    due = [subject for subject in subjects if subject not in before or before[subject].due <= now]
    begun = {subject: begin(lambda subject=subject: _look(memory, subject)) for subject in due}  # type: ignore[misc]
    return {**before, **{subject: wait() for subject, wait in begun.items()}}


def _look(host: Host, subject: type) -> TimedLook:
    start = time.monotonic()
    seen = gather(host, (subject,)).found[subject]
    end = time.monotonic()
    return TimedLook(seen, end + REST * (end - start))
