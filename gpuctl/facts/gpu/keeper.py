"""Who keeps the driver here: who installs it and updates it, so that nothing puts a second one over it.

Each keeper has a row in data/keepers.jsonl, which says by which way a driver comes from it.
"""

from __future__ import annotations

from typing import Callable, Mapping, Optional, Sequence, Tuple

from gpuctl.facts.gpu.driver_packages import KeptBy, by_packages, probe_driver_packages
from gpuctl.facts.gpu.licence import is_virtual
from gpuctl.facts.gpu.pci import TEGRA
from gpuctl.facts.machine.distribution import probe_distribution
from gpuctl.facts.machine.image_system import ImageInfo, probe_image_info, probe_image_system
from gpuctl.facts.machine.kernel import OSRELEASE
from gpuctl.facts.machine.kind import probe_machine
from gpuctl.facts.packages.packages import Package
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host
from gpuctl.model import Fact
from gpuctl.regex import regex

OPERATOR = "/run/nvidia/driver"
"""Where the GPU Operator's driver container mounts its root file system."""
VALIDATION = "/run/nvidia/validations/driver-ready"
"""The operator's own note of whose driver it found: IS_HOST_DRIVER=true where it is the host's."""
VALIDATIONS = "/run/nvidia/validations"
"""Where the operator's validator keeps its notes, whether or not what it waits for is there."""
MODULES = "/lib/modules"
GUESTS = ("lxc", "lxc-libvirt", "systemd-nspawn")
"""Containers that are installed as machines are, with libraries of their own."""
_FOLDERS: Mapping[str, str] = {
    "/home/kubernetes/bin/nvidia": "gke",
    "/var/lib/nvidia/bin": "cos",
    "/etc/dgx-release": "dgx-os",
    "/opt/dlami": "aws-dlami",
    "/opt/deeplearning/install-driver.sh": "gcp-image",
    "/opt/google/cuda-installer": "gcp-image",
}
"""What lies there only where that keeper put it."""
_AZURE, _AZURE_EXTENSION = "/var/lib/waagent", "Microsoft.HpcCompute.NvidiaGpuDriverLinux"
_INSTALLER = ("/usr/bin/nvidia-uninstall", "/usr/local/bin/nvidia-uninstall")
"""What a .run file leaves, and no package has."""
_DISTRIBUTIONS: Mapping[str, str] = {
    "arch": "arch",
    "manjaro": "manjaro",
    "endeavouros": "arch",
    "cachyos": "arch",
    "gentoo": "gentoo",
    "void": "void",
    "alpine": "alpine",
    "kali": "kali",
    "pop": "pop",
    "slackware": "slackware",
}
"""Distributions with driver packages of their own, and no other source that people use."""
_PREBUILT = regex(r"nvidia-([0-9]{3})(srv)?(-open)?")


@dataclass(frozen=True)
class Keeper:
    """`driver` is the keeper's id in data/keepers.jsonl; absent where no sign of any was found."""

    driver: Fact[str]
    branch: Fact[str]
    """The branch and flavour of the distribution's prebuilt modules as their packages spell it: 580-server-open."""
    packages: Fact[Mapping[str, Package]]
    """The driver's packages by name; absent where the package manager is not asked."""
    image: Fact[ImageInfo]
    """The image that the system is, where that tells."""

    @property
    def is_awaited(self) -> bool:
        """Whether the GPU Operator's container has yet to bring the driver here."""
        return self.driver.source == VALIDATIONS


def probe_keeper(host: Host) -> Keeper:
    """Returns who keeps the driver, by the first sign of those that leave least doubt."""
    packages, image = probe_driver_packages(host), probe_image_info(host)
    looks = (*_SURER, lambda host: _packages(host, packages), *_LIKELIER)
    found = next(filter(None, (look(host) for look in looks)), None)
    if found is None:
        return Keeper(Fact(None, "no sign of a driver's keeper"), Fact(None, MODULES), packages, image)
    return Keeper(Fact(found.who, found.source), Fact(found.branch or None, found.source), packages, image)


