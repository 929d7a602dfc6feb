"""The source document's host, whole and well: a V100, driver 418.87.00, Docker 19.03, Debian; and its illnesses."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from hosts import host

from gpuctl.facts.machine import disks
from gpuctl.facts.packages import automatic_upgrades as apt
from gpuctl.facts.packages.packages import DPKG_QUERY, SHOW_KEYS, TOOLKIT
from gpuctl.host.record.snapshot import SnapshotHost

DOCKER = "unix:///var/run/docker.sock"
KERNEL = "4.19.0-9-amd64"
MODULE = f"/lib/modules/{KERNEL}/updates/dkms/nvidia.ko"
UUID = "GPU-5a1c3e6b-0000-4000-8000-000000000001"
GPU = {
    "index": 0,
    "name": "Tesla V100-SXM2-32GB",
    "uuid": UUID,
    "pci": "00000000:3b:00.0",
    "compute_capability": "7.0",
    "brand": "tesla",
    "memory": 34_089_730_048,
    "ecc_errors": 0,
    "minor": 0,
}
NVML = [{"driver": "418.87.00", "nvml": "10.418.87.00", "cuda": "10.1", "count": 1}, GPU]
VERSION = {"Version": "19.03.8", "ApiVersion": "1.40", "MinAPIVersion": "1.12"}
INFO = {
    "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "/usr/bin/nvidia-container-runtime"}},
    "DefaultRuntime": "runc",
    "CgroupDriver": "cgroupfs",
    "SecurityOptions": ["name=seccomp,profile=default"],
    "OperatingSystem": "Debian GNU/Linux 10 (buster)",
    "DockerRootDir": "/var/lib/docker",
    "ContainersRunning": 2,
}
IMAGES = [{"RepoTags": ["nvidia/cuda:10.1-base-centos7"]}]
BOOTED = 1_700_000_000
CHARACTER = {"type": "char", "mode": 0o666, "major": 195}

SOURCES = "/etc/apt/sources.list.d"
CUDA_KEYRING = "/usr/share/keyrings/cuda-archive-keyring.gpg"
SHOW_CUDA_KEYS = shlex.join((*SHOW_KEYS, CUDA_KEYRING))
QUERY, POLICY = shlex.join(DPKG_QUERY), f"apt-cache policy {TOOLKIT[0]}"
INSTALLED = "".join(f"{name}\t1.17.8-1\tinstall\tinstalled\n" for name in TOOLKIT)


def policy(candidate: str, *offers: str) -> str:
    """What apt says of the toolkit; each offer is a version, its priority and its address."""
    table = "".join("     {0} {1}\n {1:>10} {2}  Packages\n".format(*offer.split()) for offer in offers)
    return f"{TOOLKIT[0]}:\n  Installed: 1.17.8-1\n  Candidate: {candidate}\n  Version table:\n{table}"


NVIDIAS = "https://nvidia.github.io/libnvidia-container/stable/deb/amd64"


APT_CONFIG, DF = shlex.join(apt.APT_CONFIG), shlex.join(disks.DF)


def df(free: int) -> str:
    """What df says of a disk of 400 GiB that has so many GiB free."""
    size, left = 400 << 20, free << 20
    return f"Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 {size} {size - left} {left} 50% /\n"


def _part(name: str, says: str) -> dict[str, str]:
    return {f"{name} --version": says}


WELL: Mapping[str, Any] = {
    "files": {
        "/etc/os-release": 'ID=debian\nNAME="Debian GNU/Linux"\nVERSION_ID="10"\nVERSION_CODENAME=buster\n',
        "/proc/sys/kernel/osrelease": KERNEL + "\n",
        "/proc/sys/kernel/arch": "x86_64\n",
        "/proc/modules": "nvidia_uvm 1 0 - Live 0x0\nnvidia 1 1 nvidia_uvm, Live 0x0\n",
        "/proc/driver/nvidia/version": (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  418.87.00  Thu Aug  8 15:35:46 CDT 2019\n"
        ),
        "/proc/self/status": "Name:\tcat\nSeccomp:\t0\n",
        "/proc/cpuinfo": "flags\t\t: fpu vme de\n",
        "/proc/devices": "Character devices:\n195 nvidia-frontend\n510 nvidia-uvm\n",
        "/proc/stat": f"btime {BOOTED}\n",
        "/proc/700/comm": "dockerd\n",
        "/proc/700/cmdline": "/usr/bin/dockerd\0-H\0fd://\0",
        "/proc/700/environ": "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\0",
        "/proc/700/stat": "700 (dockerd) S 1 " + "0 " * 17 + "1000000 0 0\n",
        "/sys/bus/pci/devices/0000:3b:00.0/vendor": "0x10de\n",
        "/sys/bus/pci/devices/0000:3b:00.0/device": "0x1db5\n",
        "/sys/bus/pci/devices/0000:3b:00.0/class": "0x030200\n",
        f"{SOURCES}/nvidia-container-toolkit.list": (
            "deb [signed-by=/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg]"
            " https://nvidia.github.io/libnvidia-container/stable/deb/$(ARCH) /\n"
        ),
        f"{SOURCES}/cuda-debian10-x86_64.list": (
            f"deb [signed-by={CUDA_KEYRING}]"
            " https://developer.download.nvidia.com/compute/cuda/repos/debian10/x86_64/ /\n"
        ),
        "/etc/docker/daemon.json": '{"runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime"}}}\n',
    },
    "links": {"/sys/bus/pci/devices/0000:3b:00.0/driver": "../../../../bus/pci/drivers/nvidia"},
    "stats": {
        "/dev/nvidia0": CHARACTER,
        "/dev/nvidiactl": CHARACTER | {"minor": 255},
        "/dev/nvidia-uvm": CHARACTER | {"major": 510},
        "/usr/bin/nvidia-container-runtime": {"mode": 0o755},
        "/usr/bin/nvidia-container-runtime-hook": {"mode": 0o755, "ctime": BOOTED - 1000.0},
        f"/lib/modules/{KERNEL}/build": {"type": "dir"},
        f"/boot/vmlinuz-{KERNEL}": {},
        "/usr/lib/x86_64-linux-gnu/libcuda.so.418.87.00": {},
        "/usr/bin/nvidia-cdi-hook": {"mode": 0o755},
        CUDA_KEYRING: {},
    },
    "commands": {
        "modinfo nvidia": f"filename:       {MODULE}\nversion:        418.87.00\nlicense:        NVIDIA\n",
        "nvidia-smi --query-gpu=driver_version --format=csv,noheader": "418.87.00\n",
        **_part("nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.17.8\n"),
        **_part("nvidia-container-cli", "cli-version: 1.17.8\nlib-version: 1.17.8\n"),
        **_part("nvidia-container-runtime", "NVIDIA Container Runtime version 1.17.8\n"),
        **_part("nvidia-container-runtime-hook", "NVIDIA Container Runtime Hook version 1.17.8\n"),
        **_part("nvidia-cdi-hook", "NVIDIA CDI Hook version 1.17.8\n"),
        **_part("runc", "runc version 1.0.0-rc10\n"),
        "dmesg": "[    4.2] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  418.87.00\n",
        QUERY: INSTALLED,
        "dpkg --audit": "",
        POLICY: policy("1.17.8-1", f"1.17.8-1 500 {NVIDIAS}"),
        SHOW_CUDA_KEYS: "pub:-:4096:1:A4B469963BF863CC:1649805893:::-:::scESC::::::23::0:\n",
        APT_CONFIG: "",
        DF: df(200),
        **_part("docker", "Docker version 19.03.8, build afacb8b7f0\n"),
    },
    "which": {"apt-get": "/usr/bin/apt-get"},
    "sockets": {DOCKER: {"/version": VERSION, "/info": INFO, "/images/json": IMAGES}},
    "peers": {DOCKER: 700},
    "nvml": NVML,
}


def v100(**differs: Any) -> SnapshotHost:
    """Returns the well host with differences: mappings are merged, and a key whose value is None is gone."""
    return host(**{name: _merged(WELL.get(name), differs.get(name)) for name in {**WELL, **differs}})


def docker(version: str | None = None, images: Any = None, **info: Any) -> dict[str, Any]:
    """Returns the daemon's answers with differences in /info, for `v100(sockets=docker(...))`."""
    told = VERSION | ({"Version": version} if version else {})
    return {DOCKER: {"/version": told, "/info": {**INFO, **info}, "/images/json": IMAGES if images is None else images}}


def _merged(well: Any, differs: Any) -> Any:
    if not isinstance(differs, Mapping) or not isinstance(well, Mapping):
        return well if differs is None else differs
    return {key: value for key, value in {**well, **differs}.items() if value is not None}
