"""A dozen hosts such as people have, written by hand: what is there, and everything else is absent.

`python tests/synthetic.py` writes each to tests/snapshots/NAME.jsonl, and what doctor finds on every snapshot that lies
there, recorded ones included, beside it: NAME.EXITCODE.txt. A test compares both.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hosts import PCI, cri, failed, host
from hosts_v100 import BOOTED, CHARACTER, DOCKER, INFO, NVIDIAS, POLICY, QUERY, SOURCES, WELL, policy
from simhost import warm

from gpuctl.facts.docker.unit import SHOW_SOCKETS
from gpuctl.facts.packages.packages import TOOLKIT
from gpuctl.host.look.reading import Outcome
from gpuctl.host.record.archive import Snapshot, lines

FOLDER = Path(__file__).parent / "snapshots"
TOOLKIT_VERSION = "1.17.8"
SMI = "nvidia-smi --query-gpu=driver_version --format=csv,noheader"
NO_DRIVER = failed(9, stdout="NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")
AMD = {"vendor": "1002", "device": "744c", "class": "030000"}
Machine = dict[str, Any]


@dataclass(frozen=True)
class Board:
    """A GPU of one kind, as PCI and NVML name it."""

    name: str
    device: str
    capability: str
    brand: str
    gib: int


A100 = Board("NVIDIA A100-SXM4-40GB", "20b0", "8.0", "nvidia", 40)
H100 = Board("NVIDIA H100 80GB HBM3", "2330", "9.0", "nvidia", 80)
RTX_4090 = Board("NVIDIA GeForce RTX 4090", "2684", "8.9", "geforce", 24)
T4 = Board("Tesla T4", "1eb8", "7.5", "nvidia", 15)


def joined(*parts: Machine) -> Machine:
    """Returns a machine that has all that its parts have; of two answers to one look, the later."""
    whole: Machine = {}
    for part in parts:
        for name, value in part.items():
            whole[name] = {**whole.get(name, {}), **value} if isinstance(value, Mapping) else value
    return whole


def system(id: str, name: str, version: str, kernel: str, virtual: str = "none", **more: Any) -> Machine:
    """A machine that runs a distribution with systemd; `virtual` as systemd-detect-virt says it."""
    return joined(
        {
            "files": {
                "/etc/os-release": f'ID={id}\nNAME="{name}"\nVERSION_ID="{version}"\n',
                "/proc/sys/kernel/osrelease": f"{kernel}\n",
                "/proc/sys/kernel/arch": "x86_64\n",
                "/proc/cpuinfo": "flags\t\t: fpu vme de\n",
                "/proc/stat": f"btime {BOOTED}\n",
            },
            "stats": {"/run/systemd/system": {"type": "dir"}, f"/lib/modules/{kernel}/build": {"type": "dir"}},
            "commands": {
                "systemd-detect-virt": f"{virtual}\n",
                "dpkg --audit": "",
                shlex.join(("systemctl", *SHOW_SOCKETS)): "",
            },
            "which": {"apt-get": "/usr/bin/apt-get"},
        },
        more,
    )


def gpus(board: Board, count: int = 1, bound: str | None = "nvidia") -> Machine:
    """The boards on the PCI bus, bound to a kernel driver."""
    files, links = {}, {}
    for place in places(count):
        for name, value in (("vendor", "10de"), ("device", board.device), ("class", "030200")):
            files[f"{PCI}/{place}/{name}"] = f"0x{value}\n"
        links |= {f"{PCI}/{place}/driver": f"../../../../bus/pci/drivers/{bound}"} if bound else {}
    return {"files": files, "links": links}


def places(count: int) -> list[str]:
    return [f"0000:{16 * number + 7:02x}:00.0" for number in range(count)]


def driver(kernel: str, version: str, cuda: str, board: Board, count: int = 1, is_open: bool = False) -> Machine:
    """A driver that works, with its device nodes."""
    kind = "Open Kernel Module for x86_64" if is_open else "x86_64 Kernel Module"
    module = f"/lib/modules/{kernel}/updates/dkms/nvidia.ko"
    shown = [
        {
            "index": number,
            "name": board.name,
            "uuid": f"GPU-00000000-0000-4000-8000-{number:012d}",
            "pci": f"0000{place}",
            "compute_capability": board.capability,
            "brand": board.brand,
            "memory": board.gib << 30,
            "ecc_errors": 0,
            "persistence": 1,
        }
        for number, place in enumerate(places(count))
    ]
    licence = "Dual MIT/GPL" if is_open else "NVIDIA"
    return {
        "files": {
            "/proc/modules": "nvidia_uvm 1 0 - Live 0x0\nnvidia 1 1 nvidia_uvm, Live 0x0\n",
            "/proc/driver/nvidia/version": f"NVRM version: NVIDIA UNIX {kind}  {version}  Release Build\n",
            "/proc/devices": "Character devices:\n195 nvidia\n195 nvidiactl\n510 nvidia-uvm\n",
        },
        "commands": {
            "modinfo nvidia": f"filename:       {module}\nversion:        {version}\nlicense:        {licence}\n",
            SMI: f"{version}\n" * count,
        },
        "stats": {
            **{f"/dev/nvidia{number}": CHARACTER | {"minor": number} for number in range(count)},
            "/dev/nvidiactl": CHARACTER | {"minor": 255},
            "/dev/nvidia-uvm": CHARACTER | {"major": 510},
        },
        "nvml": [{"driver": version, "nvml": f"12.{version}", "cuda": cuda, "count": count}, *shown],
    }


def nvswitches(device: str, count: int) -> Machine:
    """NVSwitches: bridges of NVIDIA's on the PCI bus (class 0680), each with a device node."""
    files = {}
    for number in range(count):
        for name, value in (("vendor", "10de"), ("device", device), ("class", "068000")):
            files[f"{PCI}/0000:{0xC0 + number:02x}:00.0/{name}"] = f"0x{value}\n"
    nodes = {f"/dev/nvidia-nvswitch{number}": CHARACTER | {"major": 235, "minor": number} for number in range(count)}
    return {"files": files, "stats": nodes}


