"""Which package holds the headers with which a module is built for a kernel, by the flavour that its release tells."""

from __future__ import annotations

from gpuctl.regex import regex

# https://wiki.archlinux.org/title/Kernel, https://wiki.cachyos.org/features/kernel/
_ARCH = regex(r"[0-9.]+(?:-(?:arch|zen|hardened|rt|rc)[0-9]+)*-[0-9.]+((?:-[a-z]+)*)")
# https://wiki.manjaro.org/index.php/Manjaro_Kernels
_MANJARO = regex(r"([0-9]+)\.([0-9]+)\..*-MANJARO")
# https://en.opensuse.org/Kernel
_SUSE = regex(r".*-([a-z0-9]*[a-z][a-z0-9]*)")
# https://docs.aws.amazon.com/linux/al2023/ug/kernel-update.html: 6.1 is plain, newer ones have their number
_AMAZON = regex(r"(6\.(?:1[2-9]|[2-9][0-9]))\..*\.amzn2023\..*")


def headers_package(manager: str, release: str) -> str:
    """Returns the package for a kernel's release (uname -r) and a package manager; "" where none is known.

    Sources: https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/,
    https://pve.proxmox.com/wiki/NVIDIA_vGPU_on_Proxmox_VE, https://docs.oracle.com/en/operating-systems/uek/
    """
    if manager == "apt":
        return f"{'proxmox' if '-pve' in release else 'linux'}-headers-{release}" if release else ""
    if manager == "pacman":
        return _of_arch(release)
    if manager == "zypper":
        found = _SUSE.fullmatch(release)
        return f"kernel-{found[1]}-devel" if found else ""
    return _of_rpms(release) if manager in ("dnf", "yum") and release else ""


def _of_arch(release: str) -> str:
    """6.18.2-arch2-1 is linux, 6.12.48-1-lts linux-lts, 6.17.1-zen1-1-zen linux-zen, 6.12.41-1-MANJARO linux612."""
    numbered = _MANJARO.fullmatch(release)
    if numbered:
        return f"linux{numbered[1]}{numbered[2]}-headers"
    found = _ARCH.fullmatch(release)
    return f"linux{found[1]}-headers" if found else ""


def _of_rpms(release: str) -> str:
    """5.14.0-570.12.1.el9_6.aarch64+64k is kernel-64k. ELRepo's are kernel-ml or kernel-lt, which they do not say."""
    if ".elrepo." in release:
        return ""
    plain, _, flavour = release.partition("+")
    numbered = _AMAZON.fullmatch(release)
    name = f"kernel{numbered[1]}" if numbered else "kernel-uek" if "uek" in plain else "kernel"
    return f"{name}-{flavour + '-' if flavour else ''}devel-{plain}"
