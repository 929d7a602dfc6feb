"""Hosts whose driver is there and does not serve: what of it is the cause, and that no remedy leads into a dead end."""

from __future__ import annotations

import shlex

import pytest
from hosts import PCI, failed, shown
from reported import Reported, failures, hold, judged, told
from synthetic import (
    DRIVER_580,
    NO_DRIVER,
    RTX_4090,
    SECURE_BOOT,
    SMI,
    T4,
    UBUNTU_22,
    UBUNTU_24,
    Board,
    Machine,
    docker,
    driver,
    gpus,
    joined,
    system,
    toolkit,
)
from synthetic import HOSTS as SYNTHETIC
from test_keepers import debs, rpms

from gpuctl.checks.every import CHECKS
from gpuctl.compat.knowledge.kernel_headers import headers_package
from gpuctl.facts.gpu.driver_packages import DPKG_DRIVER
from gpuctl.facts.gpu.wsl import FOLDER as WSL_FOLDER
from gpuctl.model import Status

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
DEBIAN_13 = ("debian", "Debian GNU/Linux", "13", "6.12.48+deb13-amd64")
FEDORA_43 = ("fedora", "Fedora Linux", "43", "6.17.9-300.fc43.x86_64")
GTX_980 = Board("NVIDIA GeForce GTX 980", "13c0", "5.2", "geforce", 4)
K40 = Board("Tesla K40m", "1023", "3.5", "tesla", 12)
P2200 = Board("Quadro P2200", "1c31", "6.1", "quadro", 5)
GT_710 = Board("NVIDIA GeForce GT 710", "128b", "3.5", "geforce", 2)
RTX_3060 = Board("NVIDIA GeForce RTX 3060", "2504", "8.6", "geforce", 12)
RTX_5070 = Board("NVIDIA GeForce RTX 5070", "2f04", "12.0", "geforce", 12)
NOBODYS = Board("NVIDIA GeForce RTX 9990", "fff7", "", "geforce", 48)
P40 = Board("Tesla P40", "1b38", "6.1", "tesla", 24)
NONE_STARTED = "NVRM: None of the NVIDIA devices were initialized."
MORE = joined(toolkit(), docker())


def refused(
    board: Board,
    version: str,
    *log: str,
    base: tuple[str, str, str, str] = UBUNTU_24,
    is_open: bool = False,
    virtual: str = "none",
) -> Machine:
    """A module that is installed and does not stay in the kernel, with what the kernel logged of it."""
    file = f"/lib/modules/{base[3]}/updates/dkms/nvidia.ko"
    licence = "Dual MIT/GPL" if is_open else "NVIDIA"
    return joined(
        system(*base, virtual),
        gpus(board, bound=None),
        {
            "files": {"/proc/modules": "drm 1 0 - Live 0x0\n"},
            "commands": {
                "modinfo nvidia": f"filename: {file}\nversion: {version}\nlicense: {licence}\n",
                "dmesg": "".join(f"[    4.{number:06}] {line}\n" for number, line in enumerate(log)),
                SMI: NO_DRIVER,
            },
            "nvml": [{"error": "Driver Not Loaded", "code": 9}],
        },
        MORE,
    )


def not_open(device: str) -> tuple[str, ...]:
    """What the open module says of a GPU without the processor that it needs: nv-pci.c."""
    return (
        f"NVRM: The NVIDIA GPU 0000:07:00.0 (PCI ID: 10de:{device})",
        "NVRM: installed in this system is not supported by open",
        "NVRM: nvidia.ko because it does not include the required GPU",
        "NVRM: System Processor (GSP).",
        "nvidia 0000:07:00.0: probe with driver nvidia failed with error -1",
        NONE_STARTED,
    )


def of_no_release(device: str, version: str) -> tuple[str, ...]:
    """What a module says of a GPU that it does not know: nv-pci.c."""
    return (
        f"NVRM: The NVIDIA GPU 0000:07:00.0 (PCI ID: 10de:{device})",
        "NVRM: installed in this system is not supported by the",
        f"NVRM: NVIDIA {version} driver release.",
        "NVRM: Please see 'Appendix A - Supported NVIDIA GPU Products'",
        NONE_STARTED,
    )


