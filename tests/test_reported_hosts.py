"""Hosts as people reported them, each with the answer that its thread came to: what fails, and what is printed for it.

Where a thread is public, its address stands with the host. Names, addresses and serial numbers are none of theirs.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

import pytest
from hosts import PCI, failed
from hosts_v100 import NVIDIAS, SOURCES
from reported import Reported, hold
from synthetic import (
    DRIVER_580,
    H100,
    HOSTS,
    NO_DRIVER,
    RTX_4090,
    SECURE_BOOT,
    SMI,
    T4,
    UBUNTU_24,
    Board,
    Machine,
    docker,
    driver,
    gpus,
    joined,
    nvswitches,
    services,
    system,
    toolkit,
)

from gpuctl.facts.gpu.driver_packages import RPM_DRIVER
from gpuctl.facts.gpu.tegra import CSV_FOLDER
from gpuctl.facts.machine.services import SHOW_OTHERS

FEDORA = ("fedora", "Fedora Linux", "43", "6.17.9-300.fc43.x86_64")
B200 = Board("NVIDIA B200", "2901", "10.0", "nvidia", 180)
B300 = Board("NVIDIA B300 SXM6 AC", "3182", "10.3", "nvidia", 288)
GB200 = Board("NVIDIA GB200", "2941", "10.0", "nvidia", 186)
GB10 = Board("NVIDIA GB10", "2e12", "12.1", "nvidia", 0)
H100_PCIE = Board("NVIDIA H100 PCIe", "2331", "9.0", "nvidia", 80)
P4 = Board("Tesla P4", "1bb3", "6.1", "tesla", 8)
THOR = Board("NVIDIA Thor", "2b00", "11.0", "nvidia", 0)
A16 = Board("NVIDIA A16-8C", "25b6", "8.6", "nvidia", 8)
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
KEYRING = "/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg"
BARE = {
    "files": {"/proc/modules": "drm 1 0 - Live 0x0\n"},
    "commands": {
        "modinfo nvidia": failed(1, "modinfo: ERROR: Module nvidia not found."),
        "modinfo nvidia-current": failed(1, "modinfo: ERROR: Module nvidia-current not found."),
    },
    "nvml": [{"error": "NVML Shared Library Not Found", "code": 12}],
}
"""No driver at all."""
NO_FIRMWARE = (
    "[ 3.1] nvidia 0000:07:00.0: Direct firmware load for nvidia/580.95.05/gsp_ga10x.bin failed with error -2\n"
    "[ 3.2] NVRM: GPU 0000:07:00.0: RmInitAdapter failed! (0x62:0x40:1805)\n"
)
NO_LIBRARY = {"nvml": [{"error": "NVML Shared Library Not Found", "code": 12}]}
PODMAN = {"commands": {"podman --version": "podman version 5.6.2\n"}, "which": {"dnf": "/usr/bin/dnf"}}
BASE = {
    "commands": {
        "nvidia-ctk --version": "NVIDIA Container Toolkit CLI version 1.18.1\n",
        "nvidia-cdi-hook --version": "NVIDIA CDI Hook version 1.18.1\n",
    }
}
"""nvidia-container-toolkit-base: what CDI needs, and no more."""
CDI_HOOK = {
    "commands": {"nvidia-cdi-hook --version": "NVIDIA CDI Hook version 1.18.1\n"},
    "stats": {"/usr/bin/nvidia-cdi-hook": {"mode": 0o755}},
}
"""Without it Docker serves --gpus by no specification."""
KUBERNETES = {
    "files": {
        "/proc/900/comm": "containerd\n",
        "/proc/900/cmdline": "/usr/bin/containerd\0",
        "/proc/900/stat": "900 (containerd) S 1 " + "0 " * 17 + "1000000 0 0\n",
    },
    "links": {"/proc/900/exe": "/usr/bin/containerd"},
    "which": {"containerd": "/usr/bin/containerd"},
}
OPERATOR = {
    "stats": {
        f"/usr/local/nvidia/toolkit/{name}": {"mode": 0o755}
        for name in ("nvidia-container-runtime", "nvidia-ctk", "nvidia-cdi-hook")
    },
    "files": {"/run/nvidia/driver/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.95.05": ""},
}


def release(id: str, more: str = "", version: str = "") -> Machine:
    return {"files": {"/etc/os-release": f'ID={id}\nNAME="{id}"\nVERSION_ID="{version}"\n{more}'}}


def cdi(version: str, *more: str, path: str = "/etc/cdi/nvidia.yaml") -> Machine:
    mounts = [{"hostPath": name, "containerPath": name} for name in (f"/usr/lib64/libcuda.so.{version}", *more)]
    nodes = [{"path": "/dev/nvidia0"}]
    document = {
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "devices": [{"name": "all", "containerEdits": {"deviceNodes": nodes}}],
        "containerEdits": {"mounts": mounts},
    }
    return {"files": {path: json.dumps(document)}}


def docker_29(*folders: str) -> Machine:
    return docker_of("29.2.1", *folders)


def docker_of(version: str, *folders: str) -> Machine:
    """A Docker that takes CDI devices, and has no runtime called nvidia."""
    machine = docker(CDISpecDirs=list(folders), Runtimes={"runc": {"path": "runc"}})
    for answers in machine["sockets"].values():
        answers["/version"] = {"Version": version, "ApiVersion": "1.53", "MinAPIVersion": "1.44"}
    machine["files"]["/etc/docker/daemon.json"] = "{}\n"
    return machine


def well(board: Board, count: int = 1, base: tuple[str, str, str, str] = UBUNTU_24, is_open: bool = True) -> Machine:
    return joined(system(*base), gpus(board, count), driver(base[3], *DRIVER_580, board, count, is_open=is_open))


def without_modules(machine: Machine) -> Machine:
    """A machine whose running kernel's package is gone."""
    stats = {path: seen for path, seen in machine["stats"].items() if not path.startswith("/lib/modules/")}
    return {**machine, "stats": stats}


