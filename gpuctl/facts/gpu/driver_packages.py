"""The driver's packages, and from whom they are: each source names and numbers its packages in its own way."""

from __future__ import annotations

from typing import Mapping, Optional, Sequence

from gpuctl.facts.machine.system import probe_package_manager
from gpuctl.facts.packages.packages import DPKG_INSTALLED, LOCKS, RPM_INSTALLED, Package, parse_installed
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, Outcome, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

_DEBS = ("nvidia-*", "cuda-drivers*", "linux-modules-nvidia-*")
_DEB_LIBRARIES = ("libnvidia-*", "libcuda1")
_RPMS = ("nvidia-*", "*kmod-nvidia*", "dkms-nvidia", "xorg-x11-drv-nvidia*", "x11-video-nvidia*", "cuda-drivers*")
DPKG_DRIVER = (*DPKG_INSTALLED, *_DEBS, *_DEB_LIBRARIES)
_DPKG_DRIVER_BEFORE = (*DPKG_INSTALLED, *_DEBS)
"""The command by which snapshots were taken before."""
RPM_DRIVER = ("rpm", "-qa", *RPM_INSTALLED, *_RPMS)
_RPM_MANAGERS = ("dnf", "yum", "zypper", "rpm-ostree", "transactional-update")
_PREBUILT = regex(r"linux-modules-nvidia-([0-9]{3}(?:-server)?(?:-open)?)-.+")
_OF_UBUNTU = regex(r"ubuntu[0-9]+\.[0-9]{2}\.[0-9]")
"""The end of a version in a release of Ubuntu: 580.95.05-0ubuntu0.24.04.2. NVIDIA's own end in -1ubuntu1."""
_OF_DEBIAN = regex(r"~deb[0-9]+u|~bpo[0-9]+")
_DRIVER = regex(r"(?:nvidia|xorg-x11-drv-nvidia|.*kmod-nvidia|dkms-nvidia|cuda-drivers|x11-video-nvidia).*")
_NOT_THE_DRIVER = regex(r"nvidia-(?:container|docker|prime|settings|cuda-toolkit|cudnn|persistenced|modprobe).*")


_NAME = regex(r"[A-Za-z0-9][A-Za-z0-9._+-]*[A-Za-z0-9]")
"""Any other would be an option or a pattern to a package manager, or tell apt to remove what it names."""
_LIBRARY = regex(r"libcuda1|libnvidia-(?!container|egl-).*")
_VERSION = regex(r"(?:[0-9]+:)?([0-9]{3}\.[0-9]+(?:\.[0-9]+)?)(?![0-9.])")


@dataclass(frozen=True)
class KeptBy:
    """A keeper's id, where the sign of it is, and the branch of prebuilt modules or ""."""

    who: str
    source: str
    branch: str = ""


def probe_driver_packages(host: Host) -> Fact[Mapping[str, Package]]:
    """Returns the driver's packages by name, its libraries' too where dpkg has them; absent for a manager that is not
    asked.
    """
    manager = probe_package_manager(host).value
    if manager != "apt" and manager not in _RPM_MANAGERS:
        return Fact(None, "package manager")
    said = host.run(DPKG_DRIVER if manager == "apt" else RPM_DRIVER)
    if said.outcome is not Outcome.OK and manager == "apt":
        said = host.run(_DPKG_DRIVER_BEFORE)
    if said.outcome is not Outcome.OK:
        return fact(said, lambda _: {})
    locks = "\n".join(host.read(path).text for path in LOCKS.get(manager, ()))
    found = parse_installed(said.text, locks)  # its exit status says that a pattern fits nothing
    return Fact({name: one for name, one in found.items() if one.version and _is_part(name, one)}, said.source)


def driver_version(package: Package) -> str:
    """Returns the driver's version in that of a package, "" where it has none.

    3:580.95.05-1.fc43
    """
    found = _VERSION.match(package.version)
    return found[1] if found else ""


def _is_part(name: str, package: Package) -> bool:
    is_library = bool(_LIBRARY.fullmatch(name)) and bool(driver_version(package))
    return bool(_NAME.fullmatch(name)) and (is_library or _is_driver(name))


def _is_driver(name: str) -> bool:
    return name.startswith("linux-modules-nvidia-") or (
        bool(_DRIVER.fullmatch(name)) and not _NOT_THE_DRIVER.fullmatch(name)
    )


def by_packages(packages: Fact[Mapping[str, Package]], distribution: Sequence[str]) -> Optional[KeptBy]:
    """Returns whose these packages are on that distribution (ids of os-release, its own first); None: none tells."""
    found = {name: one for name, one in (packages.value or {}).items() if _is_driver(name)}
    if not found:
        return None
    source = packages.source.partition(" ")[0]
    branch = next(filter(None, map(prebuilt_in_name, found)), "")
    if branch:
        return KeptBy("ubuntu-prebuilt", source, branch)
    who = _of_rpms(found) or _of_debs(found, distribution)
    return KeptBy(who, source) if who else None


def prebuilt_in_name(name: str) -> str:
    """Returns branch and flavour of a package of Ubuntu's prebuilt modules, "" of any other.

    linux-modules-nvidia-580-server-open-6.8.0-40-generic
    """
    found = _PREBUILT.fullmatch(name)
    return found[1] if found else ""


def _of_rpms(found: Mapping[str, Package]) -> Optional[str]:
    if any(".elrepo" in one.version for one in found.values()):
        return "elrepo"
    if any(name.startswith("xorg-x11-drv-nvidia") for name in found):
        return "rpm-fusion"
    if "dkms-nvidia" in found or ("akmod-nvidia" in found and "nvidia-driver" in found):
        return "negativo17"
    if any("-kmp-" in name for name in found):
        return "suse-modules"
    built = (name for name in found if name.startswith("kmod-nvidia"))
    return next(("nvidia-precompiled" for name in built if "dkms" not in name), None)


def _of_debs(found: Mapping[str, Package], distribution: Sequence[str]) -> Optional[str]:
    versions = [one.version for one in found.values()]
    if any(map(_OF_UBUNTU.search, versions)):
        return "ubuntu"
    is_like_debian = "debian" in distribution and "ubuntu" not in distribution
    if any(map(_OF_DEBIAN.search, versions)) or ("nvidia-kernel-dkms" in found and is_like_debian):
        return "kali" if "kali" in distribution else "debian"
    return "nvidia-repository"