def of_a_branch(name: str, branch: str, version: str) -> tuple[str, ...]:
    return (
        f"NVRM: The NVIDIA {name} GPU installed in this system is",
        f"NVRM:  supported through the NVIDIA {branch}.xx Legacy drivers. Please",
        "NVRM:  visit http://www.nvidia.com/object/unix.html for more",
        f"NVRM:  information.  The {version} NVIDIA driver will ignore",
        "NVRM:  this GPU.  Continuing probe...",
        "NVRM: No NVIDIA GPU found.",
    )


def beside(driven: Board, other: Board, is_open: bool, base: tuple[str, str, str, str] = UBUNTU_24) -> Machine:
    """A GPU that the loaded module drives, and one beside it that it leaves alone."""
    left = gpus(other, 2, bound=None)
    both = {path: text for path, text in left["files"].items() if "0000:17:00.0" in path}
    works = joined(system(*base), gpus(driven), driver(base[3], *DRIVER_580, driven, is_open=is_open))
    return joined(works, {"files": both}, MORE)


NO_ROOM = (
    "NVRM: This PCI I/O region assigned to your NVIDIA device is invalid:",
    "NVRM: BAR1 is 0M @ 0x0 (PCI:0000:07:00.0)",
    "NVRM: The NVIDIA probe routine failed for 1 device(s).",
    NONE_STARTED,
)
HOSTS: dict[str, Reported] = {
    # https://us.download.nvidia.com/XFree86/Linux-x86_64/580.95.05/README/supportedchips.html
    "a K40 and Ubuntu's 550, whose module ignores it": Reported(
        joined(
            refused(K40, "550.163.01", *of_a_branch("Tesla K40m", "470", "550.163.01"), base=UBUNTU_22),
            debs("nvidia-dkms-550-server 550.163.01-0ubuntu0.22.04.1"),
        ),
        ("driver.supports-gpus",),
        ("branch 470 is the last", "ubuntu-drivers install"),
        ("modprobe", "cuda-keyring"),
    ),
    "a GTX 980 and RPM Fusion's 590, before anything was logged": Reported(
        joined(
            refused(GTX_980, "590.48.01", base=FEDORA_43),
            rpms("akmod-nvidia 590.48.01-1.fc43", "xorg-x11-drv-nvidia-cuda 590.48.01-1.fc43"),
        ),
        ("driver.supports-gpus",),
        ("branch 580 is the last", "akmod-nvidia-580xx"),
        ("modprobe", "upgrade --refresh"),
    ),
    "a GTX 980 and the open module, with Secure Boot on": Reported(
        joined(
            refused(GTX_980, *DRIVER_580[:1], *not_open("13c0"), is_open=True),
            {"files": {SECURE_BOOT: "\x06\x00\x00\x00\x01"}},
        ),
        ("kernel.module-flavour",),
        ("does not run Maxwell", "cuda-drivers-580"),
        ("modprobe", "mokutil", "nvidia-open"),
    ),
    "an RTX 5070 and the proprietary module of NVIDIA's repository": Reported(
        joined(refused(RTX_5070, DRIVER_580[0], base=DEBIAN_13), debs("cuda-drivers 580.95.05-1")),
        ("kernel.module-flavour",),
        ("does not run Blackwell", "nvidia-open"),
        ("modprobe", "cuda-drivers"),
    ),
    # https://github.com/NVIDIA/open-gpu-kernel-modules/issues/696
    "a Quadro P2200 beside an RTX 3060 that the open module drives": Reported(
        beside(RTX_3060, P2200, is_open=True),
        ("kernel.module-flavour",),
        ("does not run Pascal", "cuda-drivers-580"),
        ("dmesg", "nvidia-open"),
    ),
    "a GT 710 for the screen beside an RTX 4090": Reported(
        beside(RTX_4090, GT_710, is_open=False),
        ("driver.supports-gpus",),
        ("Kepler", "No one driver drives all of these GPUs"),
        ("cuda-drivers", "apt-get install -y linux-headers"),
    ),
    "a GPU of which no table knows, with a driver that is older": Reported(
        refused(NOBODYS, DRIVER_580[0], *of_no_release("fff7", DRIVER_580[0])),
        ("driver.start-log",),
        ("does not know the GPU 0000:07:00.0 (10de:fff7)", "newer than this GPU"),
        ("modprobe",),
    ),
    # https://github.com/flatcar/Flatcar/issues/1283
    "a slice of a T4 and the driver for whole GPUs": Reported(
        refused(T4, "550.163.01", *of_no_release("1eb8", "550.163.01"), virtual="kvm"),
        ("driver.start-log",),
        ("guest driver of the vGPU release", "GRID"),
        ("modprobe", "apt-get install"),
    ),
    "a module that took no GPU and did not say why": Reported(
        refused(T4, DRIVER_580[0], "NVRM: The NVIDIA probe routine failed for 1 device(s).", NONE_STARTED),
        ("driver.start-log",),
        (NONE_STARTED[6:],),
        ("modprobe",),
    ),
    "the right module, installed after the kernel had refused the open one": Reported(
        refused(GTX_980, DRIVER_580[0], *not_open("13c0")),
        ("kernel.module-loaded",),
        ("modprobe nvidia",),
        ("apt-get install",),
    ),
    "a virtual machine without room for its P40": Reported(
        refused(P40, DRIVER_580[0], *NO_ROOM, virtual="kvm"),
        ("kernel.pci-resources",),
        ("64-bit window",),
        ("modprobe", "apt-get install"),
    ),
    "a module that nobody has loaded, on a board without room for virtual functions": Reported(
        refused(
            RTX_4090,
            DRIVER_580[0],
            "pci 0000:07:00.0: BAR 6: no space for [mem size 0x00080000 pref]",
            "pci 0000:07:00.0: BAR 9: failed to assign [mem size 0x400000000 64bit pref]",
            "pci 0000:07:00.0: VF BAR 2 [mem size 0x400000000 64bit pref]: can't assign; no space",
        ),
        ("kernel.module-loaded",),
        ("modprobe nvidia",),
    ),
    # https://github.com/skypilot-org/skypilot/issues/10468
    "a slice whose guest driver is older than its hypervisor's": Reported(
        joined(
            system(*UBUNTU_22, "microsoft"),
            gpus(T4),
            driver(UBUNTU_22[3], "535.161.08", "12.2", T4),
            MORE,
            {
                "commands": {
                    SMI: failed(6, stdout="No devices were found\n"),
                    "dmesg": "[ 3.1] NVRM: Xid (PCI:0000:07:00): 78, pid='<unknown>', vGPU: Guest driver is"
                    " incompatible with host driver\n"
                    "[ 3.2] NVRM: GPU 0000:07:00.0: RmInitAdapter failed! (0x25:0x56:1589)\n",
                },
                "nvml": [{"driver": "535.161.08", "nvml": "12.535", "cuda": "12.2", "count": 0}],
            },
        ),
        ("driver.xid",),
        ("guest driver of the vGPU release",),
        ("Above 4G",),
    ),
}


