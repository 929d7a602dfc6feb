"""Whether the operating system is an image that comes as a whole: its package manager, if it has one, changes nothing.

Each kind has a row in data/keepers.jsonl.
"""

from __future__ import annotations

from typing import Mapping, Optional

from gpuctl.facts.machine.kernel import OSRELEASE
from gpuctl.host.look.reading import Host, Outcome
from gpuctl.model import Fact

OSTREE = "/run/ostree-booted"
"""There where the root is a deployment of ostree's: ostree-prepare-root(1)."""
_OS_RELEASE = ("/etc/os-release", "/usr/lib/os-release")
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
    release = next((one for one in map(host.read, _OS_RELEASE) if one.outcome is not Outcome.ABSENT), None)
    kind_of = image_in_os_release(release.text) if release else None
    if kind_of and release:
        return Fact(kind_of, release.source)
    return Fact("ostree", OSTREE) if host.stat(OSTREE).ok else Fact(None, OSTREE)


def image_in_os_release(text: str) -> Optional[str]:
    """Returns the kind of image that os-release(5) names by its ID, None for a system of packages.

    NAME="Flatcar Container Linux by Kinvolk"
    ID=flatcar
    """
    lines = (line.partition("=") for line in text.splitlines())
    return next((_IDS.get(value.strip("\"' ")) for name, _, value in lines if name.strip() == "ID"), None)
