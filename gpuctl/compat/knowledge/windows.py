"""The drivers of Windows, which WSL has too: which numbers are theirs, and which of them run a CUDA version."""

from __future__ import annotations

from functools import lru_cache

from gpuctl.compat.tables.loader import branches, driver_branch, minor_version_floors, toolkits
from gpuctl.compat.versions import driver_number, parts
from gpuctl.frozen import dataclass
from gpuctl.regex import regex

_NUMBER = regex(r"([0-9]{3})\.[0-9]{2}")
_OF_SYSTEM = regex(r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{1,5}\.[0-9]{1,5}")
"""A driver's number as Windows has it (Device Manager, WMI), whoever made it: 31.0.15.3713."""
_OF_SYSTEM_BY_NVIDIA = regex(r"[0-9]{1,2}\.[0-9]{1,2}\.1([0-9])\.([0-9]{2})([0-9]{2})")
"""The last five digits are NVIDIA's number. Source: https://wiki.mozilla.org/Blocklisting/Blocked_Graphics_Drivers"""
_FIRST_BRANCH = 400
"""From here on the table has every branch of Linux' driver: a number that begins otherwise is none of Linux'."""


@lru_cache(maxsize=4096)
def is_windows(driver: str) -> bool:
    """Returns whether a driver's number is one of Windows': 572.16, 560.81. Of Linux' some look the same: 550.78."""
    shape = _NUMBER.fullmatch(driver)
    if shape is None:
        return False
    branch = driver_branch(driver)
    if branch:
        return driver in branch.windows
    return _FIRST_BRANCH <= int(shape[1]) < int(branches()[-1].branch)


def driver_told(text: str) -> str:
    """Returns a driver's version as NVIDIA numbers it, whatever a package manager or Windows makes of it.

    537.13 of 31.0.15.3713; any other text as `driver_number`. Raises ValueError for a number of Windows' that is of no
    driver of NVIDIA's which is known for one of Windows'.
    """
    number = driver_number(text)
    if not _OF_SYSTEM.fullmatch(number):
        return number
    ours = _OF_SYSTEM_BY_NVIDIA.fullmatch(number)
    told = f"{ours[1]}{ours[2]}.{ours[3]}" if ours else ""
    if not is_windows(told):
        among = f", {told}, is not known for one of Windows'" if told else " is not found in it"
        raise ValueError(
            f"{text!r} is a driver's number as Windows has it, and NVIDIA's own{among}: give that, as 537.13"
        )
    return told


@dataclass(frozen=True)
class WindowsFloor:
    """From which driver on Windows runs a CUDA version, without limits and with them; by which documents.

    None: no older driver is known to run it with limits.
    """

    driver: str
    source: str
    limited: str | None = None
    limited_source: str = ""


@lru_cache(maxsize=1024)
def windows_floor(minor: str, update: str | None = None) -> WindowsFloor | None:
    """Returns the drivers of Windows that run a CUDA version, of an update of it where one is named ("12.4.1").

    From 13.0 on the release notes name none: there it is the branch. None for a version that is not known.
    """
    rows = [row for row in toolkits() if row.cuda == minor]
    # Of an update that the notes leave out, what the others of its version ask for at most.
    told = [row for row in rows if row.windows_driver and update in (None, row.release)] or rows[-1:]
    row = told[0] if update is None else told[-1]
    driver = row.windows_driver or max((one.windows_driver or "" for one in rows), default="") or row.branch
    if driver is None:
        return None
    floor = minor_version_floors().get(parts(minor)[0])
    if floor is None or floor.windows_min_driver is None or parts(floor.windows_min_driver) >= parts(driver):
        return WindowsFloor(driver, row.source)
    return WindowsFloor(driver, row.source, floor.windows_min_driver, floor.windows_source or floor.source)
