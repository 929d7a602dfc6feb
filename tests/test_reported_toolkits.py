"""More hosts as people reported them: Jetsons, and what a release of the toolkit and its packages do on a host."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hosts import cri, failed, host
from hosts_v100 import CHARACTER, NVIDIAS, POLICY, QUERY, policy
from reported import Reported, hold, told
from synthetic import DRIVER_580, RTX_4090, T4, Board, docker, driver, gpus, joined, system, toolkit
from test_reported_hosts import (
    BARE,
    FEDORA,
    PODMAN,
    THOR,
    Machine,
    cdi,
    jetson,
    release,
    well,
    without_modules,
)
from test_reported_hosts import KUBERNETES as CONTAINERD

from gpuctl.checks.every import diagnose
from gpuctl.command import command
from gpuctl.facts.containerd.daemon import STATUS
from gpuctl.facts.docker.unit import SHOW
from gpuctl.facts.gather import gather
from gpuctl.facts.machine.image_system import IMAGE_INFO
from gpuctl.facts.machine.logs import unit_log
from gpuctl.facts.packages.packages import RPM_QUERY
from gpuctl.facts.packages.packages import TOOLKIT as PACKAGES
from gpuctl.facts.toolkit.toolkit import SETTINGS
from gpuctl.model import Finding, Remedy, Status, Waiver
from gpuctl.render.views.doctor import report_text
from gpuctl.render.views.finding import each_once

GTX_1070 = Board("NVIDIA GeForce GTX 1070", "1b81", "6.1", "geforce", 8)
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


def podman(version: str) -> Machine:
    return {"commands": {"podman --version": f"podman version {version}\n"}}


def base(version: str) -> Machine:
    """nvidia-container-toolkit-base: what CDI needs, and no more."""
    return {
        "commands": {
            "nvidia-ctk --version": f"NVIDIA Container Toolkit CLI version {version}\n",
            "nvidia-cdi-hook --version": f"NVIDIA CDI Hook version {version}\n",
        }
    }


def cdi_07(path: str) -> Machine:
    machine = cdi(DRIVER_580[0], path=path)
    return {"files": {path: json.dumps({**json.loads(machine["files"][path]), "cdiVersion": "0.7.0"})}}


def universal_blue(name: str, tag: str, board: Board) -> Machine:
    """An image that has no driver, of which it tells where it comes from."""
    said = {"image-ref": f"ostree-image-signed:docker://ghcr.io/ublue-os/{name}", "image-tag": tag}
    files = {IMAGE_INFO: json.dumps(said), "/proc/modules": "nouveau 1 0 - Live 0x0\n", "/run/ostree-booted": ""}
    bare = joined(system(*FEDORA), gpus(board, bound="nouveau"), BARE, PODMAN)
    return joined(bare, release("fedora"), {"files": files, "which": {"rpm-ostree": "/usr/bin/rpm-ostree"}})


NO_TABLE = (
    "iptables v1.8.7 (legacy): can't initialize iptables table `{}': Table does not exist (do you need to insmod?)"
)


def says_dockerd(core: str, hour: str = "2023-11-15T09", level: str = "error") -> Machine:
    """What it logs when a container's network cannot be made: it was started on 2023-11-15 at 01:00."""
    request = f'time="{hour}:00:01Z" level={level} msg="failed to set up container networking: {core} (exit status 3)"'
    line = f"{hour}:00:01+0000 jetson dockerd[700]: {request}\n"
    return {"stats": {"/run/systemd/system": {"type": "dir"}}, "commands": {shlex.join(unit_log("docker")): line}}


BY_DNF = {"which": {"dnf": "/usr/bin/dnf", "rpm": "/usr/bin/rpm", "apt-get": "/nowhere"}}
DOCKER_UNIT = (
    "LoadState=loaded\nActiveState=active\nId=docker.service\nMainPID=700\nFragmentPath=/usr/lib/systemd/system/docker.service\n"
    "ExecStart={ path=/usr/bin/dockerd ; argv[]=/usr/bin/dockerd -H fd:// ; ignore_errors=no }\n"
)


