"""Jetson and its kin, whose GPU is part of the chip: the release of Jetson Linux, and what containers are given."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence, Tuple

from gpuctl.facts.gpu.nvml import parse_nvml
from gpuctl.facts.gpu.pci import TEGRA
from gpuctl.facts.machine.system import probe_architecture
from gpuctl.facts.packages.packages import DPKG_INSTALLED, parse_installed
from gpuctl.frozen import dataclass
from gpuctl.host.look.reading import Host, fact
from gpuctl.model import Fact
from gpuctl.regex import regex

SOC = "/sys/devices/soc0/family"
"""The family of the system on a chip."""
MODEL = "/proc/device-tree/model"
CSV_FOLDER = "/etc/nvidia-container-runtime/host-files-for-container.d"
"""What nvidia-container-runtime mounts in its mode csv, by the lists in here."""
DPKG_TEGRA = (*DPKG_INSTALLED, "nvidia-l4t-core", "nvidia-jetpack", "cuda-compat-*")
NO_TEGRAS = "x86_64"
"""No Tegra has such a processor. Elsewhere NVML is asked, which takes longer than much of what gpuctl does."""
NO_LIBRARY = 12
"""NVML_ERROR_LIBRARY_NOT_FOUND."""
_INTEGRATED = ("(nvgpu)", "NVIDIA Thor")
"""Parts of the names of GPUs that lie in a Tegra: go-nvlib, pkg/nvlib/info/property-extractor.go."""
_RELEASE = regex(r"# R([0-9]{1,3}) \(release\), REVISION: ([0-9]{1,3}(?:\.[0-9]{1,3})*)")
_PACKAGE = regex(r"([0-9]{1,3}(?:\.[0-9]{1,3}){1,2})")
_COMPAT = regex(r"cuda-compat-([0-9]{1,2})-([0-9]{1,2})")


@dataclass(frozen=True)
class Tegra:
    """All absent on machines that are no Jetson."""

    release: Fact[str]
    """Of Jetson Linux (L4T): "36.4.3"."""
    model: Fact[str]
    """The board, by its device tree."""
    jetpack: Fact[str]
    """The version of the package nvidia-jetpack, where that is installed."""
    lists: Fact[Tuple[str, ...]]
    """The lists of files for containers."""
    compat: Fact[str]
    """The CUDA of the newest cuda-compat package: "12.9"."""
    integrated: Fact[bool]
    """Whether it has no other GPUs than that of its chip."""

    @property
    def by_csv(self) -> bool:
        """Whether containers get the GPU by these lists, which is so where a Tegra has no other.

        The toolkit asks the same: nvidia-container-toolkit, internal/info, "UsesOnlyNVGPUModule".
        """
        return self.integrated.value is True


def probe_tegra(host: Host) -> Tegra:
    """Returns what tells one Jetson from another. It is one by its files, its chip, or the names of all its GPUs."""
    told = host.read(TEGRA)
    gone: Fact[Any] = fact(told, lambda _: None)
    none = Tegra(gone, gone, gone, gone, gone, gone)
    if not told.ok and probe_architecture(host).value == NO_TEGRAS:
        return none
    integrated = _integrated(host)
    if not told.ok and not fact(host.read(SOC), parse_family).value and not integrated.value:
        return none
    packages = host.run(DPKG_TEGRA)
    installed = {name: one.version for name, one in parse_installed(packages.text).items() if one.version}
    lists = host.list(CSV_FOLDER)
    return Tegra(
        release=_release(told.text, installed),
        model=fact(host.read(MODEL), lambda text: text.strip("\0\n ")),
        jetpack=Fact(installed.get("nvidia-jetpack"), "dpkg-query"),
        lists=fact(lists, lambda text: tuple(name for name in text.splitlines() if name.endswith(".csv"))),
        compat=Fact(newest_compat(tuple(installed)), "dpkg-query"),
        integrated=integrated if integrated.value is not None else _alone(host),
    )


def _release(text: str, installed: Mapping[str, str]) -> Fact[str]:
    """The package's version counts more: the file keeps what was flashed where only packages were upgraded."""
    package = _PACKAGE.match(installed.get("nvidia-l4t-core", ""))
    if package:
        return Fact(package[1], "nvidia-l4t-core")
    told = parse_tegra_release(text)
    return Fact(told, TEGRA, None if told else "no release in it")


def parse_tegra_release(text: str) -> Optional[str]:
    """Returns the release of Jetson Linux, None where the text tells none.

    # R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025
    """
    found = _RELEASE.search(text)
    return "%s.%s" % (found[1], found[2]) if found else None


def newest_compat(names: Tuple[str, ...]) -> Optional[str]:
    """Returns the newest CUDA among the names of cuda-compat packages.

    cuda-compat-12-9
    """
    found = [(int(match[1]), int(match[2])) for match in map(_COMPAT.fullmatch, names) if match]
    return "%d.%d" % max(found) if found else None


def parse_family(text: str) -> Optional[str]:
    """Returns the family of a Tegra, None for another: go-nvlib, pkg/nvlib/info/property-extractor.go.

    Tegra234
    """
    family = text.strip()
    return family if family.lower().startswith("tegra") else None


def _integrated(host: Host) -> Fact[bool]:
    """By the names that NVML gives the GPUs of a chip; absent where it names none."""
    said = host.nvml()
    return fact(said, lambda text: all_integrated([gpu.name or "" for gpu in parse_nvml(text).gpus]))


def all_integrated(names: Sequence[str]) -> Optional[bool]:
    """Returns whether all GPUs lie in a chip, None where there are none."""
    return all(any(part in name for part in _INTEGRATED) for name in names) if names else None


def _alone(host: Host) -> Fact[bool]:
    """Without an NVML there is no other GPU that the toolkit would see: go-nvlib, pkg/nvlib/info/resolver.go."""
    return fact(host.nvml(), lambda text: parse_nvml(text).code == NO_LIBRARY)