def services(fabric_manager: str | None, load: str = "loaded") -> Machine:
    """NVIDIA's services as systemd tells of them; the fabric manager's state, None where it is not installed."""
    show = "systemctl show nvidia-persistenced.service nvidia-fabricmanager.service"
    persistence = "Result=success\nId=nvidia-persistenced.service\nLoadState=loaded\nActiveState=active\n"
    loaded = f"LoadState={load if fabric_manager else 'not-found'}\nActiveState={fabric_manager or 'inactive'}\n"
    text = f"{persistence}\nResult=success\nId=nvidia-fabricmanager.service\n{loaded}"
    commands = {f"{show} --property=Id,LoadState,ActiveState,Result": text}
    if fabric_manager:
        commands["nv-fabricmanager --version"] = f"Fabric Manager version is : {DRIVER_580[0]}\n"
    return {"commands": commands}


def toolkit(version: str = TOOLKIT_VERSION) -> Machine:
    """NVIDIA's Container Toolkit, from NVIDIA's repository."""
    installed = "".join(f"{name}\t{version}-1\tinstall\tinstalled\n" for name in TOOLKIT)
    return {
        "commands": {
            "nvidia-ctk --version": f"NVIDIA Container Toolkit CLI version {version}\n",
            "nvidia-container-cli --version": f"cli-version: {version}\nlib-version: {version}\n",
            "nvidia-container-runtime --version": f"NVIDIA Container Runtime version {version}\n",
            "nvidia-container-runtime-hook --version": f"NVIDIA Container Runtime Hook version {version}\n",
            QUERY: installed,
            POLICY: policy(f"{version}-1", f"{version}-1 500 {NVIDIAS}"),
        },
        "stats": {
            "/usr/bin/nvidia-container-runtime": {"mode": 0o755},
            "/usr/bin/nvidia-container-runtime-hook": {"mode": 0o755, "ctime": BOOTED - 1000.0},
        },
        "files": {f"{SOURCES}/nvidia-container-toolkit.list": f"deb {NVIDIAS} /\n"},
    }


