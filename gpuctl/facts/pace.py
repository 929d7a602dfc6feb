"""Facts of a host that is looked at again and again: what takes long to look up is looked up less often."""

from __future__ import annotations

import time
from typing import Any, Dict, Iterable, Mapping

from gpuctl.facts.containerd.containerd import Containerd
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.clients import DockerClients
from gpuctl.facts.gather import gather
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.licence import Licence
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.job_runtimes import JobRuntimes
from gpuctl.facts.kubelet.kubelet import Kubelet
from gpuctl.facts.machine.disks import Disks
from gpuctl.facts.machine.identity import Identity
from gpuctl.facts.machine.isolation import Isolation
from gpuctl.facts.machine.next_boot import NextBoot
from gpuctl.facts.packages.automatic_upgrades import AutomaticUpgrades
from gpuctl.facts.packages.history import PackageHistory
from gpuctl.facts.packages.packages import Packages
from gpuctl.facts.podman import Podman
from gpuctl.facts.toolkit.settings import ToolkitSettings
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.reading import Host
from gpuctl.host.record.memory import RememberingHost

REST = 100.0
"""A subject rests so many times as long as its look took: a look never takes more than a hundredth of the time."""
SELDOM = (
    *(AutomaticUpgrades, Containerd, Crio, Disks, DockerClients, Identity, Isolation, Keeper, Kubelet, Licence),
    *(JobRuntimes, NextBoot, PackageHistory, Packages, Podman, Tegra, Toolkit, ToolkitSettings),
)
"""What changes by somebody's hand, a package manager's or a reboot, and takes many programs to look up."""
SELDOM_REST = 60.0
"""Seconds."""


@dataclass(frozen=True)
class TimedLook:
    """What a look at one subject gave, and when the next one is due, in seconds of the monotonic clock."""

    seen: Any
    due: float


def look_again(host: Host, subjects: Iterable[type], before: Mapping[type, TimedLook]) -> Dict[type, TimedLook]:
    """Returns the looks at all subjects; those that are due, or were never taken, are taken now, side by side."""
    now, memory = time.monotonic(), RememberingHost(host)
    due = [subject for subject in subjects if subject not in before or before[subject].due <= now]
    begun = {subject: begin(lambda subject=subject: _look(memory, subject)) for subject in due}  # type: ignore[misc]
    return {**before, **{subject: wait() for subject, wait in begun.items()}}


def _look(host: Host, subject: type) -> TimedLook:
    start = time.monotonic()
    seen = gather(host, (subject,)).found[subject]
    end = time.monotonic()
    return TimedLook(seen, end + max(REST * (end - start), SELDOM_REST if subject in SELDOM else 0.0))