def dpkg(*rows: str, audit: str = "") -> Machine:
    """What dpkg knows of the driver's packages: "name version wanted status" each."""
    said = "".join("\t".join(row.split()) + "\n" for row in rows)
    return {"commands": {shlex.join(DPKG_DRIVER): said, "dpkg --audit": audit}}


def apart(base: tuple[str, str, str, str], board: Board, file: str, library: str) -> Machine:
    """Libraries of another version than that of the module, which the next boot loads again."""
    module = f"filename: /lib/modules/{base[3]}/updates/dkms/nvidia.ko\nversion: {file}\nlicense: NVIDIA\n"
    return joined(
        system(*base),
        gpus(board),
        driver(base[3], file, "12.4", board),
        MORE,
        {
            "commands": {"modinfo nvidia": module, SMI: failed(18, stdout="Driver/library version mismatch")},
            "nvml": [{"error": "RM has detected an NVML/RM version mismatch.", "code": 18}],
            "stats": {f"{LIBRARIES}/libnvidia-ml.so.1": {}},
            "links": {f"{LIBRARIES}/libnvidia-ml.so.1": f"libnvidia-ml.so.{library}"},
        },
    )


def unbuilt(base: tuple[str, str, str, str], log: str) -> Machine:
    """A module that DKMS could not build, with what its make.log says."""
    return joined(
        system(*base),
        gpus(T4, bound=None),
        {
            "files": {f"/var/lib/dkms/nvidia/{DRIVER_580[0]}/build/make.log": log},
            "commands": {
                "modinfo nvidia": failed(1, "modinfo: ERROR: Module nvidia not found."),
                "modinfo nvidia-current": failed(1, "modinfo: ERROR: Module nvidia-current not found."),
                "dkms status": f"nvidia/{DRIVER_580[0]}: added\n",
                SMI: NO_DRIVER,
            },
            "nvml": [{"error": "Driver Not Loaded", "code": 9}],
        },
        MORE,
    )