def docker(endpoint: str = DOCKER, config: str = "/etc/docker/daemon.json", **info: Any) -> Machine:
    """Docker 27.3 that knows the runtime nvidia, in a process that can be seen."""
    daemon_json = {"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "args": []}}}
    said = {"Version": "27.3.1", "ApiVersion": "1.47", "MinAPIVersion": "1.24"}
    runtimes = {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}}
    answers = {"CgroupDriver": "systemd", "CgroupVersion": "2", "Runtimes": runtimes, **info}
    return {
        "files": {
            "/proc/700/comm": "dockerd\n",
            "/proc/700/cmdline": "/usr/bin/dockerd\0-H\0fd://\0",
            "/proc/700/environ": "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\0",
            "/proc/700/stat": "700 (dockerd) S 1 " + "0 " * 17 + "1000000 0 0\n",
            config: json.dumps(daemon_json) + "\n",
        },
        "commands": {
            "docker --version": "Docker version 27.3.1, build ce12230\n",
            "runc --version": "runc version 1.2.5\n",
        },
        "which": {"dockerd": "/usr/bin/dockerd"},
        "sockets": {endpoint: {"/version": said, "/info": INFO | answers, "/images/json": []}},
        "peers": {endpoint: 700},
    }


UBUNTU_22 = ("ubuntu", "Ubuntu", "22.04", "5.15.0-119-generic")
UBUNTU_24 = ("ubuntu", "Ubuntu", "24.04", "6.8.0-45-generic")
DRIVER_580 = ("580.95.05", "13.0")
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
ROOTLESS = "unix:///run/user/1000/docker.sock"
HOSTS: Mapping[str, Machine] = {
    # The host of the source document: CUDA 10.1 in centos7 containers.
    "v100-418": dict(WELL),
    "dgx-a100": joined(
        system(*UBUNTU_22),
        gpus(A100, 8),
        driver(UBUNTU_22[3], *DRIVER_580, A100, 8),
        toolkit(),
        docker(),
        nvswitches("1af1", 6),
        services(fabric_manager="active"),
    ),
    # NVML and nvidia-smi are content, and CUDA fails with 802: nobody has set the NVSwitches up.
    "h100-nvswitch-no-fabric-manager": joined(
        system(*UBUNTU_22),
        gpus(H100, 8),
        driver(UBUNTU_22[3], *DRIVER_580, H100, 8, is_open=True),
        toolkit(),
        docker(),
        nvswitches("22a3", 4),
        services(fabric_manager=None),
    ),
    # The module is built and not signed by a key that the firmware knows.
    "rtx-secure-boot": joined(
        system(*UBUNTU_24),
        gpus(RTX_4090, bound=None),
        {
            "files": {SECURE_BOOT: "\x06\x00\x00\x00\x01", "/proc/modules": "drm 1 0 - Live 0x0\n"},
            "commands": {
                "modinfo nvidia": "filename:       /lib/modules/6.8.0-45-generic/updates/dkms/nvidia.ko.zst\n"
                "version:        580.95.05\nlicense:        NVIDIA\n",
                "dkms status": "nvidia/580.95.05, 6.8.0-45-generic, x86_64: installed\n",
                "mokutil --sb-state": "SecureBoot enabled\n",
                SMI: NO_DRIVER,
            },
            "nvml": [{"error": "Driver Not Loaded", "code": 9}],
        },
        toolkit(),
        docker(),
    ),
    # The driver is Windows': there is no module and no GPU on the PCI bus.
    "wsl2": joined(
        system("ubuntu", "Ubuntu", "22.04", "5.15.167.4-microsoft-standard-WSL2", "wsl"),
        {
            "stats": {"/dev/dxg": {"type": "char", "mode": 0o666, "major": 10, "minor": 125}},
            "which": {"/usr/lib/wsl/lib/nvidia-smi": "/usr/lib/wsl/lib/nvidia-smi"},
            "commands": {f"/usr/lib/wsl/lib/{SMI}": "581.42\n"},
            "nvml": driver("", "581.42", "13.0", RTX_4090)["nvml"],
            "lists": {PCI: []},
        },
        toolkit(),
        docker(),
    ),
    # Its GPU is part of the chip: no PCI function, and no NVML before JetPack 7.
    "jetson-orin": joined(
        system("ubuntu", "Ubuntu", "22.04", "5.15.148-tegra"),
        {
            "files": {
                "/proc/sys/kernel/arch": "aarch64\n",
                "/etc/nv_tegra_release": "# R36 (release), REVISION: 4.0, BOARD: generic, EABI: aarch64\n",
                "/proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
                "/proc/modules": "nvgpu 1 0 - Live 0x0\n",
                "/etc/nvidia-container-runtime/host-files-for-container.d/drivers.csv": "dev, /dev/nvhost-gpu\n",
            },
        },
        toolkit(),
        docker(),
    ),
    # A plain user, whose own Docker has no cgroups of the system's: the hook must not touch devices.
    "rootless-docker": joined(
        system(*UBUNTU_24),
        gpus(T4),
        driver(UBUNTU_24[3], *DRIVER_580, T4),
        toolkit(),
        docker(
            ROOTLESS,
            "/home/ada/.config/docker/daemon.json",
            SecurityOptions=["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"],
            DockerRootDir="/home/ada/.local/share/docker",
        ),
        {
            "env": {"euid": "1000", "HOME": "/home/ada", "XDG_RUNTIME_DIR": "/run/user/1000"},
            "files": {
                "/proc/700/cmdline": "dockerd\0",
                "/proc/700/status": "Uid:\t1000\t1000\t1000\t1000\n",
                "/proc/700/environ": "PATH=/usr/sbin:/usr/bin:/sbin:/bin\0HOME=/home/ada\0",
            },
        },
    ),
    "snap-docker": joined(
        system(*UBUNTU_24),
        gpus(T4),
        driver(UBUNTU_24[3], *DRIVER_580, T4),
        docker(
            config="/var/snap/docker/current/config/daemon.json",
            DockerRootDir="/var/snap/docker/common/var-lib-docker",
            Runtimes={"runc": {"path": "runc"}},
        ),
    ),
    # No Docker at all: K3s has a containerd of its own.
    "k3s-node": joined(
        system(*UBUNTU_22),
        gpus(T4),
        driver(UBUNTU_22[3], *DRIVER_580, T4),
        toolkit(),
        {
            "files": {
                "/proc/900/comm": "containerd\n",
                "/proc/900/cmdline": "containerd\0-c\0/var/lib/rancher/k3s/agent/etc/containerd/config.toml"
                "\0-a\0/run/k3s/containerd/containerd.sock\0",
                "/proc/900/stat": "900 (containerd) S 850 " + "0 " * 17 + "1000000 0 0\n",
                "/proc/850/comm": "k3s-server\n",
                "/var/lib/rancher/k3s/agent/etc/containerd/config.toml": "version = 2\n",
            },
            "links": {"/proc/900/exe": "/var/lib/rancher/k3s/data/0/bin/k3s"},
            "calls": cri(
                "/run/k3s/containerd/containerd.sock", {"runc": "", "nvidia": "/usr/bin/nvidia-container-runtime"}
            ),
        },
    ),
    "amd-only": joined(
        system(*UBUNTU_24),
        {
            "files": {f"{PCI}/0000:03:00.0/{name}": f"0x{value}\n" for name, value in AMD.items()},
            "links": {f"{PCI}/0000:03:00.0/driver": "../../../../bus/pci/drivers/amdgpu"},
        },
        docker(Runtimes={"runc": {"path": "runc"}}),
    ),
    "vm-without-passthrough": joined(system(*UBUNTU_22, "kvm"), toolkit(), docker(), {"lists": {PCI: []}}),
    "fresh-ubuntu": joined(
        system(*UBUNTU_24), gpus(T4, bound="nouveau"), {"files": {"/proc/modules": "nouveau 1 0 -\n"}}
    ),
}