def built(kernel: str) -> Machine:
    """A module of DKMS for a kernel, which is not loaded."""
    return {
        "commands": {
            "modinfo nvidia": f"filename: /lib/modules/{kernel}/updates/dkms/nvidia.ko\nversion: {DRIVER_580[0]}\n",
            "dkms status": f"nvidia/{DRIVER_580[0]}, {kernel}, x86_64: installed\n",
            SMI: NO_DRIVER,
        },
        "nvml": [{"error": "Driver Not Loaded", "code": 9}],
    }


def fabric(board: Board, state: str, count: int = 4) -> Machine:
    shown = driver("", *DRIVER_580, board, count)["nvml"]
    return {"nvml": [shown[0], *({**gpu, "fabric": state} for gpu in shown[1:])]}


def split(board: Board, *instances: int | None) -> Machine:
    """GPUs by the MIG devices that they have; None: MIG is off."""
    shown = driver("", *DRIVER_580, board, len(instances))["nvml"]
    each = zip(shown[1:], instances, strict=True)
    return {"nvml": [shown[0], *({**gpu, "mig": made is not None, "mig_devices": made} for gpu, made in each)]}


def others(imex: str = "not-found", gridd: str = "not-found") -> Machine:
    units = (("nvidia-imex", imex), ("nvidia-gridd", gridd))
    text = "\n".join(
        f"Result=exit-code\nId={name}.service\nLoadState={'not-found' if state == 'not-found' else 'loaded'}\n"
        f"ActiveState={state}\n"
        for name, state in units
    )
    return {"commands": {shlex.join(SHOW_OTHERS): text}}


def jetson(l4t: str, model: str, *more: Machine) -> Machine:
    major, _, revision = l4t.partition(".")
    return joined(
        system("ubuntu", "Ubuntu", "22.04", "5.15.148-tegra"),
        {
            "files": {
                "/proc/sys/kernel/arch": "aarch64\n",
                "/etc/nv_tegra_release": f"# R{major} (release), REVISION: {revision}, GCID: 1, BOARD: generic\n",
                "/proc/device-tree/model": f"{model}\0",
                "/proc/modules": "nvgpu 1 0 - Live 0x0\n",
                f"{CSV_FOLDER}/drivers.csv": "dev, /dev/nvhost-gpu\n",
            }
        },
        *more,
    )


def licence(status: str, *more: Machine) -> Machine:
    asked = {"nvidia-smi -q": f"    vGPU Software Licensed Product\n        License Status              : {status}\n"}
    return joined(well(A16), toolkit(), docker(), {"commands": asked}, *more)


