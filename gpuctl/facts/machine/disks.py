"""How full the file systems of this machine's own disks are."""

from __future__ import annotations

from typing import Optional, Tuple

from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

DF = ("df", "-P", "-k", "-l")
"""-l: a file server that does not answer would hold df up."""
_SHARE, _BLOCKS = regex(r"[0-9]+%"), regex(r"[0-9]{1,15}")


@dataclass(frozen=True)
class FileSystem:
    """`size` and `free` in bytes; free is what others than root may still write."""

    mount: str
    size: int
    free: int


@dataclass(frozen=True)
class Disks:
    """The file systems that df lists."""

    file_systems: Fact[Tuple[FileSystem, ...]]

    def holding(self, path: str) -> Optional[FileSystem]:
        """Returns the file system that a path lies on, None where that is not known."""
        known = self.file_systems.value or ()
        above = [one for one in known if one.mount == "/" or (path + "/").startswith(one.mount + "/")]
        return max(above, key=lambda one: len(one.mount), default=None)


def probe_disks(host: Host) -> Disks:
    """Returns what df says."""
    return Disks(fact(host.run(DF, 3.0), parse_df))


def parse_df(text: str) -> Tuple[FileSystem, ...]:
    """Returns the file systems of `df -P -k`.

    Filesystem     1024-blocks     Used Available Capacity Mounted on
    /dev/nvme0n1p2   960302096 91203344 820244384      11% /
    """
    return tuple(filter(None, map(_file_system, filter(None, text.splitlines()))))


def _file_system(line: str) -> Optional[FileSystem]:
    """A line's numbers are those before the percentage: the names at both ends may hold blanks."""
    words = line.split()
    share = next((place for place, word in enumerate(words) if _SHARE.fullmatch(word)), 0)
    numbers = words[max(share - 3, 0) : share]
    if len(numbers) < 3 or not all(map(_BLOCKS.fullmatch, numbers)):
        return None
    return FileSystem(" ".join(words[share + 1 :]), int(numbers[0]) << 10, int(numbers[2]) << 10)