def write_all() -> None:
    """Writes the hosts as snapshots, and what doctor finds on every snapshot."""
    for name, machine in HOSTS.items():
        readings = host(**machine).readings
        (FOLDER / f"{name}.jsonl").write_text(lines(Snapshot(readings, unrecorded=Outcome.ABSENT)), encoding="utf-8")
    for found in FOLDER.glob("*.txt"):
        found.unlink()
    for snapshot in snapshots():
        code, text = findings(snapshot)
        (FOLDER / f"{called(snapshot)}.{code}.txt").write_text(text, encoding="utf-8")


def snapshots() -> list[Path]:
    """Returns every snapshot in the folder, written by hand or recorded."""
    return sorted(path for path in FOLDER.iterdir() if path.name.endswith((".jsonl", ".jsonl.gz")))


def called(snapshot: Path) -> str:
    """Returns a snapshot's name."""
    return snapshot.name.partition(".jsonl")[0]


def findings(snapshot: Path) -> tuple[int, str]:
    """Returns doctor's exit code for a snapshot, and what it finds: status and id of all that is not good."""
    done = warm.gpuctl("doctor", "--json", "--from", str(snapshot))
    told = json.loads(done.stdout)["findings"]
    loud = sorted(f"{one['status']} {one['id']}\n" for one in told if one["status"] in ("fail", "warn", "unknown"))
    return done.returncode, "".join(loud)


if __name__ == "__main__":
    write_all()
