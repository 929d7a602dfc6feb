"""Hosts on which the engine, its toolkit or its GPUs are somebody else's to keep: what is asked for there.

Where a thread or a page is public, its address stands with the host.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hosts import absent, cri, denied, host, shown
from node_of_kubernetes import node
from reported import Reported, hold
from synthetic import (
    DRIVER_580,
    H100,
    HOSTS,
    ROOTLESS,
    RTX_4090,
    SMI,
    T4,
    UBUNTU_22,
    UBUNTU_24,
    Machine,
    docker,
    driver,
    gpus,
    joined,
    system,
    toolkit,
)
from test_reported_hosts import BARE, BASE, NO_LIBRARY, OPERATOR, PODMAN, cdi, well

from gpuctl.checks.every import diagnose
from gpuctl.facts.gather import gather
from gpuctl.facts.machine.isolation import IDS, MOST, RESTRICTED, USE_XSERVER, USERS_MAY
from gpuctl.facts.machine.logs import unit_log
from gpuctl.facts.toolkit.oci_hooks import RUN_FOLDER
from gpuctl.facts.toolkit.toolkit import SETTINGS
from gpuctl.provision.engines.containerd.containerd import plan
from gpuctl.provision.mend import mends
from gpuctl.provision.result import Refused, Wish

NVIDIAS_RUNTIME = {"runc": "", "nvidia": "/usr/bin/nvidia-container-runtime"}
POD = {"files": {"/proc/1/environ": "HOSTNAME=jupyter-0\0KUBERNETES_SERVICE_HOST=10.96.0.1\0"}}
SOCKET = "unix:///var/run/docker.sock"
APART = {"peers": {SOCKET: 0}, "which": {"dockerd": "/nowhere"}, "files": {"/proc/700/comm": "node\n"}}
"""A Docker whose process and programs are elsewhere."""
WSL = joined(
    system("debian", "Debian GNU/Linux", "13", "6.6.87.2-microsoft-standard-WSL2", "wsl"),
    {
        "stats": {"/dev/dxg": {"type": "char", "mode": 0o666, "major": 10, "minor": 125}},
        "nvml": driver("", "581.42", "13.0", RTX_4090)["nvml"],
        "which": {"/usr/lib/wsl/lib/nvidia-smi": "/usr/lib/wsl/lib/nvidia-smi"},
        "commands": {f"/usr/lib/wsl/lib/{SMI}": "581.42\n"},
    },
)

AWAITED = {"stats": {"/run/nvidia/validations": {"type": "dir"}, "/run/nvidia/driver": {"type": "dir"}}}
"""The GPU Operator's folders, before its driver is there."""
ENGINE = "--container-runtime-endpoint"
OFFERED = {"registered": ["GPU-00000000-0000-4000-8000-000000000000"], "held": []}
NODE = node(argv=("/usr/bin/kubelet", f"{ENGINE}=unix:///run/containerd/containerd.sock"), **OFFERED)
BY_DOCKER = node(argv=("kubelet", f"{ENGINE}=unix:///run/cri-dockerd.sock"), **OFFERED)
HOOK = {
    "stats": {
        f"/usr/local/nvidia/toolkit/{name}": {"mode": 0o755}
        for name in ("nvidia-container-runtime-hook", "nvidia-container-cli")
    }
}
"""What the hook of an operator's toolkit is made of."""
ENFORCING = {"files": {"/sys/fs/selinux/enforce": "1", "/sys/fs/selinux/booleans/container_use_devices": "0 0"}}
NAMED_RUNTIMES = {"files": {SETTINGS: '[nvidia-container-runtime]\nruntimes = ["runc", "crun"]\n'}}


def containerd_of(whose: str, *argv: str, runtimes: Mapping[str, str] = NVIDIAS_RUNTIME, **environ: str) -> Machine:
    """A containerd of a distribution of Kubernetes, with a toolkit on the host."""
    socket = next(word.rpartition("=")[2] for word in argv if word.endswith(".sock"))
    return joined(
        well(T4, base=UBUNTU_22),
        toolkit(),
        {
            "files": {
                "/proc/900/comm": "containerd\n",
                "/proc/900/cmdline": "\0".join(argv) + "\0",
                "/proc/900/stat": "900 (containerd) S 850 " + "0 " * 17 + "1000000 0 0\n",
                "/proc/900/environ": "".join(f"{name}={value}\0" for name, value in environ.items()),
                "/proc/850/comm": f"{whose}\n",
            },
            "links": {"/proc/900/exe": argv[0]},
            "calls": cri(socket, runtimes),
        },
    )