WSL = SYNTHETIC["wsl2"]
PACKAGED: dict[str, Reported] = {
    # https://github.com/lyulyul/shine-cluster/issues/50
    "a module that is held, and libraries that went on": Reported(
        joined(
            apart(UBUNTU_22, T4, "570.133.07", "570.172.08"),
            dpkg(
                "nvidia-dkms-570-server 570.133.07-0ubuntu0.22.04.1 hold installed",
                "nvidia-headless-570-server 570.133.07-0ubuntu0.22.04.1 install installed",
                "libnvidia-compute-570-server 570.172.08-0ubuntu0.22.04.1 install installed",
            ),
        ),
        ("driver.version-agrees",),
        (
            "apt-mark unhold nvidia-dkms-570-server",
            "apt-get install -y nvidia-dkms-570-server nvidia-headless-570-server",
            "reboot",
        ),
        ("ubuntu-drivers", "cuda-keyring"),
    ),
    "libraries that are held, and a module that went on": Reported(
        joined(
            apart(DEBIAN_13, T4, "550.163.01", "550.144.03"),
            dpkg(
                "nvidia-kernel-dkms 550.163.01-2 install installed",
                "nvidia-driver 550.163.01-2 install installed",
                "libcuda1 550.144.03-1 hold installed",
                "libnvidia-ml1 550.144.03-1 hold installed",
            ),
        ),
        ("driver.version-agrees",),
        ("apt-mark unhold libcuda1 libnvidia-ml1", "apt-get install -y libcuda1 libnvidia-ml1"),
    ),
    "locks of dnf on a driver that knows no GPU here": Reported(
        joined(
            refused(GTX_980, "590.48.01", base=FEDORA_43),
            rpms("akmod-nvidia 590.48.01-1.fc43", "xorg-x11-drv-nvidia 590.48.01-1.fc43"),
            {"files": {"/etc/dnf/plugins/versionlock.list": "akmod-nvidia-3:590.48.01-1.fc43.*\n"}},
        ),
        ("driver.supports-gpus",),
        ("dnf versionlock delete akmod-nvidia", "akmod-nvidia-580xx"),
    ),
    # https://github.com/illinois-scicomp/machine-shop-maintenance/issues/70
    "an upgrade of the driver that was cut off": Reported(
        joined(
            apart(UBUNTU_24, T4, "570.133.07", "580.95.05"),
            dpkg(
                "nvidia-dkms-580-server 580.95.05-0ubuntu0.24.04.2 install unpacked",
                "nvidia-utils-580-server 580.95.05-0ubuntu0.24.04.2 install installed",
                audit="The following packages have been unpacked but not yet configured.\n nvidia-dkms-580-server\n",
            ),
        ),
        ("kernel.packages-whole",),
        ("within the driver's packages: nvidia-dkms-580-server", "dpkg --configure -a", "apt-get -f install -y"),
        ("ubuntu-drivers",),
    ),
    # https://rpmfusion.org/Howto/CUDA
    "RPM Fusion's module and NVIDIA's libraries": Reported(
        joined(
            apart(FEDORA_43, T4, "580.95.05", "580.105.08"),
            rpms(
                "akmod-nvidia 580.95.05-1.fc43",
                "xorg-x11-drv-nvidia-kmodsrc 580.95.05-1.fc43",
                "nvidia-driver-libs 580.105.08-1.fc43",
                "cuda-drivers 580.105.08-1.fc43",
            ),
        ),
        ("driver.version-agrees",),
        ("dnf remove -y cuda-drivers nvidia-driver-libs", "dnf install -y xorg-x11-drv-nvidia-cuda", "RPM Fusion"),
    ),
    "ELRepo's libraries and a module of NVIDIA's": Reported(
        joined(
            apart(("rocky", "Rocky Linux", "9.6", "5.14.0-570.12.1.el9_6.x86_64"), T4, "580.95.05", "580.105.08"),
            rpms(
                "kmod-nvidia-open-dkms 580.95.05-1.el9",
                "nvidia-x11-drv 580.105.08-1.el9_6.elrepo",
                "nvidia-x11-drv-libs 580.105.08-1.el9_6.elrepo",
                id="rocky",
            ),
        ),
        ("driver.version-agrees",),
        ("dnf remove -y kmod-nvidia-open-dkms", "--enablerepo=elrepo"),
        ("nvidia-driver:", "cuda-rhel"),
    ),
    # https://github.com/canonical/lxd/issues/5415
    "a guest with packages of another version than its host's module": Reported(
        joined(
            apart((*UBUNTU_22[:3], "6.8.12-9-pve"), T4, "570.133.07", "550.163.01"),
            dpkg(
                "libnvidia-compute-550 550.163.01-0ubuntu0.22.04.1 install installed",
                "nvidia-utils-550 550.163.01-0ubuntu0.22.04.1 install installed",
                "libnvidia-container1 1.17.8-1 install installed",
            ),
            {"files": {"/run/systemd/container": "lxc"}, "commands": {"systemd-detect-virt": "lxc\n"}},
        ),
        ("driver.version-agrees",),
        (
            "apt-get remove -y libnvidia-compute-550 nvidia-utils-550",
            "NVIDIA-Linux-x86_64-570.133.07.run --no-kernel-modules",
        ),
        ("reboot",),
    ),
    # https://github.com/microsoft/WSL/issues/9166
    "a distribution of WSL with a driver's packages": Reported(
        joined(
            WSL,
            MORE,
            dpkg(
                "libnvidia-compute-570 570.133.07-0ubuntu0.24.04.1 install installed",
                "nvidia-driver-570 570.133.07-0ubuntu0.24.04.1 install installed",
            ),
            {
                "stats": {f"{WSL_FOLDER}/libcuda.so.1": {}, f"{LIBRARIES}/libcuda.so.1": {}},
                "commands": {"ldconfig -p": f"\tlibcuda.so.1 (libc6,x86-64) => {LIBRARIES}/libcuda.so.1\n"},
            },
        ),
        ("hardware.wsl-libraries",),
        ("apt-get remove -y libnvidia-compute-570 nvidia-driver-570",),
        ("libnvidia-container1",),
    ),
    # https://github.com/pop-os/pop/issues/3117
    "a kernel whose compiler is not there": Reported(
        unbuilt(
            UBUNTU_22, "/bin/sh: 1: gcc-13: not found\nmake[2]: *** [scripts/Makefile.build:243: nv.o] Error 127\n"
        ),
        ("kernel.build-log",),
        ("apt-get install -y dkms gcc-13", "dkms install nvidia/580.95.05 -k 5.15.0-119-generic"),
        ("nvidia-open", "linux-headers"),
    ),
    "a kernel of another gcc, on a distribution with one gcc at a time": Reported(
        joined(
            unbuilt(
                FEDORA_43,
                "warning: the compiler differs from the one used to build the kernel\n"
                "  The kernel was built by: gcc (GCC) 15.2.1 20251111 (Red Hat 15.2.1-4)\n"
                "  You are using:           cc (GCC) 14.2.1 20240912 (Red Hat 14.2.1-3)\n"
                "cc: error: unrecognized command-line option '-fzero-init-padding-bits=all'\n",
            ),
            rpms("nvidia-open 580.95.05-1.fc43", "kmod-nvidia-open-dkms 580.95.05-1.fc43"),
        ),
        ("kernel.build-log",),
        ("with gcc-14 for a kernel that gcc-15 built",),
        ("apt-get", "dnf install", "Install a driver"),
    ),
    "a compiler that takes the driver's C for a newer one": Reported(
        unbuilt(
            UBUNTU_22,
            "  The kernel was built by: x86_64-linux-gnu-gcc-14 (Ubuntu 14.2.0-4ubuntu2) 14.2.0\n"
            "  You are using:           cc (Ubuntu 15.2.0-4ubuntu4) 15.2.0\n"
            "nvidia/nv-linux.h:98:13: error: 'bool' cannot be defined via 'typedef'\n",
        ),
        ("kernel.build-log",),
        ("with gcc-15 for a kernel that gcc-14 built", "apt-get install -y dkms gcc-14"),
        ("knows this kernel",),
    ),
    "a kernel that the driver does not know, and another gcc": Reported(
        unbuilt(
            UBUNTU_22,
            "  The kernel was built by: x86_64-linux-gnu-gcc-13 (Ubuntu 13.3.0-6ubuntu2) 13.3.0\n"
            "  You are using:           cc (Ubuntu 12.3.0-1ubuntu1~22.04) 12.3.0\n"
            "nvidia/nv-dma.c:1020:36: error: implicit declaration of function 'dma_buf_export'\n",
        ),
        ("kernel.build-log",),
        ("knows this kernel",),
        ("gcc-13",),
    ),
    "a dpkg that was cut off elsewhere, and no driver": Reported(
        joined(
            system(*UBUNTU_24),
            gpus(T4, bound=None),
            {"commands": {"modinfo nvidia": failed(1, "modinfo: ERROR: Module nvidia not found.")}},
            MORE,
            dpkg(audit="The following packages are only half configured:\n linux-firmware\n"),
            {"nvml": [{"error": "NVML Shared Library Not Found", "code": 12}]},
            {"commands": {"modinfo nvidia-current": failed(1, "modinfo: ERROR: Module nvidia-current not found.")}},
        ),
        ("kernel.driver-installed",),
        ("Before it dpkg has to end what it began",),
        warns=("packages.dpkg-whole",),
    ),
}


