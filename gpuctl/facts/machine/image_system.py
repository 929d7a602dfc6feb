"""Whether the operating system is an image that comes as a whole: its package manager, if it has one, changes nothing.

Each kind has a row in data/keepers.jsonl.
"""

from __future__ import annotations

from typing import Mapping, Optional

from gpuctl.facts.machine.distribution import probe_distribution
from gpuctl.facts.machine.kernel import OSRELEASE
from gpuctl.frozen import dataclass
from gpuctl.host.decode import parse_object, text_in
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

OSTREE = "/run/ostree-booted"
"""There where the root is a deployment of ostree's: ostree-prepare-root(1)."""
IMAGE_INFO = "/usr/share/ublue-os/image-info.json"
"""What an image of Universal Blue's, or one that is made of such, says of itself."""
_FILES: Mapping[str, str] = {
    "/etc/unraid-version": "unraid",
    IMAGE_INFO: "universal-blue",
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


_REFERENCE = regex(r"ostree-[a-z-]{1,40}:[a-z]{1,20}(?::|://)([a-z0-9.-]{1,100}(?:/[a-z0-9._-]{1,100}){1,5})")
_TAG = regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class ImageInfo:
    """`reference` is the address as rpm-ostree takes it, without its tag: ostree-image-signed:docker://ghcr.io/x/y."""

    reference: str
    tag: str


def probe_image_info(host: Host) -> Fact[ImageInfo]:
    """Returns from which image the system is, where that says so in Universal Blue's way."""
    return fact(host.read(IMAGE_INFO), parse_image_info)


def parse_image_info(text: str) -> Optional[ImageInfo]:
    """Returns the image; None where its address or its tag is none. Raises ValueError where the text is no object.

    {"image-name": "bluefin", "image-ref": "ostree-image-signed:docker://ghcr.io/ublue-os/bluefin", "image-tag": "gts"}
    """
    found = parse_object(text)
    reference, tag = text_in(found, "image-ref") or "", text_in(found, "image-tag") or ""
    return ImageInfo(reference, tag) if _REFERENCE.fullmatch(reference) and _TAG.fullmatch(tag) else None


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
