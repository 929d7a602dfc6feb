"""Which machine this is: what Kubernetes says of its node, too, so that a report and a node can be told to be one."""

from __future__ import annotations

from gpuctl.facts.own.configuration import HOSTNAME
from gpuctl.facts.own.journal import BOOT_ID
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact

MACHINE_ID = "/etc/machine-id"


@dataclass(frozen=True)
class Identity:
    """A kubelet reports the same of its node (status.nodeInfo bootID and machineID)."""

    hostname: Fact[str]
    machine_id: Fact[str]
    """machine-id(5). Machines that were cloned without care share one."""
    boot_id: Fact[str]
    """The kernel's, another one after each boot: random(4)."""


def probe_identity(host: Host) -> Identity:
    """Returns the names of this machine."""
    hostname, machine, boot = (fact(host.read(path), str.strip) for path in (HOSTNAME, MACHINE_ID, BOOT_ID))
    return Identity(hostname, machine, boot)
