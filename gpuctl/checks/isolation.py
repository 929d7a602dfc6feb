"""Does what isolates containers let the GPUs through, and keep letting them through?"""

from __future__ import annotations

from gpuctl.checks.docker import daemon_of, gpus_by_cdi
from gpuctl.checks.engine import Said, check, passed, warned
from gpuctl.checks.remedies import as_root
from gpuctl.facts.devices import Devices
from gpuctl.facts.docker import Docker
from gpuctl.facts.isolation import Isolation
from gpuctl.facts.podman import Podman
from gpuctl.facts.system import System
from gpuctl.facts.toolkit import Toolkit
from gpuctl.model import Evidence, Remedy


@check("kernel.seccomp")
def seccomp(isolation: Isolation) -> Said | None:
    """The toolkit confines ldconfig with seccomp, and fails on a kernel that was built without it."""
    has = isolation.seccomp.get()
    if has is None:
        return None
    if has:
        return passed("The kernel has seccomp", isolation.seccomp)
    remedy = Remedy("Run a kernel with CONFIG_SECCOMP and CONFIG_SECCOMP_FILTER.")
    return warned("The kernel has no seccomp: the toolkit's ldconfig fails.", isolation.seccomp, remedy=remedy)


@check("docker.selinux")
def selinux(system: System, docker: Docker, podman: Podman, isolation: Isolation) -> Said | None:
    """SELinux keeps containers that it confines from the GPUs' device nodes: "Insufficient Permissions".

    Docker has it confine them where it was told so, Podman always. Source: setsebool(8), container_use_devices.
    """
    if not isolation.selinux.get():
        return passed("SELinux does not confine containers", isolation.selinux)
    daemon = docker.daemon.value
    confined = bool(podman.program.value) or (daemon is not None and "name=selinux" in daemon.security_options)
    if not confined or isolation.use_devices.get():
        return passed("SELinux lets containers use devices", isolation.selinux, isolation.use_devices)
    text = "Let containers use devices, or give one of them --security-opt label=disable."
    remedy = Remedy(text, as_root(system, "setsebool -P container_use_devices on"))
    message = "SELinux confines containers here, and does not let them use devices."
    return warned(message, isolation.selinux, isolation.use_devices, remedy=remedy)


@check("docker.daemon-reload")
def daemon_reload(system: System, docker: Docker, toolkit: Toolkit, devices: Devices) -> Said | None:
    """`systemctl daemon-reload` takes the GPUs from running containers where systemd manages the cgroups.

    It puts the devices of each unit in force anew, and knows only those with a link in /dev/char; what the hook has
    opened behind its back is closed. CDI needs no hook.
    Source: https://github.com/NVIDIA/nvidia-container-toolkit/issues/48
    """
    daemon = daemon_of(docker)
    nodes = devices.nodes.get() or ()
    if daemon is None or not nodes or gpus_by_cdi(docker, toolkit):
        return None
    driver = Evidence(docker.daemon.source, f"cgroup driver: {daemon.cgroup_driver}")
    if daemon.cgroup_driver != "systemd":
        return passed("A daemon-reload does not touch Docker's cgroups", driver)
    links = devices.numbered.get() or ()
    bare = [node for node in nodes if f"{node.major}:{node.minor}" not in links]
    if not bare:
        return passed("Every device node has its link in /dev/char", driver)
    text = "Make the links, and have udev make them at every boot (NVIDIA's issue 48 has the rule)."
    remedy = Remedy(text, as_root(system, "nvidia-ctk system create-dev-char-symlinks --create-all"))
    seen = Evidence(devices.numbered.source, f"no link for {', '.join(node.path for node in bare)}")
    message = "`systemctl daemon-reload` would take the GPUs from running containers."
    return warned(message, driver, seen, remedy=remedy)
