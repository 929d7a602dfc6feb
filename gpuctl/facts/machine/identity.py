"""Which machine this is: what Kubernetes says of its node, too, so that a report and a node can be told to be one."""

from __future__ import annotations

from gpuctl.facts.own.configuration import HOSTNAME
from gpuctl.facts.own.journal import BOOT_ID
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact


@dataclass(frozen=True)
class Identity:
    """A kubelet reports of its node the same boot id, and the id of which `machine_id` is made (status.nodeInfo)."""

    hostname: Fact[str]
    machine_id: Fact[str]
    """As gpuctl alone knows it: gpuctl.host.machine_id. Machines that were cloned without care share one."""
    boot_id: Fact[str]
    """The kernel's, another one after each boot: random(4)."""


def probe_identity(host: Host) -> Identity:
    """Returns the names of this machine."""
    hostname, boot = (fact(host.read(path), str.strip) for path in (HOSTNAME, BOOT_ID))
    return Identity(hostname, fact(host.env("machine_id"), str), boot)