@pytest.mark.parametrize("name", HOSTS | PACKAGED)
def test_what_fails_is_the_cause_and_what_is_printed_leads_out(name: str) -> None:
    hold((HOSTS | PACKAGED)[name])


@pytest.mark.parametrize(("other", "is_open"), [(GT_710, False), (P2200, True)])
def test_a_module_that_drives_one_of_two_gpus_is_not_what_keeps_it_from_loading(other: Board, is_open: bool) -> None:
    unsigned = joined(
        refused(RTX_4090, DRIVER_580[0], is_open=is_open), {"files": {SECURE_BOOT: "\x06\x00\x00\x00\x01"}}
    )
    second = {path: text for path, text in gpus(other, 2)["files"].items() if "0000:17:00.0" in path}
    assert failures(judged(unsigned)) == ["kernel.secure-boot"]
    assert failures(judged(joined(unsigned, {"files": second}))) == ["kernel.secure-boot"]


def test_what_rests_on_a_cause_in_a_later_layer_names_that() -> None:
    found = {one.id: one for one in judged(HOSTS["a K40 and Ubuntu's 550, whose module ignores it"].machine)}
    assert {found[id].rests_on for id in ("kernel.module-loaded", "driver.start-log", "driver.nvml", "cdi.stale")} == {
        "driver.supports-gpus"
    }
    assert all(found[one.id].status is not Status.UNKNOWN for one in CHECKS.values())


