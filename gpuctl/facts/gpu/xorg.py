"""Which GPUs X's configuration names."""

from __future__ import annotations

import posixpath
import re
from typing import Dict, Iterator, Tuple

from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

FILE, FOLDER = "/etc/X11/xorg.conf", "/etc/X11/xorg.conf.d"
_SAID = regex(r'[ \t]*(?:(Section|Driver|BusID)[ \t]+"([^"\n]{1,80})"|EndSection)', re.IGNORECASE)
_BUS = regex(r"pci:([0-9]{1,3})(?:@([0-9]{1,5}))?:([0-9]{1,2}):([0-7])")


@dataclass(frozen=True)
class Xorg:
    """Absent where X has no configuration of this host's own."""

    addresses: Fact[Tuple[str, ...]]
    """Those at which X's configuration has NVIDIA's driver look for a GPU: 0000:3b:00.0."""


def probe_xorg(host: Host) -> Xorg:
    """Returns the GPUs that X's own configuration files name, which on most servers are not there."""
    names = [name for name in host.list(FOLDER).text.split() if name.endswith(".conf")]
    paths = [FILE, *(posixpath.join(FOLDER, name) for name in names)]
    read = [one for one in map(host.read, paths) if one.ok]
    text = "\n".join(one.text for one in read)
    return Xorg(fact(read[0], lambda _: parse_addresses(text)) if read else Fact(None, FILE))


def parse_addresses(text: str) -> Tuple[str, ...]:
    """Returns the addresses of the devices of NVIDIA's driver; X writes them in decimal, the domain behind the bus.

    Section "Device"
        Identifier "gpu"
        Driver     "nvidia"
        BusID      "PCI:90@0:0:0"
    EndSection
    """
    return tuple(_addresses(text))


def _addresses(text: str) -> Iterator[str]:
    said: Dict[str, str] = {}
    for line in text.splitlines():
        found = _SAID.match(line)
        if found and found.group(1):
            said[found.group(1).lower()] = found.group(2).lower()
        elif found:
            bus = _BUS.fullmatch(said.get("busid", ""))
            if bus and (said.get("section"), said.get("driver")) == ("device", "nvidia"):
                number, domain, device, function = (int(part or 0) for part in bus.groups())
                yield "%04x:%02x:%02x.%x" % (domain, number, device, function)
            said = {}
