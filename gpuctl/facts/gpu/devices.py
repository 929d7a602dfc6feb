"""The device nodes through which programs reach the GPUs."""

from __future__ import annotations

from typing import Mapping, Optional, Tuple

from gpuctl.frozen import dataclass
from gpuctl.host.decode import whole
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.host.status import status_of
from gpuctl.model import Fact

NUMBERED = "/dev/char"


@dataclass(frozen=True)
class DeviceNode:
    """A character device below /dev. `mode` is the permission bits."""

    path: str
    mode: int
    uid: int
    gid: int
    major: int
    minor: int


@dataclass(frozen=True)
class Devices:
    """`majors` maps NVIDIA's names in /proc/devices (nvidia, nvidia-frontend, nvidia-uvm, …) to their majors."""

    nodes: Fact[Tuple[DeviceNode, ...]]
    majors: Fact[Mapping[str, int]]
    numbered: Fact[Tuple[str, ...]]
    """The names in /dev/char, "195:255": a link for each device that udev was told of."""


def probe_devices(host: Host) -> Devices:
    """Returns NVIDIA's device nodes, those of MIG capabilities included, in the order of their names."""
    listing = host.list("/dev")
    names = [name for name in listing.text.splitlines() if name.startswith("nvidia")]
    caps = ["nvidia-caps/" + name for name in host.list("/dev/nvidia-caps").text.splitlines()]
    stats = [host.stat("/dev/" + name) for name in names + caps]
    unread = [reading for reading in stats if reading.outcome not in (Outcome.OK, Outcome.ABSENT)]
    nodes = fact(unread[0] if unread else listing, lambda _: tuple(filter(None, map(_node, stats))))
    numbered = fact(host.list(NUMBERED), lambda text: tuple(text.splitlines()))
    return Devices(nodes, fact(host.read("/proc/devices"), parse_majors), numbered)


def _node(reading: Reading) -> Optional[DeviceNode]:
    seen = status_of(reading)
    if seen is None or seen.kind != "char":
        return None
    return DeviceNode(reading.source, seen.mode, seen.uid, seen.gid, seen.major, seen.minor)


def parse_majors(text: str) -> Mapping[str, int]:
    """Returns NVIDIA's character device majors by name, of /proc/devices.

    Character devices:
      1 mem
    195 nvidia-frontend
    234 nvidia-uvm

    Block devices:
      7 loop
    """
    lines = [line.split() for line in text.partition("Block devices:")[0].splitlines()]
    return {words[1]: whole(words[0]) for words in lines if len(words) == 2 and words[1].startswith("nvidia")}
