"""Where tables newer than gpuctl's own are found, and where gpuctl notes which ones it has verified.

Root has no place of its own: what root uses is the whole host's. So a home folder that came along through sudo never
decides what root is told.
"""

from __future__ import annotations

import os
from typing import List, Optional, Tuple

VARIABLE = "GPUCTL_DATA"
USER, SYSTEM = "user", "system"
SYSTEM_DATA = "/var/lib/gpuctl/data"
SYSTEM_CACHE = "/var/cache/gpuctl"
SYSTEM_LOCK = "/run/gpuctl"
SYSTEM_CONFIG = "/etc/gpuctl/config.toml"


def chosen_data() -> Optional[Tuple[str, str]]:
    """Returns who chose the folder of tables for this run (VARIABLE, USER or SYSTEM), and the folder.

    The first that is there of GPUCTL_DATA, the user's and the system's. None: gpuctl's own tables it is.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return VARIABLE, os.path.abspath(named)
    own = _user_folder("XDG_DATA_HOME", ".local/share", "data")
    # A folder that this user may not look into is none of theirs.
    return next((place for place in ((USER, own), (SYSTEM, SYSTEM_DATA)) if os.path.lexists(place[1])), None)


def own_data() -> Tuple[str, str]:
    """Returns for whom this user installs tables (USER or SYSTEM), and where; "" without a home folder."""
    if os.geteuid() == 0:
        return SYSTEM, SYSTEM_DATA
    return USER, _user_folder("XDG_DATA_HOME", ".local/share", "data")


def caches() -> List[Tuple[str, int]]:
    """Returns the folders of notes, this user's first, each with the user who must own it to be believed."""
    own = _user_folder("XDG_CACHE_HOME", ".cache")
    return ([(own, os.geteuid())] if own else []) + [(SYSTEM_CACHE, 0)]


def lock_folder() -> str:
    """Returns the folder of the lock on this host: root's, which is not on a disk, or this user's own."""
    if os.geteuid() == 0:
        return SYSTEM_LOCK
    return _user_folder("XDG_STATE_HOME", ".local/state") or "/run/user/%d/gpuctl" % os.geteuid()


def has_config() -> bool:
    """Returns whether there is a configuration file for this user: most runs need not load what reads one."""
    own = _user_folder("XDG_CONFIG_HOME", ".config", "config.toml")
    return any(os.path.lexists(path) for path in (SYSTEM_CONFIG, own))


def _user_folder(variable: str, default: str, *below: str) -> str:
    """Returns gpuctl's folder in a base directory of the XDG specification; "" for root, and without a home folder."""
    if os.geteuid() == 0:
        return ""
    base = os.environ.get(variable, "")
    if not os.path.isabs(base):  # the specification says to ignore a relative one
        base = os.path.join(os.path.expanduser("~"), default)
    return os.path.join(base, "gpuctl", *below) if os.path.isabs(base) else ""