def test_what_calls_apt_begins_with_what_apt_waits_for() -> None:
    found = judged(PACKAGED["a dpkg that was cut off elsewhere, and no driver"].machine)
    calls = [shown(one.remedy) for one in found if any("apt-get install" in line for line in shown(one.remedy))]
    assert {lines[0] for lines in calls} == {"dpkg --configure -a"}


@pytest.mark.parametrize("name", ["nvidia-*", "nvidia-driver-", "libnvidia-compute+", "nvidia -o X"])
def test_what_is_no_packages_name_comes_into_no_command(name: str) -> None:
    said = (
        f"nvidia-dkms-570-server\t570.133.07-0ubuntu0.22.04.1\thold\tinstalled\n{name}\t570.86.15-1\thold\tinstalled\n"
    )
    machine = joined(apart(UBUNTU_22, T4, "570.133.07", "570.172.08"), {"commands": {shlex.join(DPKG_DRIVER): said}})
    assert name not in told(judged(machine))


@pytest.mark.parametrize(
    ("manager", "release", "package"),
    [
        ("apt", "6.8.0-1029-aws", "linux-headers-6.8.0-1029-aws"),
        ("apt", "6.17.4-1-pve", "proxmox-headers-6.17.4-1-pve"),
        ("pacman", "6.18.2-arch2-1", "linux-headers"),
        ("pacman", "6.12.48-1-lts", "linux-lts-headers"),
        ("pacman", "6.17.1-zen1-1-zen", "linux-zen-headers"),
        ("pacman", "6.16.9-hardened1-1-hardened", "linux-hardened-headers"),
        ("pacman", "6.16.8-2-cachyos-bore-lto", "linux-cachyos-bore-lto-headers"),
        ("pacman", "6.12.41-1-MANJARO", "linux612-headers"),
        ("pacman", "6.17.0", ""),
        ("zypper", "6.12.0-160000.5-default", "kernel-default-devel"),
        ("zypper", "6.18.21-1-longterm", "kernel-longterm-devel"),
        ("zypper", "6.4.0-150600.8.40-64kb", "kernel-64kb-devel"),
        ("dnf", "6.17.9-300.fc43.x86_64", "kernel-devel-6.17.9-300.fc43.x86_64"),
        ("dnf", "5.15.0-312.el8uek.x86_64", "kernel-uek-devel-5.15.0-312.el8uek.x86_64"),
        ("dnf", "5.14.0-570.el9.aarch64+64k", "kernel-64k-devel-5.14.0-570.el9.aarch64"),
        ("dnf", "6.12.46-66.121.amzn2023.x86_64", "kernel6.12-devel-6.12.46-66.121.amzn2023.x86_64"),
        ("dnf", "6.1.150-174.273.amzn2023.x86_64", "kernel-devel-6.1.150-174.273.amzn2023.x86_64"),
        ("dnf", "6.17.1-1.el9.elrepo.x86_64", ""),
        ("apk", "6.12.40-0-lts", ""),
    ],
)
def test_headers_are_those_of_the_kernels_flavour(manager: str, release: str, package: str) -> None:
    assert headers_package(manager, release) == package