def k3s(**environ: str) -> Machine:
    folder = "/var/lib/rancher/k3s"
    config = f"{folder}/agent/etc/containerd/config.toml"
    argv = (f"{folder}/data/7ff1/bin/containerd", "-c", config, "-a", "/run/k3s/containerd/containerd.sock")
    return containerd_of("k3s-agent", *argv, **environ)


def microk8s(**environ: str) -> Machine:
    argv = ("/snap/microk8s/8335/bin/containerd", "--config", "/var/snap/microk8s/8335/args/containerd.toml")
    return containerd_of("systemd", *argv, "--address", "/var/snap/microk8s/common/run/containerd.sock", **environ)


def rke2() -> Machine:
    folder = "/var/lib/rancher/rke2"
    argv = (f"{folder}/data/v1.33.5/bin/containerd", "-c", f"{folder}/agent/etc/containerd/config.toml")
    return containerd_of("rke2", *argv, "-a", "/run/k3s/containerd/containerd.sock", runtimes={"runc": ""})


def k0s() -> Machine:
    argv = ("/var/lib/k0s/bin/containerd", "--address=/run/k0s/containerd.sock", "--config=/etc/k0s/containerd.toml")
    cgroup = {"files": {"/proc/900/cgroup": "0::/system.slice/k0scontroller.service\n"}}
    return joined(containerd_of("k0s", *argv, runtimes={"runc": ""}), cgroup)


DENIED = "mount error: failed to add device rules: bpf_prog_query(BPF_CGROUP_DEVICE) failed: operation not permitted"


def guest(kind: str) -> Machine:
    """A guest with its own Docker and toolkit."""
    return joined(well(T4, base=UBUNTU_22), toolkit(), docker(), {"commands": {"systemd-detect-virt": f"{kind}\n"}})


ENROOT = {
    "which": {"enroot": "/usr/bin/enroot"},
    "commands": {"nvidia-container-cli --version": "cli-version: 1.18.1\nlib-version: 1.18.1\n"},
}
WITH_CGROUPS = {"files": {SETTINGS: "[nvidia-container-cli]\nno-cgroups = false\n"}}
OWN = HOSTS["rootless-docker"]["sockets"][ROOTLESS]
WITHOUT_RUNTIME = OWN | {"/info": OWN["/info"] | {"Runtimes": {"runc": {"path": "runc"}}}}
AS_ROOT = {"env": {"euid": "0", "HOME": "/root", "XDG_RUNTIME_DIR": "", "SUDO_UID": "1000"}}
NO_CGROUPS = {"files": {SETTINGS: "[nvidia-container-cli]\nno-cgroups = true\n"}}
NO_UVM = {"files": {"/proc/modules": "nvidia 1 0 - Live 0x0\n"}, "stats": {"/dev/nvidia-uvm": absent()}}


def logged(message: str) -> Machine:
    """What Docker's log has."""
    line = f"2026-11-25T10:00:01+0000 guest dockerd[700]: {message}\n"
    return {"commands": {shlex.join(unit_log("docker")): line}}


def plain_containerd() -> Machine:
    argv = ("/usr/bin/containerd", "-a", "/run/containerd/containerd.sock")
    return containerd_of("systemd", *argv, runtimes={"runc": ""})


def crio(*lines: str) -> Machine:
    """CRI-O whose drop-in file has these lines."""
    return {
        "commands": {
            "crio --version": "crio version 1.31.4\n",
            "systemctl show crio.service --property=Id,LoadState,ActiveState,MainPID": "Id=crio.service\n"
            "LoadState=loaded\nActiveState=active\nMainPID=930\n",
        },
        "files": {
            "/proc/930/comm": "crio\n",
            "/proc/930/cmdline": "/usr/bin/crio\0",
            "/proc/930/stat": "930 (crio) S 1 " + "0 " * 17 + "1000000 0 0\n",
            "/etc/crio/crio.conf.d/00-default": "\n".join(("[crio.runtime]", *lines)),
        },
    }


