"""Do the toolkit's settings and its release fit this host and its engine?"""

from __future__ import annotations

from gpuctl.checks.engine import Judgement, check, failed, passed, warned
from gpuctl.checks.layers.docker import GPUS_FLAG_SINCE, at_least, gpus_by_cdi
from gpuctl.checks.remedies import as_root, install
from gpuctl.command import command
from gpuctl.compat.knowledge.errors.faults import faults_of
from gpuctl.compat.versions import compare, leading
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.machine.isolation import Isolation
from gpuctl.facts.machine.system import System
from gpuctl.facts.toolkit.settings import Settings, ToolkitSettings
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.model import Disturbs, Evidence, Remedy

CGROUP_V2_SINCE = "1.8.0"
"""libnvidia-container knows cgroup v2 from here on: https://github.com/NVIDIA/k8s-device-plugin/issues/273."""

_CLI = "nvidia-container-cli"


def _set(system: System, text: str, name: str, value: str) -> Remedy:
    setting = command("nvidia-ctk", "config", "--set", f"{name}={value}", "--in-place")
    return Remedy(text, as_root(system, setting), Disturbs.NEW_CONTAINERS)


@check("toolkit.ldconfig")
def ldconfig(system: System, found: ToolkitSettings) -> Judgement | None:
    """The toolkit runs the host's ldconfig (@) in each container: ldconfig.real on Ubuntu, ldconfig elsewhere.

    Source: https://github.com/NVIDIA/nvidia-docker/issues/1399
    """
    settings = found.settings.get()
    if settings is None or settings.ldconfig is None:
        return passed("The toolkit looks for ldconfig by itself", found.settings)
    seen = Evidence(found.settings.source, f"ldconfig = {'@' * settings.ldconfig_of_host}{settings.ldconfig}")
    proper = found.proper_ldconfig.value or "/sbin/ldconfig"
    remedy = _set(system, "Name this host's own.", f"{_CLI}.ldconfig", f"@{proper}")
    if not settings.ldconfig_of_host:
        return warned(f"The toolkit runs {settings.ldconfig} of the image, not of the host.", seen, remedy=remedy)
    if found.ldconfig.get() is None:
        message = f"The toolkit is told to run {settings.ldconfig}, which is not there."
        return failed(message, seen, found.ldconfig, remedy=remedy)
    return passed(f"The toolkit runs {settings.ldconfig}", seen)


@check("toolkit.no-cgroups")
def no_cgroups(system: System, docker: Docker, toolkit: Toolkit, found: ToolkitSettings) -> Judgement | None:
    """Legacy mode opens the GPUs in the container's device cgroup, which root's engine needs and another may not.

    no-cgroups is for rootless engines and for those inside of an unprivileged LXC container. Where it is set for root's
    engine, NVML fails with "Unknown Error"; where it is missing, bpf_prog_query is not permitted.
    """
    kind, settings = docker.kind.value, found.settings.get() or Settings(None, False, False, None, "auto")
    if kind not in ("engine", "rootless", "snap") or gpus_by_cdi(docker, toolkit):
        return None
    wanted = wants_no_cgroups(system, docker)
    seen = Evidence(found.settings.source, f"no-cgroups = {str(settings.no_cgroups).lower()}")
    if settings.no_cgroups == wanted:
        return passed(f"no-cgroups is {'on' if wanted else 'off'}, as a {kind} Docker needs it", seen, docker.kind)
    if wanted and kind != "rootless":
        remedy = _set(system, "Leave the cgroups alone.", f"{_CLI}.no-cgroups", "true")
        return warned("Docker runs inside of LXC, which may not let it change device cgroups.", seen, remedy=remedy)
    if wanted:
        remedy = _set(system, "Leave the cgroups alone.", f"{_CLI}.no-cgroups", "true")
        return failed("Docker is rootless, and no-cgroups is off: the hook fails.", seen, docker.kind, remedy=remedy)
    remedy = _set(system, "Have the GPUs opened again.", f"{_CLI}.no-cgroups", "false")
    return failed("no-cgroups is on: containers of this Docker may not open the GPUs.", seen, remedy=remedy)


