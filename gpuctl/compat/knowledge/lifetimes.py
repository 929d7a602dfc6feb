"""Until when something is supported: distributions by their releases, and what a month of the end means today."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

from gpuctl.compat.tables.loader import load
from gpuctl.frozen import dataclass

if TYPE_CHECKING:
    from datetime import date

NEAR = 90
"""Days before an end at which it is time to plan."""


@dataclass(frozen=True)
class Release:
    """A release of a distribution: ID and VERSION_ID of os-release(5), or the latter's part before the first dot.

    `codename` is what package sources and image tags of Debian and Ubuntu call it.
    `end_of_life` is the last month (YYYY-MM) in which everybody gets security updates; paid support may go on.
    """

    id: str
    version: str
    end_of_life: str
    source: str
    note: str | None = None
    codename: str | None = None

    @property
    def ended(self) -> bool:
        """Whether that month is over."""
        return self.end_of_life < time.strftime("%Y-%m")


@cache
def releases() -> dict[tuple[str, str], Release]:
    """Returns the releases by distribution and version."""
    return {(row.id, row.version): row for row in load("distributions", Release)}


def release_of(id: str, version: str) -> Release | None:
    """Returns the release that os-release names, 9.4 being of 9; None for one that the table does not have."""
    return releases().get((id, version)) or releases().get((id, version.partition(".")[0]))


@cache
def by_codename() -> dict[str, Release]:
    """Returns the releases of Debian and Ubuntu by their codenames."""
    return {row.codename: row for row in releases().values() if row.codename}


def days_left(end_of_life: str, today: date | None = None) -> int:
    """Returns the days until the end of a month (YYYY-MM), negative after it. `today` None: that of this machine."""
    from calendar import monthrange  # with datetime, which takes longer to load than to ask
    from datetime import date

    year, month = map(int, end_of_life.split("-"))
    last = date(year, month, monthrange(year, month)[1])
    return (last - (today or date.today())).days


def ending(end_of_life: str, today: date | None = None) -> str | None:
    """Returns what to say of a support that is over or near its end, behind the name; None while there is time."""
    left = days_left(end_of_life, today)
    if left < 0:
        return f"has had no support since {end_of_life}"
    return f"has support until {end_of_life}, {left} days more" if left <= NEAR else None
