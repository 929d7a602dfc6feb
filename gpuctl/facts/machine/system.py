"""The operating system: distribution, kernel release, and what kind of machine this is."""

from __future__ import annotations

from typing import Mapping, Optional, Tuple

from gpuctl.facts.machine.distribution import Distribution, probe_distribution
from gpuctl.facts.machine.image_system import probe_image_system
from gpuctl.facts.machine.kernel import OSRELEASE
from gpuctl.facts.machine.kind import probe_machine
from gpuctl.facts.machine.systemd import BOOTED
from gpuctl.frozen import dataclass
from gpuctl.host.look.deadline import begin
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact

ARCHITECTURE = "/proc/sys/kernel/arch"
FAMILIES: Mapping[str, Tuple[str, ...]] = {
    "debian": ("apt",),
    "ubuntu": ("apt",),
    "fedora": ("dnf", "yum"),
    "rhel": ("dnf", "yum"),
    "centos": ("dnf", "yum"),
    "ol": ("dnf", "yum"),
    "rocky": ("dnf", "yum"),
    "almalinux": ("dnf", "yum"),
    "amzn": ("dnf", "yum"),
    "azurelinux": ("dnf",),
    "mariner": ("dnf",),
    "openEuler": ("dnf",),
    "suse": ("zypper",),
    "sles": ("zypper",),
    "opensuse-leap": ("zypper",),
    "opensuse-tumbleweed": ("zypper",),
    "arch": ("pacman",),
    "alpine": ("apk",),
}
"""The package managers of a distribution and its relatives. Other systems' programs may be there too, unused."""
MANAGERS: Mapping[str, str] = {
    "apt": "apt-get",
    "dnf": "dnf",
    "yum": "yum",
    "zypper": "zypper",
    "pacman": "pacman",
    "apk": "apk",
}
"""Each package manager with the program that shows that it is there."""

OF_IMAGES: Mapping[str, str] = {
    "ostree": "rpm-ostree",
    "universal-blue": "rpm-ostree",
    "microos": "transactional-update",
}
"""What puts packages onto a system that comes as an image. What lies on PATH for packages changes nothing there."""

DOCKER_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le"}
"""Docker's names of processor architectures, by the kernel's (uname -m)."""


@dataclass(frozen=True)
class System:
    """`machine` is one of bare-metal, vm, container, wsl1, wsl2; `machine_detail` names it (kvm, docker, …)."""

    distribution: Fact[Distribution]
    package_manager: Fact[str]
    """apt, dnf, yum, zypper, pacman or apk; of an image rpm-ostree, transactional-update or none."""
    image: Fact[str]
    """Which kind of image the system is; absent where it is made of packages."""
    kernel: Fact[str]
    """The running kernel's release, as uname -r says it."""
    architecture: Fact[str]
    machine: Fact[str]
    machine_detail: Fact[str]
    systemd: Fact[bool]
    """Whether it runs the services here."""
    euid: Fact[int]


def probe_system(host: Host) -> System:
    """Returns what the operating system says of itself."""
    machine = begin(lambda: probe_machine(host))
    distribution = probe_distribution(host)
    architecture = probe_architecture(host)
    kind, detail = machine()
    return System(
        distribution=distribution,
        package_manager=_package_manager(host, distribution.value),
        image=probe_image_system(host),
        kernel=fact(host.read(OSRELEASE), str.strip),
        architecture=architecture,
        machine=kind,
        machine_detail=detail,
        systemd=_systemd(host),
        euid=fact(host.env("euid"), int),
    )


def probe_architecture(host: Host) -> Fact[str]:
    """Returns the processor's architecture alone, as uname -m says it."""
    architecture = host.read(ARCHITECTURE)
    if not architecture.ok:  # Linux before 6.1
        architecture = host.run(("uname", "-m"))
    return fact(architecture, str.strip)


def probe_package_manager(host: Host) -> Fact[str]:
    """Returns the package manager alone: apt, dnf, yum, zypper, pacman or apk."""
    return _package_manager(host, probe_distribution(host).value)


def _systemd(host: Host) -> Fact[bool]:
    seen = host.stat(BOOTED)
    return Fact(False, BOOTED) if seen.outcome is Outcome.ABSENT else fact(seen, lambda _: True)


def _package_manager(host: Host, distribution: Optional[Distribution]) -> Fact[str]:
    image = probe_image_system(host)
    if image.value:
        return Fact(OF_IMAGES.get(image.value), image.source)
    relatives = (distribution.id, *distribution.like) if distribution else ()
    usual = [manager for family in relatives for manager in FAMILIES.get(family, ())]
    for manager in [*usual, *MANAGERS]:
        program = host.which(MANAGERS[manager])
        if program.ok:
            return Fact(manager, program.text)
    return Fact(None, "PATH")