@pytest.mark.parametrize(
    ("path", "text", "command"),
    [
        ("/etc/prime-discrete", "off\n", "prime-select on-demand"),
        ("/etc/udev/rules.d/50-remove-nvidia.rules", 'ATTR{vendor}=="0x10de"\n', "envycontrol -s hybrid"),
        ("/etc/supergfxd.conf", '{\n  "mode": "Integrated",\n}\n', "supergfxctl --mode Hybrid"),
        ("/etc/modprobe.d/system76-power.conf", "alias nvidia off\n", "system76-power graphics hybrid"),
    ],
)  # fmt: skip
def test_a_gpu_that_a_program_has_switched_off_is_no_broken_card(path: str, text: str, command: str) -> None:
    gone = judged(joined(system(*UBUNTU_24), MORE, {"lists": {PCI: []}, "files": {path: text}}))
    there = judged(joined(refused(T4, DRIVER_580[0]), {"files": {path: text}}))
    for found, id in ((gone, "hardware.gpu-present"), (there, "kernel.module-loaded")):
        assert failures(found) == [id]
        (switched,) = (one.remedy for one in found if one.id == id)
        assert shown(switched) == (command, "reboot")


@pytest.mark.parametrize(
    ("path", "text"), [("/etc/prime-discrete", "on-demand\n"), ("/etc/supergfxd.conf", '{"mode": "Hybrid"}')]
)
def test_a_gpu_that_is_switched_on_is_looked_for(path: str, text: str) -> None:
    found = judged(joined(system(*UBUNTU_24), MORE, {"lists": {PCI: []}, "files": {path: text}}))
    assert "seated and powered" in told(found)
