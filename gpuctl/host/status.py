"""What `Host.stat` answers, as a value."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Mapping, Optional

from gpuctl.frozen import dataclass
from gpuctl.host.decode import number_in, parse_object, text_in
from gpuctl.host.look.reading import Reading


@dataclass(frozen=True)
class FileStatus:
    """What is at a path. `kind` is file, dir, char, block, socket or other, `mode` the permission bits.

    `mtime` and `ctime` are in seconds since the epoch.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    major: int
    minor: int
    mtime: float
    ctime: float


_SHORT = 300


def parse_status(text: str) -> FileStatus:
    """Returns what stat answered. Raises ValueError.

    {"type": "char", "mode": 438, "uid": 0, "gid": 0, "major": 195, "minor": 0, "mtime": 1.5, "ctime": 1.5}
    """
    return _short(text) if len(text) <= _SHORT else _status(text)


@lru_cache(maxsize=1 << 12)
def _short(text: str) -> FileStatus:
    """A snapshot's are read twice, and hosts of a fleet have many alike."""
    return _status(text)


def _status(text: str) -> FileStatus:
    seen = parse_object(text)
    kind = text_in(seen, "type")
    mode, uid, gid, major, minor = (number_in(seen, name) for name in ("mode", "uid", "gid", "major", "minor"))
    if kind is None or mode is None or uid is None or gid is None or major is None or minor is None:
        raise ValueError("it is no answer of stat")
    return FileStatus(kind, mode, uid, gid, major, minor, _seconds(seen, "mtime"), _seconds(seen, "ctime"))


def status_of(reading: Reading) -> Optional[FileStatus]:
    """Returns what is at the path; None where nothing is, or that could not be looked up."""
    try:
        return parse_status(reading.text) if reading.ok else None
    except ValueError:
        return None


def _seconds(seen: Mapping[str, Any], name: str) -> float:
    value = seen.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -(2.0**53) < value < 2.0**53:
        raise ValueError("%s is no time" % name)
    return float(value)
