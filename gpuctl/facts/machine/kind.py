"""What kind of machine this is: bare metal, a virtual machine, a container, or Windows' Subsystem for Linux."""

from __future__ import annotations

from typing import Optional, Tuple

from gpuctl.facts.machine.kernel import OSRELEASE
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact

Machine = Tuple[Fact[str], Fact[str]]
"""The kind and its name."""

CONTAINERS = frozenset(
    ("openvz", "lxc", "lxc-libvirt", "systemd-nspawn", "docker", "podman", "rkt", "proot", "pouch", "container-other")
)
"""What `systemd-detect-virt` calls containers (its manual), but for wsl; all its other names are virtual machines."""
POD = "kubernetes"
SIGNS = {"/.dockerenv": "docker", "/run/.containerenv": "podman", "/var/run/secrets/kubernetes.io": POD}
"""What an engine puts into its containers; containerd puts nothing into a pod, and Kubernetes its account."""
SERVICE = "KUBERNETES_SERVICE_HOST"
"""A variable in all containers of a pod: https://kubernetes.io/docs/concepts/services-networking/service/."""
VENDORS = {
    "qemu": "qemu",
    "vmware": "vmware",
    "innotek": "virtualbox",
    "xen": "xen",
    "microsoft corporation virtual machine": "hyper-v",
    "google compute engine": "google",
    "amazon ec2": "amazon",
    "openstack": "openstack",
    "parallels": "parallels",
    "digitalocean": "digitalocean",
}
"""How the firmware of virtual machines calls itself (vendor and product, lower case), and whose they are."""


def probe_machine(host: Host) -> Machine:
    """Returns the innermost that can be seen: a container on WSL in a virtual machine is a container."""
    return _container(host) or _wsl(host) or _by_systemd(host) or _by_hardware(host)


def _is(kind: str, source: str, detail: Optional[str] = None) -> Machine:
    return Fact(kind, source), Fact(detail or None, source)


def _container(host: Host) -> Optional[Machine]:
    for path, name in SIGNS.items():
        if host.stat(path).ok:
            return _is("container", path, name)
    written = host.read("/run/systemd/container")
    if written.ok and written.text.strip() != "wsl":
        return _is("container", written.source, written.text.strip())
    environment = host.read("/proc/1/environ")
    pod = POD if parse_environ(environment.text, SERVICE) else ""
    name = parse_environ(environment.text, "container") or pod
    return _is("container", environment.source, name) if name not in ("", "wsl") else None


def parse_environ(text: str, name: str) -> Optional[str]:
    r"""Returns one variable of /proc/PID/environ.

    HOME=/\0container=lxc\0TERM=linux\0
    """
    values = (entry.partition("=")[2] for entry in text.split("\0") if entry.startswith(name + "="))
    return next(values, None)


def _wsl(host: Host) -> Optional[Machine]:
    release = host.read(OSRELEASE)
    if "microsoft" not in release.text.lower():
        return None
    if host.stat("/dev/dxg").ok:
        return _is("wsl2", "/dev/dxg")
    return _is(parse_wsl(release.text), release.source)


def parse_wsl(release: str) -> str:
    """Returns wsl1 or wsl2, of the kernel release that Microsoft gives it.

    5.15.167.4-microsoft-standard-WSL2
    4.4.0-19041-Microsoft
    """
    return "wsl2" if "WSL2" in release or "microsoft-standard" in release else "wsl1"


def _by_systemd(host: Host) -> Optional[Machine]:
    said = host.run(("systemd-detect-virt",))
    name = said.text.strip()
    if said.outcome is not Outcome.OK or not name:
        return None
    if name == "none":
        return _is("bare-metal", said.source)
    if name == "wsl":  # with a kernel of the user's own, which only WSL 2 runs
        return _is("wsl2", said.source)
    return _is("container" if name in CONTAINERS else "vm", said.source, name)


def _by_hardware(host: Host) -> Machine:
    names = [host.read("/sys/class/dmi/id/" + field) for field in ("sys_vendor", "product_name")]
    maker = parse_vendor(" ".join(name.text.strip() for name in names))
    cpu = host.read("/proc/cpuinfo")
    if maker:
        return _is("vm", names[0].source, maker)
    kind = fact(cpu, lambda text: "vm" if has_hypervisor_flag(text) else "bare-metal")
    return kind, Fact(None, kind.source)


def parse_vendor(vendor_and_product: str) -> Optional[str]:
    """Returns whose virtual machine this is by its firmware, None for a real machine's.

    QEMU Standard PC (Q35 + ICH9, 2009)
    Microsoft Corporation Virtual Machine
    Amazon EC2 g4dn.metal
    """
    words = vendor_and_product.lower()
    if words.endswith(".metal"):
        return None
    return next((name for sign, name in VENDORS.items() if sign in words), None)


def has_hypervisor_flag(cpuinfo: str) -> bool:
    """Returns whether the first processor of /proc/cpuinfo says that it is a virtual one (x86 only).

    flags           : fpu vme de pse hypervisor lahf_lm
    """
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "")
    return "hypervisor" in flags.split()