def wants_no_cgroups(system: System, docker: Docker) -> bool:
    """Returns whether this engine may not change the cgroups of its containers, so that the toolkit must not try."""
    return docker.kind.value == "rootless" or system.machine_detail.value in ("lxc", "lxc-libvirt")


@check("toolkit.driver-root")
def driver_root(system: System, found: ToolkitSettings) -> Judgement | None:
    """`root` in config.toml names where the driver lies: / on a host, /run/nvidia/driver with the GPU Operator's."""
    settings = found.settings.get()
    if settings is None or settings.root in (None, "/"):
        return passed("The toolkit takes the driver from this host", found.settings)
    seen = Evidence(found.settings.source, f"root = {settings.root}")
    if found.root.get():
        return passed(f"The toolkit takes the driver from {settings.root}", seen)
    remedy = _set(system, "Take the driver of the host.", f"{_CLI}.root", "/")
    return failed(f"The toolkit looks for the driver in {settings.root}, which is not there.", seen, remedy=remedy)


@check("toolkit.hook-mode")
def hook_mode(system: System, docker: Docker, toolkit: Toolkit, found: ToolkitSettings) -> Judgement | None:
    """In the mode cdi the hook refuses to be called for --gpus: "invoking the Hook directly is not supported"."""
    daemon, settings = docker.daemon.value, found.settings.get()
    if daemon is None or not at_least(daemon, GPUS_FLAG_SINCE) or gpus_by_cdi(docker, toolkit):
        return None
    mode = settings.mode if settings else "auto"
    seen = Evidence(found.settings.source, f"mode = {mode}")
    if mode != "cdi":
        return passed(f"The toolkit's mode {mode} takes --gpus", seen)
    text = "Use --runtime=nvidia or --device nvidia.com/gpu=all, or have the toolkit choose the mode."
    remedy = _set(system, text, "nvidia-container-runtime.mode", "auto")
    return warned("The toolkit's mode is cdi, in which the hook refuses --gpus.", seen, remedy=remedy)


@check("toolkit.cgroup-v2")
def cgroup_v2(system: System, isolation: Isolation, toolkit: Toolkit, found: ToolkitSettings) -> Judgement | None:
    """libnvidia-container before 1.8.0 does not know cgroup v2: "cgroup subsystem devices not found"."""
    cli = toolkit.cli.get()
    version = leading(cli.version) if cli else ""
    if not version:
        return None
    if not isolation.cgroup_v2.get():
        return passed("This host has cgroup v1, which every toolkit knows", isolation.cgroup_v2)
    settings = found.settings.value
    if compare(version, CGROUP_V2_SINCE) >= 0 or (settings and settings.no_cgroups):
        return passed(f"libnvidia-container {version} knows cgroup v2", isolation.cgroup_v2)
    remedy = install("toolkit", "Upgrade the toolkit.", system, Disturbs.NOTHING)
    message = f"libnvidia-container {version} does not know this host's cgroup v2: every GPU container fails."
    seen = Evidence(toolkit.cli.source, f"version {version}")
    return failed(message, seen, isolation.cgroup_v2, remedy=remedy)


@check("toolkit.release-faults")
def release_faults(system: System, toolkit: Toolkit) -> Judgement | None:
    """Some releases of the toolkit have a fault that stops containers, which a later one has not any more."""
    ctk = toolkit.ctk.get() or toolkit.cli.get()
    version = leading(ctk.version) if ctk else ""
    if not version:
        return None
    faults = faults_of(version)
    if not faults:
        return passed(f"No known fault in toolkit {version}", Evidence(toolkit.ctk.source, version))
    newest = faults[-1]
    remedy = install("toolkit", f"Upgrade the toolkit to {newest.fixed} or later.", system, Disturbs.NOTHING)
    seen = (Evidence(fault.source, fault.text) for fault in faults)
    return warned(f"Toolkit {version} has a fault: {newest.text}.", *seen, remedy=remedy)
