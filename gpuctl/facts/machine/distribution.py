"""The distribution, by os-release(5)."""

from __future__ import annotations

import shlex
from functools import lru_cache
from typing import Tuple

from gpuctl.bounds import amount
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact

_OS_RELEASE_LIMIT = 1 << 14
"""Characters, which a shell's words are read from in time that grows with their square."""


@dataclass(frozen=True)
class Distribution:
    """`id` as in os-release ("debian"), `like` its relatives ("debian" for Ubuntu), `version` "12" or "".

    `base` is the codename of the release of Ubuntu or Debian whose packages a relative has: "noble" for Mint 22, whose
    own codename no other repository knows.
    """

    id: str
    name: str
    version: str
    like: Tuple[str, ...]
    codename: str
    base: str = ""

    @property
    def title(self) -> str:
        """Its name with its version: "Debian GNU/Linux 12"."""
        return ("%s %s" % (self.name, self.version)).strip()


def probe_distribution(host: Host) -> Fact[Distribution]:
    """Returns the distribution alone, by os-release(5)."""
    reading = host.read("/etc/os-release")
    if reading.outcome is Outcome.ABSENT:
        reading = host.read("/usr/lib/os-release")
    return fact(reading, parse_os_release)


@lru_cache(maxsize=64)  # several probes read it, and hosts of a fleet have one alike
def parse_os_release(text: str) -> Distribution:
    """Returns the distribution that os-release(5) describes, in words as a shell has them. Raises ValueError.

    NAME="Ubuntu"
    VERSION_ID="22.04"
    VERSION_CODENAME=jammy
    ID=ubuntu
    ID_LIKE=debian
    """
    if len(text) > _OS_RELEASE_LIMIT:
        raise ValueError("it is longer than %s" % amount(_OS_RELEASE_LIMIT))
    words = [word.partition("=") for word in shlex.split(text, comments=True)]
    told = {name.lower(): value for name, equals, value in words if equals}
    return Distribution(
        id=told.get("id", "linux"),
        name=told.get("name", "Linux"),
        version=told.get("version_id", ""),
        like=tuple(told.get("id_like", "").split()),
        codename=told.get("version_codename", ""),
        base=told.get("ubuntu_codename") or told.get("debian_codename", ""),
    )
