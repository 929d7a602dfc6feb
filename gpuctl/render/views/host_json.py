"""A host as JSON."""

from __future__ import annotations

from typing import Any

from gpuctl.facts.gather import Facts
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.headline import DockerMet, DriverVersion
from gpuctl.facts.kubelet.kubelet import Kubelet
from gpuctl.facts.machine.identity import Identity
from gpuctl.facts.machine.system import System
from gpuctl.render.views.host import SUMMARY

SUBJECTS = (*SUMMARY, Identity)
"""What has to be gathered."""


def host_json(facts: Facts) -> dict[str, Any]:
    """Returns the facts that place a report: null where absent or unknown."""
    system, pci = facts.get(System), facts.get(Pci)
    distribution = system.distribution.value if system else None
    driver, docker = facts.get(DriverVersion), facts.get(DockerMet)
    identity, nvml, keeper = facts.get(Identity), facts.get(Driver), facts.get(Keeper)
    kubelet = facts.get(Kubelet)
    return {
        "distribution": distribution.title if distribution else None,
        "kernel": system.kernel.value if system else None,
        "machine": system.machine.value if system else None,
        "gpus": len(pci.gpus.value or ()) if pci and pci.gpus.unknown is None else None,
        "driver": driver.version.value if driver else None,
        "docker": docker.version if docker else None,
        "gpus_healthy": kubelet.checkpoint.value.healthy if kubelet and kubelet.checkpoint.value else None,
        "hostname": identity.hostname.value if identity else None,
        "machine_id": identity.machine_id.value if identity else None,
        "boot_id": identity.boot_id.value if identity else None,
        "driver_kept_by": keeper.driver.value if keeper else None,
        "gpus_in_nvml": len([gpu for gpu in nvml.gpus.value if not gpu.error])
        if nvml and nvml.gpus.value is not None
        else None,
    }
