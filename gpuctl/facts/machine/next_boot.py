"""The kernel that the next boot takes, and whether it has NVIDIA's module."""

from __future__ import annotations

import re
from typing import Sequence, Tuple

from gpuctl.facts.machine.kernel import module_in_index
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact

MODULES, BOOT = "/lib/modules", "/boot"
IMAGES = ("vmlinuz", "vmlinux", "Image")


@dataclass(frozen=True)
class NextBoot:
    """`kernel` is the newest that is installed, which boot loaders take where nobody chose another."""

    kernel: Fact[str]
    """Its release; absent where no kernel is to be seen that could be booted."""
    module: Fact[str]
    """The nvidia module installed for it."""
    headers: Fact[str]
    """The directory of its headers, where a module is built."""


def probe_next_boot(host: Host) -> NextBoot:
    """Returns the newest kernel with its image, in /boot or beside its modules as in Fedora, and its module."""
    installed, boot = host.list(MODULES), host.list(BOOT).text.splitlines()
    if not installed.ok:
        unseen: Fact[str] = fact(installed, str)
        return NextBoot(unseen, unseen, unseen)
    bootable = [release for release in installed.text.splitlines() if _has_image(host, release, boot)]
    if not bootable:
        return NextBoot(Fact(None, BOOT), Fact(None, MODULES), Fact(None, MODULES))
    newest = max(bootable, key=by_release)
    folder = "%s/%s" % (MODULES, newest)
    index, headers = host.read(folder + "/modules.dep"), host.stat(folder + "/build")
    return NextBoot(Fact(newest, BOOT), fact(index, module_in_index), fact(headers, lambda _: headers.source))


def _has_image(host: Host, release: str, boot: Sequence[str]) -> bool:
    beside = host.stat("%s/%s/vmlinuz" % (MODULES, release)).outcome is Outcome.OK
    return beside or any("%s-%s" % (image, release) in boot for image in IMAGES)


def by_release(release: str) -> Tuple[int, ...]:
    """Returns by what kernels are sorted: the numbers in the release, one after the other.

    6.8.0-49-generic
    5.14.0-503.11.1.el9_5.x86_64
    """
    return tuple(map(int, re.findall(r"\d{1,9}", release)))
