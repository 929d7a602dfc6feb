"""Every subject of which a host is asked: importing this loads the probes of all."""

from __future__ import annotations

from typing import Tuple

from gpuctl.facts.containerd.containerd import Containerd
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.clients import DockerClients
from gpuctl.facts.docker.containers import DockerContainers
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.gpu.devices import Devices
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.firmware import Firmware
from gpuctl.facts.gpu.keeper import Keeper
from gpuctl.facts.gpu.licence import Licence
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.gpu.tegra import Tegra
from gpuctl.facts.gpu.wsl import WslLibraries
from gpuctl.facts.gpu.xorg import Xorg
from gpuctl.facts.job_runtimes import JobRuntimes
from gpuctl.facts.kubelet.kubelet import Kubelet
from gpuctl.facts.machine.disks import Disks
from gpuctl.facts.machine.identity import Identity
from gpuctl.facts.machine.isolation import Isolation
from gpuctl.facts.machine.kernel import Kernel
from gpuctl.facts.machine.logs import Logs
from gpuctl.facts.machine.next_boot import NextBoot
from gpuctl.facts.machine.scopes import Scopes
from gpuctl.facts.machine.services import Services
from gpuctl.facts.machine.system import System
from gpuctl.facts.own.configuration import Configuration
from gpuctl.facts.own.journal import Changes
from gpuctl.facts.packages.automatic_upgrades import AutomaticUpgrades
from gpuctl.facts.packages.history import PackageHistory
from gpuctl.facts.packages.packages import Packages
from gpuctl.facts.podman import Podman
from gpuctl.facts.toolkit.settings import ToolkitSettings
from gpuctl.facts.toolkit.toolkit import Toolkit

EVERY_SUBJECT: Tuple[type, ...] = (
    System,
    Pci,
    Tegra,
    Kernel,
    Driver,
    Devices,
    Firmware,
    Keeper,
    Licence,
    WslLibraries,
    Xorg,
    Docker,
    Containerd,
    Podman,
    JobRuntimes,
    Crio,
    Toolkit,
    Packages,
    Changes,
    Configuration,
    DockerClients,
    DockerContainers,
    Isolation,
    Logs,
    Services,
    Scopes,
    ToolkitSettings,
    PackageHistory,
    AutomaticUpgrades,
    NextBoot,
    Disks,
    Kubelet,
    Identity,
)
"""Whoever wants all a host tells asks for these; the headline's are told by others of them as well."""
