"""GPUs on the PCI bus, seen in sysfs: there without any driver."""

from __future__ import annotations

from typing import Any, Optional, Tuple

from gpuctl.facts.gpu.switched_off import probe_switched_off
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, Reading, fact
from gpuctl.model import Fact

DEVICES = "/sys/bus/pci/devices"
NVIDIA = "10de"
DISPLAY_CLASSES = ("0300", "0302", "0380")
"""VGA controller, 3D controller (GPUs without a display output), other display controller."""
BRIDGE_CLASS = "0680"
"""Other bridge: the class of NVSwitch up to the third generation (HGX A100, HGX H100)."""
TEGRA = "/etc/nv_tegra_release"
"""There on Jetson modules: NVIDIA Jetson Linux Developer Guide."""


@dataclass(frozen=True)
class PciGpu:
    """A display-class function (0300, 0302, 0380) on the bus. `driver` is the kernel driver bound to it, if any."""

    address: str
    """Lower case with domain: 0000:3b:00.0."""
    vendor: str
    """Four hexadecimal digits: 10de is NVIDIA."""
    device: str
    device_class: str
    driver: Optional[str]


@dataclass(frozen=True)
class Pci:
    """`gpus` holds NVIDIA's display-class functions, `others` the other vendors', `switches` where NVSwitches are."""

    gpus: Fact[Tuple[PciGpu, ...]]
    others: Fact[Tuple[PciGpu, ...]]
    switches: Fact[Tuple[str, ...]]
    tegra: Fact[str]
    """The release of Jetson Linux; absent on all other machines. A Tegra's GPU is on no bus."""
    switched_off: Fact[str]
    """The program that has taken NVIDIA's GPU from the bus, or keeps its driver away, to save power."""


def probe_pci(host: Host) -> Pci:
    """Returns the display-class functions; absent on a machine without PCI, unknown where sysfs cannot be read."""
    listing, tegra, off = host.list(DEVICES), fact(host.read(TEGRA), str.strip), probe_switched_off(host)
    if listing.outcome is Outcome.ABSENT and host.list("/sys/bus").outcome is Outcome.ABSENT:
        listing = Reading(DEVICES, Outcome.ERROR, detail="sysfs is not mounted")
    classes = {address: host.read("%s/%s/class" % (DEVICES, address)) for address in listing.text.split()}
    unread = [reading for reading in classes.values() if reading.outcome not in (Outcome.OK, Outcome.ABSENT)]
    displays = [address for address, reading in classes.items() if parse_id(reading.text) in DISPLAY_CLASSES]
    found = fact(unread[0] if unread else listing, lambda _: [_gpu(host, address) for address in displays])
    if found.value is None:
        gone: Fact[Any] = Fact(None, found.source, found.unknown)
        return Pci(gone, gone, gone, tegra, off)
    gpus = tuple(gpu for gpu in found.value if gpu.vendor == NVIDIA)
    others = tuple(gpu for gpu in found.value if gpu.vendor != NVIDIA)
    bridges = [address for address, reading in classes.items() if parse_id(reading.text) == BRIDGE_CLASS]
    switches = tuple(one for one in bridges if parse_id(host.read("%s/%s/vendor" % (DEVICES, one)).text) == NVIDIA)
    return Pci(Fact(gpus, DEVICES), Fact(others, DEVICES), Fact(switches, DEVICES), tegra, off)


def _gpu(host: Host, address: str) -> PciGpu:
    folder = "%s/%s/" % (DEVICES, address)
    vendor, device, device_class = (parse_id(host.read(folder + name).text) for name in ("vendor", "device", "class"))
    driver = host.link(folder + "driver").text.rpartition("/")[2]
    return PciGpu(address, vendor, device, device_class, driver or None)


def parse_id(text: str) -> str:
    """Returns the first four hexadecimal digits of a sysfs attribute.

    vendor   0x10de
    class    0x030200
    """
    return text.strip()[2:6].lower()