def docker_28(version: str) -> Machine:
    """As a unit of systemd's."""
    machine = docker()
    for answers in machine["sockets"].values():
        answers["/version"] = {"Version": version, "ApiVersion": "1.48", "MinAPIVersion": "1.24"}
    return joined(machine, {"commands": {shlex.join(SHOW): DOCKER_UNIT}})


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
        thor("38.2", toolkit("1.19.0"), docker()),
        says=("nvidia-modprobe -c=0 -u",),
        never=("device node",),
        warns=("kernel.uvm-loaded",),
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
    # A kernel that lacks what Docker's networks are made of: https://github.com/moby/moby/issues/49557,
    # https://github.com/moby/moby/pull/49621, https://github.com/jakeday/linux-surface/issues/330
    "Orin whose Docker 28.0.0 wants the table raw": Reported(
        orin("36.4.0", toolkit("1.18.1"), docker_28("28.0.0"), says_dockerd(NO_TABLE.format("raw"))),
        ("registration.network",),
        ("no table raw of iptables, which Docker 28.0.0 needs", "'docker-ce=5:27.5.1-1~*'", "apt-mark hold docker-ce"),
    ),
    "Orin whose Docker 28.5 wants the table raw": Reported(
        orin("36.4.3", toolkit("1.18.1"), docker_28("28.5.1"), says_dockerd(NO_TABLE.format("raw"))),
        ("registration.network",),
        ("DOCKER_INSECURE_NO_IPTABLES_RAW=1", "systemctl restart docker"),
        ("27.5.1",),
    ),
    "the same before this dockerd was started": Reported(
        orin("36.4.3", toolkit("1.18.1"), docker_28("28.5.1"), says_dockerd(NO_TABLE.format("raw"), "2023-11-14T20"))
    ),
    "a module that somebody has loaded since": Reported(
        joined(
            well(T4),
            toolkit(),
            docker(),
            says_dockerd(NO_TABLE.format("nat")),
            {"files": {"/proc/modules": "iptable_nat 1 0 -\nnvidia_uvm 1 0 -\nnvidia 1 1 nvidia_uvm, Live 0x0\n"}},
        )
    ),
    "a kernel whose modules an upgrade took away": Reported(
        joined(
            without_modules(well(T4)),
            {"stats": {"/lib/modules/6.8.0-90-generic": {"type": "dir"}}},
            toolkit(),
            docker(),
            says_dockerd(NO_TABLE.format("filter")),
        ),
        ("registration.network",),
        ("Reboot into the kernel that is installed",),
    ),
    "iptables by nf_tables on a kernel without": Reported(
        orin(
            "36.4.4",
            toolkit("1.18.1"),
            docker(),
            says_dockerd("iptables v1.8.7 (nf_tables): Could not fetch rule set generation id: Invalid argument"),
        ),
        ("registration.network",),
        ("update-alternatives --set iptables /usr/sbin/iptables-legacy",),
    ),
    "what dockerd only warns of": Reported(
        joined(well(T4), toolkit(), docker(), says_dockerd(NO_TABLE.format("nat"), level="warning"))
    ),
    # https://github.com/NVIDIA/nvidia-container-toolkit/issues/1091: what a lock keeps back of the toolkit
    "Rocky whose lock keeps one package back": Reported(
        joined(
            well(T4, base=("rocky", "Rocky Linux", "9.6", "5.14.0-570.26.1.el9_6.x86_64")),
            toolkit("1.18.1"),
            docker(),
            BY_DNF,
            {
                "commands": {
                    shlex.join(RPM_QUERY): installed(
                        nvidia_container_toolkit="1.18.0-1",
                        nvidia_container_toolkit_base="1.18.1-1",
                        libnvidia_container_tools="1.18.1-1",
                        libnvidia_container1="1.18.1-1",
                    )
                },
                "files": {"/etc/dnf/plugins/versionlock.list": "nvidia-container-toolkit-0:1.18.0-1.*\n"},
            },
        ),
        says=(
            "nvidia-container-toolkit is 1.18.0; the rest of the toolkit is 1.18.1",
            "dnf versionlock delete nvidia-container-toolkit\n",
            "dnf install -y nvidia-container-toolkit",
        ),
        warns=("toolkit.versions-agree",),
    ),
    "a library that is held": Reported(
        joined(
            well(T4),
            toolkit("1.18.1"),
            docker(),
            {
                "commands": {
                    QUERY: installed(nvidia_container_toolkit="1.18.1-1")
                    + "libnvidia-container1\t1.17.8-1\thold\tinstalled\n"
                }
            },
        ),
        says=("libnvidia-container1 is 1.17.8", "apt-mark unhold libnvidia-container1\n"),
        warns=("toolkit.versions-agree",),
    ),
    # https://repo.download.nvidia.com/jetson/: JetPack 5.1 comes with a toolkit of two releases
    "Orin with the parts that JetPack 5 brings": Reported(
        jetson(
            "35.4.1",
            "NVIDIA Jetson AGX Orin Developer Kit",
            toolkit("1.11.0"),
            docker(),
            {
                "commands": {
                    "nvidia-container-cli --version": "cli-version: 1.10.0\nlib-version: 0.11.0+jetpack\n",
                    QUERY: installed(nvidia_container_toolkit="1.11.0~rc.1-1", libnvidia_container1="1.10.0-1"),
                }
            },
        ),
        never=("1.10.0",),
    ),
    # https://github.com/NVIDIA/nvidia-docker/issues/1388: the same with a mirror of a company's
    "a pin that puts a mirror's toolkit before NVIDIA's": Reported(
        joined(
            well(T4),
            toolkit("1.13.5"),
            docker(),
            {
                "commands": {
                    POLICY: policy("1.13.5-1", f"1.18.1-1 500 {NVIDIAS}", "1.13.5-1 1500 http://mirror.example/debian")
                },
                "files": {"/etc/apt/preferences": "Package: *\nPin: origin mirror.example\nPin-Priority: 1500\n"},
            },
        ),
        says=(
            f"'Package: {' '.join(PACKAGES)}' 'Pin: origin nvidia.github.io' 'Pin-Priority: 1501'",
            "tee /etc/apt/preferences.d/nvidia-container-toolkit",
        ),
        never=("nvidia-container-toolkit=",),
        warns=("packages.toolkit-preferred", "toolkit.version-safe"),
    ),
    "a mode for which there is no specification": Reported(
        joined(
            well(T4),
            toolkit("1.18.1"),
            docker(),
            {"files": {SETTINGS: '[nvidia-container-runtime]\nmode = "cdi"\n'}},
        ),
        ("toolkit.hook-mode",),
        never=("daemon-reload",),
    ),
    "a runtime that is registered and gone": Reported(
        joined(
            well(T4),
            toolkit("1.17.8"),
            docker(DefaultRuntime="nvidia", Runtimes={"runc": {"path": "runc"}, "nvidia": {"path": "/opt/gone"}}),
        ),
        ("registration.runtime-path",),
        (
            "/opt/gone is not an executable program. No container of this Docker starts until then",
            '"default-runtime": "runc"',
        ),
        never=("daemon-reload",),
    ),
    # https://docs.bazzite.gg, rebase_guide: one image has the driver, and the toolkit too
    "Aurora as for other GPUs": Reported(
        universal_blue("aurora-dx", "latest", RTX_4090),
        ("hardware.image",),
        ("rpm-ostree rebase ostree-image-signed:docker://ghcr.io/ublue-os/aurora-dx-nvidia-open:latest",),
        ("rpm-ostree install", "Install the toolkit", "rpm-ostree status"),
    ),
    "Bazzite as for other GPUs, on a Pascal": Reported(
        universal_blue("bazzite-gnome", "stable-43", GTX_1070),
        ("hardware.image",),
        ("ghcr.io/ublue-os/bazzite-gnome-nvidia:stable-43",),
        ("nvidia-open",),
    ),
    "somebody's own image, made of Universal Blue's": Reported(
        universal_blue("somebody/own", "latest", RTX_4090),
        ("kernel.driver-installed", "toolkit.installed"),
        ("names have nvidia in them",),
        ("rpm-ostree rebase",),
    ),
    # https://github.com/NVIDIA/nvidia-docker/issues/1269
    "the toolkit taken off a Docker that starts all by it": Reported(
        joined(well(T4), docker(DefaultRuntime="nvidia")),
        ("toolkit.installed",),
        ("No container of this Docker starts until then: nvidia is its default runtime.", '"default-runtime": "runc"'),
    ),
    "the same where it starts containers by runc": Reported(
        joined(well(T4), docker()), ("toolkit.installed",), never=("No container", "default-runtime")
    ),
    # https://github.com/NVIDIA/nvidia-container-toolkit/issues/1940, /1860: Podman 4.9.3 of Ubuntu 24.04
    "a specification with devices' groups, which an old Podman refuses": Reported(
        joined(well(T4), podman("4.9.3"), base("1.20.0"), cdi_07("/etc/cdi/nvidia.yaml")),
        ("cdi.version",),
        (
            "nvidia-ctk cdi generate --feature-flag=no-additional-gids-for-device-nodes --output=/etc/cdi/nvidia.yaml",
            "video and rendering",
        ),
    ),
    "the same where the toolkit's service writes it": Reported(
        joined(well(T4), podman("5.0.3"), base("1.19.1"), cdi_07("/var/run/cdi/nvidia.yaml")),
        ("cdi.version",),
        (
            "echo NVIDIA_CTK_CDI_GENERATE_FEATURE_FLAGS=no-additional-gids-for-device-nodes | tee -a",
            "systemctl restart nvidia-cdi-refresh.service",
        ),
        ("cdi generate",),
    ),
    "the same left behind by a toolkit that is no more": Reported(
        joined(well(T4), podman("4.9.3"), base("1.18.2"), cdi_07("/etc/cdi/nvidia.yaml")),
        ("cdi.version",),
        ("have the toolkit generate the file, which takes the lowest version that does.",),
        ("feature-flag",),
    ),
}