REPORTED: Mapping[str, Reported] = {
    # NVLink 5: https://github.com/NVIDIA/NVSentinel/issues/883, https://github.com/spectrocloud/CanvOS/pull/700
    "eight B200 whose fabric manager failed": Reported(
        joined(well(B200, 8), toolkit(), docker(), services("failed")),
        ("driver.fabric-manager",),
        ("systemctl enable --now nvidia-fabricmanager", "ib_umad", "nvlsm"),
    ),
    "eight B300 without a fabric manager": Reported(
        joined(well(B300, 8), toolkit(), docker(), services(None)),
        ("driver.fabric-manager",),
        ("nvidia-fabricmanager",),
    ),
    "B200 of a virtual machine, whose hypervisor has set the fabric up": Reported(
        joined(
            well(B200, 8),
            fabric(B200, "completed", 8),
            toolkit(),
            docker(),
            services(None),
            {"commands": {"systemd-detect-virt": "kvm\n"}},
        )
    ),
    "B200 of a virtual machine that wait for their fabric": Reported(
        joined(
            well(B200, 8),
            fabric(B200, "in progress", 8),
            toolkit(),
            docker(),
            services(None),
            {"commands": {"systemd-detect-virt": "kvm\n"}},
        ),
        ("driver.fabric-state",),
    ),
    "a tray of GB200 that has joined": Reported(
        joined(well(GB200, 4), fabric(GB200, "completed"), toolkit(), docker(), services(None), others("active"))
    ),
    "a tray of GB200 whose imex failed": Reported(
        joined(well(GB200, 4), fabric(GB200, "completed"), toolkit(), docker(), services(None), others("failed")),
        warns=("driver.imex",),
        says=("nodes_config.cfg",),
    ),
    "a tray of GB200 whose rack is not set up": Reported(
        joined(well(GB200, 4), fabric(GB200, "not started"), toolkit(), docker(), services(None), others("active")),
        ("driver.fabric-state",),
    ),
    "one B200 alone": Reported(joined(well(B200), toolkit(), docker(), services(None))),
    # Paths: https://github.com/projectbluefin/bluefin/pull/559, https://github.com/projectbluefin/dakota/issues/376
    "Bluefin: Podman, the toolkit's base, a fitting specification": Reported(
        joined(well(RTX_4090, base=FEDORA), release("bluefin"), PODMAN, BASE, cdi(DRIVER_580[0]))
    ),
    "Dakota: Podman and no specification": Reported(
        joined(well(RTX_4090, base=FEDORA), PODMAN, BASE),
        ("registration.podman",),
        (),
        ("nvidia-container-runtime-hook",),
    ),
    "Podman and a specification of the driver before": Reported(
        joined(well(T4, base=FEDORA), PODMAN, BASE, cdi("570.153.02")), ("cdi.stale",), ("gpuctl doctor --fix",)
    ),
    "Podman by the hook of old, which is gone": Reported(
        joined(
            well(T4, base=FEDORA),
            PODMAN,
            BASE,
            {"files": {"/usr/share/containers/oci/hooks.d/oci-nvidia-hook.json": "{}"}},
        ),
        ("toolkit.runtime", "toolkit.hook", "toolkit.cli"),
    ),
    # https://github.com/NixOS/nixpkgs/pull/331071
    "NixOS: Docker 29 and the specification that its service writes": Reported(
        joined(
            well(RTX_4090),
            release("nixos"),
            docker_29("/var/run/cdi"),
            cdi(DRIVER_580[0], path="/var/run/cdi/nvidia-container-toolkit.json"),
            {"which": {"apt-get": "/nowhere"}},
        )
    ),
    "a specification that mounts a socket which is gone": Reported(
        joined(
            well(T4),
            toolkit(),
            CDI_HOOK,
            docker_29("/etc/cdi"),
            cdi(DRIVER_580[0], "/run/nvidia-persistenced/socket"),
            {"stats": {f"/usr/lib64/libcuda.so.{DRIVER_580[0]}": {}}},
        ),
        ("cdi.stale",),
        ("/run/nvidia-persistenced/socket",),
    ),
    # Drivers of others
    "a node of the GPU Operator": Reported(
        joined(well(H100), NO_LIBRARY, KUBERNETES, OPERATOR), never=("apt-get", "Install the driver")
    ),
    "a node of the GPU Operator on Flatcar": Reported(
        joined(well(H100), release("flatcar", 'VARIANT="x"\n'), NO_LIBRARY, KUBERNETES, OPERATOR), never=("apt-get",)
    ),
    "a node of GKE": Reported(
        joined(
            well(T4),
            release("cos", version="121"),
            NO_LIBRARY,
            KUBERNETES,
            {"stats": {"/home/kubernetes/bin/nvidia": {"type": "dir"}}},
        ),
        never=("apt-get", "Install the toolkit"),
    ),
    # https://github.com/charmed-kubernetes/bundle/issues/284
    "a guest of LXC whose libraries are newer than its host's module": Reported(
        joined(
            well(T4),
            toolkit(),
            docker(),
            {
                "commands": {"systemd-detect-virt": "lxc\n", SMI: failed(18, stdout="Driver/library version mismatch")},
                "nvml": [{"error": "RM has detected an NVML/RM version mismatch.", "code": 18}],
                "stats": {"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": {}},
                "links": {"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": "libnvidia-ml.so.580.105.08"},
            },
        ),
        ("driver.version-agrees",),
        ("NVIDIA-Linux-x86_64-580.95.05.run --no-kernel-modules",),
        ("reboot",),
    ),
    # https://github.com/nvidiavgpuarchive/index/issues/1
    "a guest of LXC with the driver of vGPU's guests beside its host's": Reported(
        joined(
            system("debian", "Debian GNU/Linux", "12", "6.8.12-9-pve", "lxc"),
            gpus(P4),
            driver("6.8.12-9-pve", "570.148.06", "12.8", P4),
            toolkit(),
            docker(),
            {
                "files": {"/run/systemd/container": "lxc"},
                "commands": {SMI: failed(18, stdout="Failed to initialize NVML: Driver/library version mismatch")},
                "nvml": [{"error": "RM has detected an NVML/RM version mismatch.", "code": 18}],
                "stats": {f"{LIBRARIES}/libnvidia-ml.so.1": {}},
                "links": {f"{LIBRARIES}/libnvidia-ml.so.1": "libnvidia-ml.so.570.148.08"},
            },
        ),
        ("driver.version-agrees",),
        ("570.148.06", "--no-kernel-modules"),
        ("nvidia-open", "cuda-keyring", "linux-headers"),
    ),
    # https://github.com/wilicc/gpu-burn/issues/36
    "MIG on without a device, on all GPUs but the first": Reported(
        joined(well(H100, 4), split(H100, None, 0, 0, 0), toolkit(), docker(), services("active")),
        says=("GPU 1, 2, 3 has MIG on", "nvidia-smi mig"),
        never=("GPU 0",),
        warns=("driver.mig-instances",),
    ),
    "a fabric manager that failed, having no NVSwitch to manage": Reported(
        joined(well(H100_PCIE, 4), toolkit(), docker(), services("failed"))
    ),
    "a guest of LXC without device nodes": Reported(
        joined(system("debian", "Debian", "13", "6.17.4-1-pve", "lxc"), toolkit(), docker(), {"lists": {PCI: []}}),
        ("hardware.gpu-present",),
        ("/dev/nvidia0",),
        ("docker run --gpus",),
    ),
    "a virtual GPU without a licence, and no token": Reported(
        licence("Unlicensed (Unrestricted)"), ("driver.vgpu-licence",), ("ClientConfigToken",)
    ),
    "a virtual GPU whose server gives no licence": Reported(
        licence("Unlicensed (Restricted)", {"files": {"/etc/nvidia/ClientConfigToken/client_configuration.tok": "x"}}),
        ("driver.vgpu-licence",),
        ("systemctl restart nvidia-gridd",),
    ),
    "a virtual GPU with its licence": Reported(licence("Licensed (Expiry: 2026-12-30 10:0:0 GMT)")),
    # Distributions
    "Oracle Linux 8 with UEK": Reported(
        joined(
            system("ol", "Oracle Linux Server", "8.10", "5.15.0-312.187.5.el8uek.x86_64"),
            gpus(T4, bound=None),
            BARE,
            docker(),
            toolkit(),
            {"which": {"dnf": "/usr/bin/dnf", "apt-get": "/nowhere"}},
        ),
        ("kernel.driver-installed",),
        ("kernel-uek-devel-5.15.0-312.187.5.el8uek.x86_64",),
    ),
    "Proxmox itself, without a driver": Reported(
        joined(
            system("debian", "Debian GNU/Linux", "13", "6.17.4-1-pve"),
            gpus(T4, bound=None),
            BARE,
            docker(),
            toolkit(),
        ),
        ("kernel.driver-installed",),
        ("proxmox-headers-6.17.4-1-pve",),
        ("linux-headers",),
    ),
    "Amazon Linux 2023 without Docker": Reported(
        joined(
            well(T4, base=("amzn", "Amazon Linux", "2023", "6.1.158-178.288.amzn2023.x86_64")),
            toolkit(),
            {"which": {"dnf": "/usr/bin/dnf"}, "files": {"/etc/os-release": 'ID="amzn"\nID_LIKE="fedora"\n'}},
        ),
        ("docker.installed",),
        ("dnf install -y docker",),
        ("docker-ce",),
    ),
    "Azure Linux without Docker": Reported(
        joined(
            well(T4, base=("azurelinux", "Azure Linux", "3.0", "6.6.96.2-2.azl3")),
            toolkit(),
            {"which": {"dnf": "/usr/bin/dnf", "apt-get": "/nowhere"}},
        ),
        ("docker.installed",),
        ("Install Docker.",),
        ("docker-ce", "apt-get"),
    ),
    "Silverblue as it comes": Reported(
        joined(
            system(*FEDORA),
            gpus(RTX_4090, bound="nouveau"),
            PODMAN,
            BARE,
            {"files": {"/run/ostree-booted": "", "/proc/modules": "nouveau 1 0 -\n"}},
        ),
        ("kernel.driver-installed", "toolkit.installed"),
        ("rpm-ostree install akmod-nvidia", "rpm-ostree install nvidia-container-toolkit"),
        ("dnf install", "apt-get", "dracut"),
    ),
    "TrueNAS without its driver": Reported(
        joined(
            system("debian", "Debian GNU/Linux", "12", "6.12.33-production+truenas"),
            gpus(T4, bound=None),
            BARE,
            docker(),
            toolkit(),
        ),
        ("kernel.driver-installed",),
        ("Install NVIDIA Drivers",),
        ("apt-get", "dpkg"),
    ),
    "MicroOS without a driver": Reported(
        joined(
            system("opensuse-microos", "openSUSE MicroOS", "20261120", "6.17.9-1-default"),
            gpus(T4, bound=None),
            BARE,
            PODMAN,
            BASE,
            cdi(DRIVER_580[0]),
        ),
        ("kernel.driver-installed",),
        ("transactional-update pkg install",),
        ("zypper", "apt-get"),
    ),
    # Jetson and its kin
    "Orin with JetPack 6.2": Reported(
        jetson("36.4.3", "NVIDIA Jetson Orin NX Engineering Reference", toolkit(), docker())
    ),
    "Orin whose lists for containers are missing": Reported(
        jetson(
            "36.4.3",
            "NVIDIA Jetson AGX Orin Developer Kit",
            toolkit(),
            docker(),
            {"files": {f"{CSV_FOLDER}/drivers.csv": failed(1), f"{CSV_FOLDER}/README": ""}},
        )
        | {"lists": {CSV_FOLDER: ["README"]}},
        warns=("toolkit.csv",),
    ),
    "Nano with JetPack 4.6": Reported(jetson("32.7.4", "NVIDIA Jetson Nano Developer Kit", toolkit("1.7.0"), docker())),
    "Thor with JetPack 7": Reported(
        joined(
            jetson("38.4.0", "NVIDIA Jetson AGX Thor Developer Kit"),
            gpus(THOR),
            driver("5.15.148-tegra", "580.00", "13.0", THOR, is_open=True),
            toolkit("1.18.1"),
            docker(),
        )
    ),
    # https://github.com/NVIDIA-AI-IOT/live-vlm-webui/pull/29
    "Orin whose Docker has no runtime nvidia": Reported(
        jetson(
            "36.4.7",
            "NVIDIA Jetson Orin Nano Developer Kit",
            toolkit("1.18.1"),
            docker(Runtimes={"runc": {"path": "runc"}}),
            {"files": {"/etc/docker/daemon.json": "{}"}},
        ),
        ("registration.runtime",),
        ("gpuctl install-runtime",),
        ("by CDI", "cdi generate"),
    ),
    # https://github.com/NVIDIA/nvidia-container-toolkit/issues/1853
    "Orin with Podman and no specification": Reported(
        jetson("36.4.3", "NVIDIA Jetson Orin NX", PODMAN, BASE),
        ("registration.podman",),
        (),
        ("nvidia-container-runtime",),
    ),
    "Orin with Podman and a specification of what is gone": Reported(
        jetson("36.4.3", "NVIDIA Jetson Orin NX", PODMAN, BASE, cdi("540.4.0")),
        ("cdi.stale",),
        ("gpuctl doctor --fix",),
    ),
    # https://github.com/NixOS/nixpkgs/issues/340386, https://github.com/NixOS/nixpkgs/issues/363505
    "NixOS: the toolkit's specification, and a Docker 27 whose CDI is off": Reported(
        joined(
            well(RTX_4090),
            release("nixos", version="24.11"),
            docker(Runtimes={"runc": {"path": "runc"}}, CDISpecDirs=[]),
            {"files": {"/etc/docker/daemon.json": "{}"}, "which": {"apt-get": "/nowhere"}},
            BASE,
            cdi(DRIVER_580[0], path="/var/run/cdi/nvidia-container-toolkit.json"),
        ),
        ("cdi.feature",),
        ("virtualisation.docker.daemon.settings.features.cdi", "--device nvidia.com/gpu=all"),
        ("gpuctl install-runtime",),
    ),
    # https://github.com/moby/moby/pull/49738: CDI is on by default from 28.2 on
    "Docker 28 with the toolkit's base and a specification": Reported(
        joined(well(RTX_4090), docker_of("28.5.2", "/etc/cdi", "/var/run/cdi"), BASE, cdi(DRIVER_580[0])),
        says=("--device nvidia.com/gpu=all",),
        warns=("registration.hook-visible",),
    ),
    # https://github.com/ublue-os/hwe/issues/173
    "Bazzite whose key the firmware does not know": Reported(
        joined(
            system("bazzite", "Bazzite", "43", "6.17.7-ba25.fc43.x86_64"),
            gpus(RTX_4090, bound=None),
            built("6.17.7-ba25.fc43.x86_64"),
            PODMAN,
            BASE,
            cdi(DRIVER_580[0]),
            {"files": {SECURE_BOOT: "\x06\x00\x00\x00\x01", "/run/ostree-booted": "", "/proc/modules": "drm 1 0 -\n"}},
        ),
        ("kernel.secure-boot",),
        ("mokutil --import /etc/pki/akmods/certs/akmods-ublue.der",),
        ("/var/lib/dkms", "dnf install"),
    ),
    # https://github.com/microsoft/WSL/issues/40680
    "WSL with Ubuntu's driver in it": Reported(
        joined(
            HOSTS["wsl2"],
            {
                "stats": {"/usr/lib/wsl/lib/libcuda.so.1": {}, f"{LIBRARIES}/libcuda.so.1": {}},
                "commands": {
                    "ldconfig -p": f"\tlibcuda.so.1 (libc6,x86-64) => {LIBRARIES}/libcuda.so.1\n",
                    f"dpkg -S {LIBRARIES}/libcuda.so.1": f"libnvidia-compute-535:amd64: {LIBRARIES}/libcuda.so.1\n",
                },
            },
        ),
        ("hardware.wsl-libraries",),
        ("apt-get remove -y libnvidia-compute-535", "the driver is Windows'"),
        ("apt-get install", "reboot"),
    ),
    # https://github.com/negativo17/nvidia-driver/issues/180, https://github.com/Nobara-Project/rpm-sources/issues/525
    "negativo17's libraries, newer than the module on the disk": Reported(
        joined(
            system("rocky", "Rocky Linux", "9.6", "5.14.0-570.26.1.el9_6.x86_64"),
            gpus(T4),
            driver("5.14.0-570.26.1.el9_6.x86_64", "575.64", "12.9", T4),
            toolkit(),
            docker(),
            {
                "which": {"dnf": "/usr/bin/dnf", "apt-get": "/nowhere"},
                "commands": {
                    SMI: failed(18, stdout="Driver/library version mismatch"),
                    shlex.join(RPM_DRIVER): "akmod-nvidia\t575.64.03-1.el9\tinstall\tinstalled\n"
                    "nvidia-driver\t575.64.03-1.el9\tinstall\tinstalled\n",
                },
                "nvml": [{"error": "RM has detected an NVML/RM version mismatch.", "code": 18}],
                "stats": {"/usr/lib64/libnvidia-ml.so.1": {}},
                "links": {"/usr/lib64/libnvidia-ml.so.1": "libnvidia-ml.so.575.64.03"},
            },
        ),
        ("driver.version-agrees",),
        ("the next boot loads the module 575.64", "dnf upgrade --refresh nvidia-driver '*nvidia*'"),
        ("cuda-rhel9", "nvidia-open"),
    ),
    # https://github.com/NVIDIA/nvidia-docker/issues/1658
    "a key of the toolkit's repository that apt's user may not read": Reported(
        joined(
            well(T4),
            toolkit(),
            docker(),
            {
                "files": {f"{SOURCES}/nvidia-container-toolkit.list": f"deb [signed-by={KEYRING}] {NVIDIAS} /\n"},
                "stats": {KEYRING: {"mode": 0o640}},
            },
        ),
        says=(f"chmod a+rX {KEYRING}",),
        warns=("packages.key-readable",),
    ),
    # The kernel's own drivers and packages: https://github.com/beclab/Olares/pull/3963,
    # https://github.com/saber-nyan/kernel-modules-hook/issues/9
    "Ubuntu 26.04 whose nova holds the GPU": Reported(
        joined(
            system("ubuntu", "Ubuntu", "26.04", "7.0.0-10-generic"),
            gpus(RTX_4090, bound="NovaCore"),
            built("7.0.0-10-generic"),
            toolkit(),
            docker(),
            {"files": {"/proc/modules": "nova_core 1 0 - Live 0x0\n"}},
        ),
        ("kernel.nouveau",),
        ("nova holds the GPU", "blacklist nova_core", "reboot"),
        never=("nvidia-open", "modprobe nvidia"),
    ),
    "Arch whose kernel was updated while it ran": Reported(
        joined(
            without_modules(system("arch", "Arch Linux", "", "6.15.6-arch1-1")),
            gpus(RTX_4090, bound=None),
            BARE,
            {"files": {"/lib/modules/6.15.8-arch1-1/extramodules/nvidia.ko": ""}},
            {"commands": {SMI: NO_DRIVER}, "nvml": [{"error": "Driver Not Loaded", "code": 9}]},
            toolkit(),
            docker(),
            {"which": {"pacman": "/usr/bin/pacman"}},
        ),
        ("kernel.module-built",),
        ("Reboot into the kernel that is installed",),
        never=("pacman",),
    ),
    # https://github.com/NVIDIA/gpu-operator/issues/356
    "eight H100 whose fabric manager is masked": Reported(
        joined(well(H100, 8), toolkit(), docker(), nvswitches("22a3", 4), services("inactive", load="masked")),
        ("driver.fabric-manager",),
        ("systemctl unmask nvidia-fabricmanager",),
        never=("Install the fabric manager",),
    ),
    # https://github.com/NVIDIA/open-gpu-kernel-modules/issues/263
    "a driver without its firmware": Reported(
        joined(
            well(RTX_4090),
            toolkit(),
            docker(),
            {
                "commands": {SMI: "No devices were found\n", "dmesg": NO_FIRMWARE},
                "nvml": [{"driver": DRIVER_580[0], "nvml": "12.580", "cuda": "13.0", "count": 0}],
            },
        ),
        ("driver.start-log",),
        ("/lib/firmware/nvidia/580.95.05/gsp_ga10x.bin is missing",),
        never=("Above 4G",),
    ),
    "a folder of Docker's that is open to all": Reported(
        joined(well(T4), toolkit(), docker(), {"stats": {"/etc/docker": {"type": "dir", "mode": 0o777}}}),
        ("docker.config-valid",),
        ("chmod o-w /etc/docker",),
    ),
    "DGX Spark": Reported(
        joined(
            well(GB10),
            toolkit("1.18.1"),
            docker(),
            {"files": {"/etc/dgx-release": 'DGX_NAME="DGX Spark"\n', "/proc/sys/kernel/arch": "aarch64\n"}},
        )
    ),
}


@pytest.mark.parametrize("name", REPORTED)
def test_a_reported_host_is_told_what_its_thread_found_and_what_helps_there(name: str) -> None:
    hold(REPORTED[name])
