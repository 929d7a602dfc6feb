"""Whether the operating system is an image that comes as a whole: its package manager, if it has one, changes nothing.

Each kind has a row in data/keepers.jsonl.
"""

from __future__ import annotations

from typing import Mapping

from gpuctl.facts.machine.distribution import probe_distribution
from gpuctl.facts.machine.kernel import OSRELEASE
from gpuctl.host.look.reading import Host
from gpuctl.model import Fact

OSTREE = "/run/ostree-booted"
"""There where the root is a deployment of ostree's: ostree-prepare-root(1)."""
_FILES: Mapping[str, str] = {
    "/etc/unraid-version": "unraid",
    "/usr/share/ublue-os/image-info.json": "universal-blue",
    "/usr/bin/midclt": "truenas",
}
_IDS: Mapping[str, str] = {
    "talos": "talos",
    "bottlerocket": "bottlerocket",
    "flatcar": "flatcar",
    "cos": "cos",
    "chromeos": "chromeos",
    "chromiumos": "chromeos",
    "opensuse-microos": "microos",
    "opensuse-leap-micro": "microos",
    "opensuse-aeon": "microos",
    "opensuse-kalpa": "microos",
    "sle-micro": "microos",
    "sl-micro": "microos",
    "suse-microos": "microos",
    "endless": "endless",
    "steamos": "steamos",
    "haos": "home-assistant",
    "nixos": "nixos",
    "bazzite": "universal-blue",
    "bluefin": "universal-blue",
    "aurora": "universal-blue",
}
"""Kinds by os-release's ID."""


def probe_image_system(host: Host) -> Fact[str]:
    """Returns which kind of image the system is, absent where it is none."""
    for path, kind in _FILES.items():
        if host.stat(path).ok:
            return Fact(kind, path)
    kernel = host.read(OSRELEASE)
    if "truenas" in kernel.text.lower():
        return Fact("truenas", kernel.source)
    distribution = probe_distribution(host)
    named = _IDS.get(distribution.value.id) if distribution.value else None
    if named:
        return Fact(named, distribution.source)
    return Fact("ostree", OSTREE) if host.stat(OSTREE).ok else Fact(None, OSTREE)
