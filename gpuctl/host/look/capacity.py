"""How much this machine, and what it lets this process do, has room for."""

from __future__ import annotations

import os
import resource

from gpuctl.frozen import dataclass


@dataclass(frozen=True)
class Capacity:
    """Processors that this process may use, megabytes that are free, files that it may hold open."""

    cores: int
    free: int
    files: int


def capacity() -> Capacity:
    """Returns what this machine has room for now."""
    return Capacity(len(os.sched_getaffinity(0)), _free(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _free() -> int:
    """Of /proc/meminfo (proc(5)), or what systems without it call free.

    MemAvailable:   23869252 kB
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":") for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024 // 1_000_000
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000
