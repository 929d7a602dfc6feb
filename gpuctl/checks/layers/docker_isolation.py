"""Does what isolates containers let the GPUs through?"""

from __future__ import annotations

from gpuctl.checks.engine import Judgement, check, passed, warned
from gpuctl.checks.engine_here import is_node
from gpuctl.checks.remedies import as_root
from gpuctl.command import command
from gpuctl.facts.containerd.containerd import Containerd
from gpuctl.facts.crio import Crio
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.kubelet.kubelet import Kubelet
from gpuctl.facts.machine.isolation import Isolation
from gpuctl.facts.machine.system import System
from gpuctl.facts.podman import Podman
from gpuctl.model import Remedy


@check("docker.selinux")
def selinux(
    system: System,
    docker: Docker,
    containerd: Containerd,
    crio: Crio,
    kubelet: Kubelet,
    podman: Podman,
    isolation: Isolation,
) -> Judgement | None:
    """SELinux keeps containers that it confines from the GPUs' device nodes: "Insufficient Permissions".

    Docker has it confine them where it was told so, Podman always. A node's pods, to which the GPU Operator opens the
    nodes, are another thing. Source: setsebool(8), container_use_devices;
    https://github.com/containers/container-selinux, container.te.
    """
    if not isolation.selinux.get():
        return passed("SELinux does not confine containers", isolation.selinux)
    daemon = docker.daemon.value
    by_podman = bool(podman.program.value) and not is_node(containerd, crio, kubelet)
    confined = by_podman or (daemon is not None and "name=selinux" in daemon.security_options)
    if not confined or isolation.use_devices.get():
        return passed("SELinux lets containers use devices", isolation.selinux, isolation.use_devices)
    text = "Let containers use devices, or give one of them --security-opt label=disable."
    remedy = Remedy(text, as_root(system, command("setsebool", "-P", "container_use_devices", "on")))
    message = "SELinux confines containers here, and does not let them use devices."
    return warned(message, isolation.selinux, isolation.use_devices, remedy=remedy)