CASES: Mapping[str, Reported] = {
    # Within a container
    "a pod that has its GPU": Reported(joined(well(T4, base=UBUNTU_22), POD), never=("install",), ready=True),
    "Podman's container that has its GPU": Reported(
        joined(well(RTX_4090), {"stats": {"/run/.containerenv": {}}}), never=("install",), ready=True
    ),
    # https://code.visualstudio.com/remote/advancedcontainers/use-docker-kubernetes
    "a dev container that talks to the Docker of its host": Reported(
        joined(
            well(RTX_4090),
            docker(
                config="/none-in-here.json",
                Runtimes={"runc": {"path": "runc"}, "nvidia": {"path": "/opt/nvidia/nvidia-container-runtime"}},
            ),
            APART,
            {"stats": {"/.dockerenv": {}}},
        ),
        never=("install",),
        ready=True,
    ),
    # https://docs.docker.com/desktop/features/gpu/
    "Docker Desktop on WSL 2, of before it listed the runtime": Reported(
        joined(WSL, docker(OperatingSystem="Docker Desktop", Runtimes={"runc": {"path": "runc"}}), APART),
        never=("install", "docker context"),
        ready=True,
    ),
    "Docker Desktop on WSL 2, by its context": Reported(
        joined(
            WSL,
            docker("unix:///mnt/wsl/docker-desktop/docker.sock", OperatingSystem="Docker Desktop"),
            APART,
            {"env": {"DOCKER_HOST": "unix:///mnt/wsl/docker-desktop/docker.sock"}},
        ),
        never=("install", "docker context"),
        ready=True,
    ),
    "Docker Desktop on Linux": Reported(
        joined(well(RTX_4090), toolkit(), docker(OperatingSystem="Docker Desktop"), APART), ("docker.kind",)
    ),
    # runc on the engine's own PATH: https://docs.k3s.io/advanced
    "K3s' agent, whose runc is its own": Reported(
        joined(
            k3s(PATH="/var/lib/rancher/k3s/data/7ff1/bin/aux:/var/lib/rancher/k3s/data/7ff1/bin:/usr/bin"),
            NAMED_RUNTIMES,
            {"stats": {"/var/lib/rancher/k3s/data/7ff1/bin/runc": {"mode": 0o755}}},
        ),
        ready=True,
    ),
    "MicroK8s, whose runc is in its snap": Reported(
        joined(
            microk8s(PATH="/snap/microk8s/8335/usr/bin:/snap/microk8s/8335/bin:/usr/bin"),
            NAMED_RUNTIMES,
            {"stats": {"/snap/microk8s/8335/bin/runc": {"mode": 0o755}}},
        ),
        ready=True,
    ),
    "K3s whose runc is nowhere": Reported(
        joined(k3s(PATH="/var/lib/rancher/k3s/data/7ff1/bin:/usr/bin"), NAMED_RUNTIMES), ("toolkit.settings",)
    ),
    "K3s whose PATH is hidden from this user": Reported(
        joined(k3s(), NAMED_RUNTIMES, {"files": {"/proc/900/environ": denied()}})
    ),
    # What Kubernetes runs pods by: https://github.com/NVIDIA/gpu-operator/issues/1298
    "a node of CRI-O by the operator's hook, with Podman beside": Reported(
        joined(well(H100), NO_LIBRARY, OPERATOR, HOOK, crio(f'hooks_dir = ["{RUN_FOLDER}"]'), NODE, PODMAN, ENFORCING)
        | {"lists": {RUN_FOLDER: ["oci-nvidia-hook.json"]}},
        never=("install",),
        ready=True,
    ),
    "a node of CRI-O that does not look where the hook lies": Reported(
        joined(well(H100), NO_LIBRARY, OPERATOR, HOOK, crio('hooks_dir = ["/srv/hooks.d"]'), NODE, PODMAN)
        | {"lists": {RUN_FOLDER: ["oci-nvidia-hook.json"]}},
        ("registration.crio",),
    ),
    # https://github.com/NVIDIA/k8s-device-plugin/issues/346
    "a node of kubeadm whose containerd has no runtime nvidia": Reported(
        joined(plain_containerd(), NODE), ("registration.containerd",), ("install-runtime --engine containerd",)
    ),
    # https://github.com/NVIDIA/gpu-operator/issues/564
    "a node of OpenShift whose operator has no driver for its kernel": Reported(
        joined(
            system("rhcos", "Red Hat Enterprise Linux CoreOS", "4.18", "5.14.0-427.65.1.el9_4.x86_64"),
            gpus(H100, bound=None),
            BARE,
            crio(),
            NODE,
            AWAITED,
            {"files": {"/run/ostree-booted": ""}},
        ),
        ("kernel.operator-driver",),
        ("kubectl logs",),
        ("install", "rpm-ostree"),
    ),
    "a node whose host has the driver, before the operator has looked": Reported(
        joined(well(H100), toolkit(), k3s(), NODE, AWAITED), ready=True
    ),
    # https://docs.k3s.io/advanced#nvidia-container-runtime
    "RKE2's agent that runs since before the toolkit came": Reported(
        joined(rke2(), node(plugin=None, registered=(), held=[])),
        ("registration.containerd",),
        ("install-runtime --engine containerd --restart", "RKE2 registers it by itself"),
        ("device-plugin",),
    ),
    # https://docs.k0sproject.io/stable/runtime/
    "k0s as it comes, on its controller": Reported(
        k0s(),
        ("registration.containerd",),
        ("--config /etc/k0s/containerd.d/nvidia.toml", "systemctl restart k0scontroller"),
        ("/etc/containerd",),
    ),
    "a node whose pods are Docker's, by cri-dockerd": Reported(
        joined(plain_containerd(), docker(), BY_DOCKER), ready=True
    ),
    "a containerd without a kubelet": Reported(joined(plain_containerd(), docker()), ready=True),
    # Hypervisors: https://pve.proxmox.com/wiki/PCI_Passthrough
    "Xen's host, whose GPUs are its guests'": Reported(
        joined(system(*UBUNTU_24), gpus(RTX_4090, 2, bound="pciback"), BARE), ("hardware.passthrough",), (), ("docker",)
    ),
    "Grace Hopper, given to a virtual machine": Reported(
        joined(system(*UBUNTU_24), gpus(H100, bound="nvgrace-gpu-vfio-pci"), BARE),
        ("hardware.passthrough",),
        ("inside of the virtual machine",),
        ("docker",),
    ),
    "Xen's host, which keeps one of two GPUs": Reported(
        joined(
            gpus(RTX_4090, 2, bound="pciback"),
            well(RTX_4090),
            toolkit(),
            docker(),
            {"stats": {"/usr/bin/nvidia-container-runtime-hook": {"mode": 0o755}}},
        ),
        warns=("hardware.passthrough",),
        ready=True,
    ),
    # https://github.com/NVIDIA/libnvidia-container/issues/154
    "an unprivileged guest whose engine is to change cgroups": Reported(
        joined(guest("lxc"), {"files": {IDS: "         0    1000000      65536\n"}}),
        ("toolkit.no-cgroups",),
        ("gpuctl doctor --fix",),
        ("have it explained",),
    ),
    "an unprivileged guest of systemd-nspawn": Reported(
        joined(guest("systemd-nspawn"), {"files": {IDS: "0 524288 65536\n"}}), ("toolkit.no-cgroups",)
    ),
    "a guest whose ids a snapshot does not have, and whose log tells": Reported(
        joined(guest("lxc"), logged(f"nvidia-container-cli: {DENIED}")), ("toolkit.no-cgroups",), (), ("explain",)
    ),
    "a privileged guest, of which nobody knows": Reported(
        joined(guest("lxc"), {"files": {IDS: "         0          0 4294967295\n"}}),
        (),
        ("may not let it change",),
    ),
    # What is ready only in words
    # https://github.com/redhat-et/triton-dev-containers/issues/61
    "Podman under SELinux, which lets containers use no device": Reported(
        joined(well(RTX_4090), PODMAN, BASE, cdi(DRIVER_580[0]), ENFORCING), says=("setsebool",)
    ),
    "Docker that has SELinux confine containers": Reported(
        joined(well(T4), toolkit(), docker(SecurityOptions=["name=selinux"]), ENFORCING), says=("setsebool",)
    ),
    "Podman under SELinux, by the narrower boolean": Reported(
        joined(well(RTX_4090), PODMAN, BASE, cdi(DRIVER_580[0]), ENFORCING, {"files": {USE_XSERVER: "1 1"}}), ready=True
    ),
    # https://github.com/podman-container-tools/podman/issues/20257
    "Podman of Debian 11 and a specification": Reported(
        joined(well(RTX_4090), BASE, cdi(DRIVER_580[0]), {"commands": {"podman --version": "podman version 3.0.1\n"}}),
        ("cdi.podman",),
        ("Upgrade Podman",),
        ("Write a CDI specification",),
    ),
    # https://github.com/jammsen/proxmox-setup-scripts/issues/7
    "a guest of LXC to which its host gives no nvidia-uvm": Reported(
        joined(guest("lxc"), NO_CGROUPS, NO_UVM),
        ("driver.device-nodes",),
        ("On the host",),
        ("modprobe them", "Load it now"),
    ),
    "a container with the capability utility alone": Reported(
        joined(well(T4), {"stats": {"/.dockerenv": {}}}, NO_UVM),
        ("driver.device-nodes",),
        ("NVIDIA_DRIVER_CAPABILITIES",),
        ("nvidia-modprobe",),
    ),
    # A person's own Docker: https://docs.docker.com/engine/security/rootless/
    "a person's own Docker, and a setting of root's": Reported(
        joined(HOSTS["rootless-docker"], WITH_CGROUPS),
        ("toolkit.no-cgroups",),
        (f"sudo DOCKER_HOST={ROOTLESS} gpuctl doctor --fix",),
    ),
    "a person's own Docker without the runtime": Reported(
        joined(
            HOSTS["rootless-docker"],
            NO_CGROUPS,
            {"sockets": {ROOTLESS: WITHOUT_RUNTIME}, "files": {"/home/ada/.config/docker/daemon.json": "{}"}},
        ),
        ("registration.runtime",),
        ("\ngpuctl install-runtime",),
        ("sudo",),
    ),
    "root, who is led to no person's own Docker": Reported(
        joined(HOSTS["rootless-docker"], AS_ROOT),
        ("docker.reachable",),
        (f"DOCKER_HOST={ROOTLESS} gpuctl doctor",),
        ("systemctl",),
    ),
    "root, where Docker is a person's own in all": Reported(
        joined(well(T4), toolkit(), {"stats": {ROOTLESS.removeprefix("unix://"): {"type": "socket"}}}),
        never=("install",),
    ),
    # User namespaces: https://github.com/NVIDIA/enroot/issues/201, https://github.com/apptainer/apptainer/issues/2027
    "Charliecloud on a host that hardening has closed": Reported(
        joined(well(H100), {"which": {"ch-run": "/usr/bin/ch-run"}, "files": {MOST: "0\n"}}),
        ("docker.user-namespaces",),
        ("user.max_user_namespaces",),
    ),
    "Apptainer with its setuid program on such a host": Reported(
        joined(
            well(H100),
            {"which": {"apptainer": "/usr/bin/apptainer"}, "files": {MOST: "0\n"}},
            {"stats": {"/usr/libexec/apptainer/bin/starter-suid": {"mode": 0o4755}}},
        ),
        ready=True,
    ),
    "enroot on Ubuntu, without a profile of its own": Reported(
        joined(well(H100), ENROOT, {"files": {MOST: "63437\n", RESTRICTED: "1\n", "/etc/apparmor.d/podman": ""}}),
        ("docker.user-namespaces",),
        ("/etc/apparmor.d/enroot",),
    ),
    "enroot on Ubuntu, with its package's profile": Reported(
        joined(well(H100), ENROOT, {"files": {MOST: "63437\n", RESTRICTED: "1\n", "/etc/apparmor.d/enroot": ""}}),
        ready=True,
    ),
    "a person's Podman where only root makes namespaces": Reported(
        joined(
            well(RTX_4090),
            PODMAN,
            BASE,
            cdi(DRIVER_580[0]),
            {"env": {"euid": "1000"}, "files": {MOST: "63437\n", USERS_MAY: "0\n"}},
        ),
        ("docker.user-namespaces",),
        ("kernel.unprivileged_userns_clone = 1",),
    ),
    "Apptainer beside Docker, which needs none": Reported(
        joined(well(T4), toolkit(), docker(), {"which": {"apptainer": "/usr/bin/apptainer"}, "files": {MOST: "0\n"}}),
        says=("apptainer cannot start",),
        ready=True,
    ),
    "a guest of LXC without an engine": Reported(
        joined(well(T4, base=UBUNTU_22), {"commands": {"systemd-detect-virt": "lxc\n"}}),
        ("docker.installed", "toolkit.installed"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_fails_is_this_hosts_own_and_ready_is_said_where_a_container_gets_its_gpus(name: str) -> None:
    hold(replace(CASES[name], ready=bool(CASES[name].ready)))


def test_the_runtime_is_not_registered_where_k0s_would_write_it_anew() -> None:
    seen = host(**CASES["k0s as it comes, on its controller"].machine)
    with pytest.raises(Refused, match="k0s") as refused:
        plan(seen, gather(seen), Wish())
    assert "/etc/k0s/containerd.d/nvidia.toml" in " ".join(shown(refused.value.remedy))


def test_nothing_is_mended_on_a_node_whose_operator_has_done_all() -> None:
    facts = gather(host(**CASES["a node of CRI-O by the operator's hook, with Podman beside"].machine))
    assert list(mends(facts, diagnose(facts))) == []
