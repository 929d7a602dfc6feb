"""Does what isolates containers let the GPUs through?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.engine_here import is_engine, within_container
from gpuctl.checks.paths.node import PodEngines
from gpuctl.checks.remedies import as_root
from gpuctl.command import Shell, command
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.job_runtimes import JobRuntimes
from gpuctl.facts.machine.isolation import Isolation
from gpuctl.facts.machine.system import System
from gpuctl.facts.podman import Podman
from gpuctl.model import Evidence, Fact, Remedy

_MOST, _USERS_MAY = "user.max_user_namespaces = 15000", "kernel.unprivileged_userns_clone = 1"


@check("docker.selinux")
def selinux(
    system: System, docker: Docker, engines: PodEngines, podman: Podman, isolation: Isolation
) -> Judgement | None:
    """SELinux keeps containers that it confines from the GPUs' device nodes: "Insufficient Permissions".

    Docker has it confine them where it was told so, Podman always. A node's pods, to which the GPU Operator opens the
    nodes, are another thing. Source: setsebool(8), container_use_devices;
    https://github.com/containers/container-selinux, container.te.
    """
    if not isolation.selinux.get():
        return passed("SELinux does not confine containers", isolation.selinux)
    daemon = docker.daemon.value
    by_podman = bool(podman.program.value) and not engines.run_pods
    confined = by_podman or (daemon is not None and "name=selinux" in daemon.security_options)
    if not confined or isolation.use_devices.get():
        return passed("SELinux lets containers use devices", isolation.selinux, isolation.use_devices)
    text = "Let containers use devices, or give one of them --security-opt label=disable."
    remedy = Remedy(text, as_root(system, command("setsebool", "-P", "container_use_devices", "on")))
    message = "SELinux confines containers here, and does not let them use devices."
    return warned(message, isolation.selinux, isolation.use_devices, remedy=remedy)


@check("docker.user-namespaces")
def user_namespaces(
    system: System,
    docker: Docker,
    engines: PodEngines,
    podman: Podman,
    jobs: JobRuntimes,
    isolation: Isolation,
) -> Judgement | None:
    """enroot, Apptainer without setuid, Charliecloud and a person's Podman each begin by making a user namespace.

    Hardening sets their number to 0, Debian's kernels can keep them for root, and Ubuntu 23.10 and later give them to
    programs with a profile of AppArmor's alone.
    Source: https://github.com/NVIDIA/enroot/issues/201, https://github.com/apptainer/apptainer/issues/2027,
    https://apptainer.org/docs/admin/latest/user_namespace.html
    """
    apart = is_engine(docker) or engines.run_pods
    own_podman = bool(podman.program.value) and not apart and system.euid.value != 0
    needing = [name for name in jobs.programs.value or () if name not in (jobs.setuid.value or ())]
    needing += ["podman"] if own_podman else []
    if not needing or within_container(system) or isolation.most_namespaces.value is None:
        return None
    closed = _closed(system, isolation, needing)
    if closed is None:
        return passed(f"{' and '.join(needing)} may make user namespaces", isolation.most_namespaces)
    message, seen, remedy = closed
    complain = warned if apart or (podman.program.value and not own_podman) else failed
    return complain(message, seen, remedy=remedy)


def _closed(
    system: System, isolation: Isolation, needing: Sequence[str]
) -> tuple[str, Fact[Any] | Evidence, Remedy] | None:
    """What keeps these programs from a user namespace, with what shows it and what mends it."""
    names = " and ".join(needing)
    if isolation.most_namespaces.value == 0:
        message = f"This host lets nobody make user namespaces: {names} cannot start."
        return message, isolation.most_namespaces, _switch(system, _MOST)
    if isolation.users_may.value is False:
        message = f"This host keeps user namespaces for root: {names} cannot start."
        return message, isolation.users_may, _switch(system, _USERS_MAY)
    profiles = isolation.profiles.value
    bare = [] if profiles is None else [name for name in needing if not any(name in one for one in profiles)]
    if not bare:
        return None
    file = f"/etc/apparmor.d/{bare[0]}"
    text = (
        f"Give it one, which needs no more than: abi <abi/4.0>, profile {bare[0]} /usr/bin/{bare[0]}*"
        " flags=(unconfined) { userns, }"
    )
    commands = (command(Shell.EDITOR, file), *as_root(system, command("apparmor_parser", "-r", file)))
    message = f"AppArmor lets only programs with a profile make user namespaces, and {bare[0]} has none."
    return message, Evidence(isolation.profiles.source, f"nothing of {bare[0]}"), Remedy(text, commands)


def _switch(system: System, setting: str) -> Remedy:
    keep = command("echo", setting, Shell.PIPE, Shell.SUDO, "tee", "/etc/sysctl.d/90-user-namespaces.conf")
    text = "Let users make them, unless a rule of this site forbids it; then an engine of root's is left."
    return Remedy(text, as_root(system, keep, command("sysctl", "--system")))