@pytest.mark.parametrize("name", REPORTED)
def test_a_host_with_a_toolkit_is_told_what_its_thread_found_and_what_helps_there(name: str) -> None:
    hold(REPORTED[name])


def test_no_host_is_simply_ready_whose_toolkit_is_of_two_releases() -> None:
    name = next(name for name, one in REPORTED.items() if "toolkit.versions-agree" in one.warns and not one.fails)
    facts = gather(host(**REPORTED[name].machine))
    assert "Ready but for toolkit.versions-agree: " in report_text(diagnose(facts), facts, verbose=False).plain


def test_commands_that_mend_several_findings_stand_once() -> None:
    facts = gather(host(**REPORTED["a pin that puts a mirror's toolkit before NVIDIA's"].machine))
    text = report_text(diagnose(facts), facts, verbose=False).plain
    assert text.count("tee /etc/apt/preferences.d/nvidia-container-toolkit") == 1
    assert "Upgrade the toolkit." in text and "The same mends it as packages.toolkit-preferred." in text


def test_what_is_waived_has_no_commands_that_another_could_point_at() -> None:
    waived = Finding(
        "a.a", "a", Status.WARN, "x", remedy=Remedy("", (command("reboot"),)), waived=Waiver("y", "2026-12-31")
    )
    counts = replace(waived, id="a.b", waived=None)
    assert [shown_at for _, shown_at in each_once((waived, counts, replace(counts, id="a.c")))] == ["", "", "a.b"]


