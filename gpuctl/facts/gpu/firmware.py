"""The firmware of the GPUs' system processor (GSP), which the driver loads into them when it starts them."""

from __future__ import annotations

from typing import Tuple

from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact

FOLDER = "/lib/firmware"
OWN_FOLDER = "/sys/module/firmware_class/parameters/path"
"""A folder that the kernel looks in before all others. Source:
https://docs.kernel.org/driver-api/firmware/fw_search_path.html"""


@dataclass(frozen=True)
class Firmware:
    """The releases of the driver whose firmware lies where the kernel looks for it."""

    releases: Fact[Tuple[str, ...]]


def probe_firmware(host: Host) -> Firmware:
    """Returns the names of the folders in which the module finds its firmware, each called after a release.

    Source: https://download.nvidia.com/XFree86/Linux-x86_64/580.65.06/README/gsp.html
    """
    own = host.read(OWN_FOLDER).text.strip()
    folders = [host.list("%s/nvidia" % folder) for folder in (own, FOLDER) if folder]
    first = next((one for one in folders if one.outcome is not Outcome.ABSENT), folders[-1])
    return Firmware(fact(first, lambda _: tuple(name for one in folders for name in one.text.split())))
