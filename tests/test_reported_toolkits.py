"""More hosts as people reported them: Jetsons, and what a release of the toolkit and its packages do on a host."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pytest
from hosts import cri, failed, host
from hosts_v100 import CHARACTER, QUERY
from synthetic import DRIVER_580, T4, Board, docker, driver, gpus, joined, toolkit
from test_reported_hosts import FEDORA, PODMAN, THOR, Machine, Reported, cdi, jetson, told, well
from test_reported_hosts import KUBERNETES as CONTAINERD

from gpuctl.checks.every import diagnose
from gpuctl.facts.containerd.daemon import STATUS
from gpuctl.facts.gather import gather
from gpuctl.facts.toolkit.toolkit import SETTINGS
from gpuctl.model import Finding, Status

ORIN_NANO = Board("Orin (nvgpu)", "", "8.7", "nvidia", 8)
DISPLAY = {
    "files": {
        "/proc/modules": "nvidia_modeset 1 0 - Live 0x0\nnvidia 1 1 nvidia_modeset, Live 0x0\nnvgpu 1 0 - Live 0x0\n"
    }
}
"""Orin's modules: nvidia is for the display alone."""


UBUNTU_18 = {"files": {"/etc/os-release": 'ID=ubuntu\nNAME="Ubuntu"\nVERSION_ID="18.04"\n'}}


def installed(**packages: str) -> str:
    """What dpkg-query answers of them."""
    return "".join(f"{name.replace('_', '-')}\t{version}\tinstall\tinstalled\n" for name, version in packages.items())


def orin(l4t: str, *more: Machine) -> Machine:
    """A developer kit whose NVML names the GPU of the chip; nothing on it is called nvidia-uvm."""
    machine = driver("5.15.148-tegra", "540.4.0", "12.6", ORIN_NANO, is_open=True)
    stats = {path: seen for path, seen in machine["stats"].items() if "uvm" not in path}
    return jetson(l4t, "NVIDIA Jetson Orin Nano Developer Kit", {**machine, "stats": stats}, DISPLAY, *more)


def thor(l4t: str, *more: Machine) -> Machine:
    parts = (gpus(THOR), driver("6.8.12-tegra", "580.00", "13.0", THOR, is_open=True))
    return jetson(
        l4t, "NVIDIA Jetson AGX Thor Developer Kit", *parts, {"files": {"/proc/modules": "nvidia 1 0 -\n"}}, *more
    )


REPORTED: Mapping[str, Reported] = {
    # https://docs.nvidia.com/jetson/archives/r39.2/DeveloperGuide, nv-load-display-modules: Orin has no nvidia-uvm
    "Orin with JetPack 7.2": Reported(
        orin("39.2", toolkit("1.19.0"), docker()),
        never=("uvm", "nvidia-modprobe"),
    ),
    "Orin with JetPack 5, which has no NVML": Reported(
        jetson("35.4.1", "NVIDIA Jetson AGX Orin Developer Kit", DISPLAY, toolkit("1.11.0"), docker()),
        never=("uvm", "nvidia-modprobe"),
    ),
    "Thor whose nvidia_uvm is not loaded": Reported(
        thor("38.2", toolkit("1.19.0"), docker()), says=("nvidia-modprobe -c=0 -u",), warns=("kernel.uvm-loaded",)
    ),
    # https://github.com/NVIDIA/nvidia-container-toolkit/issues/48: by csv the devices are in a container's own rules
    "Orin on which --gpus comes to nothing": Reported(
        orin("36.4.4", toolkit("1.18.1"), docker(), {"stats": {"/dev/nvidia0": CHARACTER}}),
        says=("docker run --runtime=nvidia works",),
        never=("daemon-reload", "--gpus by the hook"),
        warns=("toolkit.hook-mode",),
    ),
    "a mode in which the hook refuses --gpus": Reported(
        joined(
            well(T4),
            toolkit("1.18.1"),
            docker(),
            {"files": {SETTINGS: '[nvidia-container-runtime]\nmode = "jit-cdi"\n'}},
        ),
        says=("docker run --gpus fails",),
        never=("daemon-reload",),
        warns=("toolkit.hook-mode",),
    ),
    # https://github.com/NVIDIA/nvidia-container-toolkit/pull/1496: who registers a runtime in containerd meets it
    "Podman alone with toolkit 1.18.0": Reported(
        joined(well(T4, base=FEDORA), PODMAN, toolkit("1.18.0"), cdi(DRIVER_580[0])),
        never=("has a fault", "containerd"),
    ),
    "Docker whose containerd serves no CRI, with toolkit 1.18.0": Reported(
        joined(
            well(T4),
            docker(),
            CONTAINERD,
            {
                "calls": dict.fromkeys(
                    (f"{status} (unix:///run/containerd/containerd.sock)" for status in STATUS), failed(12)
                )
            },
            toolkit("1.18.0"),
        ),
        never=("has a fault",),
    ),
    "containerd with CRI and toolkit 1.18.0": Reported(
        joined(
            well(T4),
            CONTAINERD,
            toolkit("1.18.0"),
            {
                "calls": cri(
                    "/run/containerd/containerd.sock", {"runc": "", "nvidia": "/usr/bin/nvidia-container-runtime"}
                )
            },
        ),
        says=("writes containerd's file into config.d",),
        warns=("toolkit.release-faults",),
    ),
    # https://github.com/NVIDIA/nvidia-docker/issues/1598: its packages are JetPack's, and so is its Ubuntu
    "TX2 with JetPack 4, as it was flashed": Reported(
        jetson(
            "32.7.1",
            "quill",
            UBUNTU_18,
            toolkit("1.7.0"),
            docker(),
            {"commands": {QUERY: installed(nvidia_docker2="2.8.0-1", nvidia_container_toolkit="1.7.0-1")}},
        ),
        never=("nvidia-docker2", "newer release"),
    ),
    "the same packages and release where no JetPack brought them": Reported(
        joined(
            well(T4),
            UBUNTU_18,
            toolkit("1.7.0"),
            docker(),
            {"commands": {QUERY: installed(nvidia_docker2="2.8.0-1", nvidia_container_toolkit="1.7.0-1")}},
        ),
        says=("apt-get remove -y nvidia-docker2",),
        warns=("packages.leftovers", "outlook.distribution"),
    ),
}


@cache
def findings(name: str) -> tuple[Finding, ...]:
    return diagnose(gather(host(**REPORTED[name].machine))).findings


@pytest.mark.parametrize("name", REPORTED)
def test_what_is_wrong_on_a_reported_host_is_what_its_thread_found(name: str) -> None:
    found, right = findings(name), REPORTED[name]
    assert [one.id for one in found if one.status is Status.FAIL] == list(right.fails), told(found)
    assert {one.id for one in found if one.status is Status.WARN} >= set(right.warns), told(found)
    assert [words for words in right.says if words not in told(found)] == [], told(found)
    assert [words for words in right.never if words in told(found)] == [], told(found)