@pytest.mark.parametrize("text", ["", "[]", '{"image-ref": 5}', '{"image-ref": "docker://x/y", "image-tag": "z"}'])
def test_an_image_that_does_not_tell_its_address_is_named_by_no_command(text: str) -> None:
    machine = joined(universal_blue("bluefin", "stable", RTX_4090), {"files": {IMAGE_INFO: text}})
    found = [one for one in diagnose(gather(host(**machine))).findings if one.status is Status.FAIL]
    assert found[0].id == "kernel.driver-installed"
    assert "rpm-ostree rebase" not in told(tuple(found))


@pytest.mark.parametrize(
    ("machine", "proven", "then"),
    [
        (jetson("32.7.1", "quill", toolkit("1.7.0"), docker()), "by JetPack's lists", "gpuctl check --cuda X.Y"),
        (orin("36.4.4", toolkit("1.18.1"), docker()), "NVML answers", "gpuctl smoke --runtime nvidia"),
    ],
    ids=["without NVML", "with NVML"],
)
def test_a_jetson_is_ready_and_told_what_proves_it_there(machine: Machine, proven: str, then: str) -> None:
    facts = gather(host(**machine))
    text = report_text(diagnose(facts), facts, verbose=False).plain
    ready, after = text.splitlines()[-2:]
    assert ready.startswith("Ready: ") and proven in ready
    assert after == f"Next: {then}"