def _windows(host: Host) -> Optional[KeptBy]:
    release = host.read(OSRELEASE)
    found = "microsoft" in release.text.lower() or host.stat("/dev/dxg").ok
    return KeptBy("windows", release.source) if found else None


def _tegra(host: Host) -> Optional[KeptBy]:
    return KeptBy("jetpack", TEGRA) if host.read(TEGRA).ok else None


def _host_of_container(host: Host) -> Optional[KeptBy]:
    kind, name = probe_machine(host)
    if kind.value != "container":
        return None
    return KeptBy("host-of-guest" if name.value in GUESTS else "host-of-container", kind.source)


def _operator(host: Host) -> Optional[KeptBy]:
    if "IS_HOST_DRIVER=true" in host.read(VALIDATION).text:
        return None
    if host.stat(OPERATOR + "/usr").ok:
        return KeptBy("gpu-operator", OPERATOR)
    awaited = host.stat(VALIDATIONS).ok and not host.which("nvidia-smi").ok
    return KeptBy("gpu-operator", VALIDATIONS) if awaited else None


def _folders(host: Host) -> Optional[KeptBy]:
    return next((KeptBy(who, path) for path, who in _FOLDERS.items() if host.stat(path).ok), None)


def _image(host: Host) -> Optional[KeptBy]:
    image = probe_image_system(host)
    return KeptBy(image.value, image.source) if image.value else None


def _hypervisor(host: Host) -> Optional[KeptBy]:
    """A virtual GPU's driver has to be of the hypervisor's own release."""
    said = host.nvml()
    return KeptBy("hypervisor", said.source) if is_virtual(said.text) else None


def _azure(host: Host) -> Optional[KeptBy]:
    there = host.list(_AZURE)
    return KeptBy("azure-extension", there.source) if _AZURE_EXTENSION in there.text else None


def _packages(host: Host, packages: Fact[Mapping[str, Package]]) -> Optional[KeptBy]:
    distribution = probe_distribution(host).value
    return by_packages(packages, (distribution.id, *distribution.like) if distribution else ())


def _prebuilt(host: Host) -> Optional[KeptBy]:
    """Ubuntu's modules for a kernel that is installed, whether or not it runs."""
    for release in host.list(MODULES).text.splitlines():
        folder = "%s/%s/kernel" % (MODULES, release)
        branch = prebuilt_branch(host.list(folder).text.splitlines())
        if branch:
            return KeptBy("ubuntu-prebuilt", folder, branch)
    return None


def prebuilt_branch(names: Sequence[str]) -> str:
    """Returns branch and flavour of Ubuntu's prebuilt modules among a kernel's folders, "" where there are none.

    nvidia-580srv-open
    """
    found = next(filter(None, map(_PREBUILT.fullmatch, names)), None)
    return found[1] + ("-server" if found[2] else "") + (found[3] or "") if found else ""


def _installer(host: Host) -> Optional[KeptBy]:
    return next((KeptBy("run-file", path) for path in _INSTALLER if host.stat(path).ok), None)


def _distribution(host: Host) -> Optional[KeptBy]:
    distribution = probe_distribution(host)
    names = (distribution.value.id, *distribution.value.like) if distribution.value else ()
    who = next((_DISTRIBUTIONS[name] for name in names if name in _DISTRIBUTIONS), None)
    return KeptBy(who, distribution.source) if who else None


_Look = Callable[[Host], Optional[KeptBy]]
_SURER: Tuple[_Look, ...] = (
    _windows,
    _tegra,
    _host_of_container,
    _operator,
    _folders,
    _image,
    _hypervisor,
    _azure,
    _installer,
)
_LIKELIER: Tuple[_Look, ...] = (_prebuilt, _distribution)
"""From what cannot be otherwise, over whose the packages are, to what the distribution makes likely."""
