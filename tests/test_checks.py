"""Every check on recorded hosts: what each illness is called, and that it alone is shown."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import pytest
from hosts import absent, broken, cri, denied, failed, host, hung, shown
from hosts_v100 import (
    APT_CONFIG,
    BOOTED,
    CHARACTER,
    CUDA_KEYRING,
    DF,
    DOCKER,
    GPU,
    IMAGES,
    INFO,
    INSTALLED,
    KERNEL,
    MODULE,
    NVIDIAS,
    NVML,
    POLICY,
    QUERY,
    SHOW_CUDA_KEYS,
    SOURCES,
    VERSION,
    df,
    docker,
    policy,
    v100,
)
from node_of_kubernetes import DEVICE_NODE, ENV, SOCKET, checkpoint, node

from gpuctl.checks.engine import Check, ask
from gpuctl.checks.every import CHECKS, LAYERS, diagnose
from gpuctl.compat.knowledge.errors.failures import families
from gpuctl.compat.knowledge.errors.faults import family_checks
from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.docker.unit import SHOW_SOCKETS
from gpuctl.facts.gather import Facts, Missing, gather
from gpuctl.facts.gpu.driver_packages import DPKG_DRIVER
from gpuctl.facts.gpu.tegra import CSV_FOLDER
from gpuctl.facts.headline import DockerMet, DriverVersion
from gpuctl.facts.kubelet.kubelet import LIST
from gpuctl.facts.machine.logs import unit_log
from gpuctl.facts.machine.services import SHOW as SHOW_SERVICES
from gpuctl.facts.machine.services import SHOW_OTHERS as SHOW_OTHER_SERVICES
from gpuctl.facts.machine.system import System
from gpuctl.facts.own.journal import ROOT_FOLDER
from gpuctl.facts.packages.automatic_upgrades import DPKG
from gpuctl.facts.packages.packages import Packages
from gpuctl.facts.toolkit.toolkit import Toolkit
from gpuctl.host.places import SYSTEM_CONFIG
from gpuctl.host.record.snapshot import SnapshotHost
from gpuctl.model import Action, Disturbs, Finding, Status
from gpuctl.render.views.host import host_summary
from gpuctl.render.views.host_json import SUBJECTS

GONE = {"nvml": [{"error": "Driver Not Loaded", "code": 9}]}
SMI = "nvidia-smi --query-gpu=driver_version --format=csv,noheader"
NO_SMI = failed(9, stdout="NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")
NOT_LOADED: dict[str, Any] = {
    **GONE,
    "files": {"/proc/modules": "", "/proc/driver/nvidia/version": None},
    "commands": {SMI: NO_SMI},
}
NO_MODULE = {"modinfo nvidia": failed(1, "modinfo: ERROR: Module nvidia not found.")}
NO_CURRENT = {"modinfo nvidia-current": failed(1, "modinfo: ERROR: Module nvidia-current not found.")}
NO_TOOLKIT = {
    f"{name} --version": None
    for name in ("nvidia-ctk", "nvidia-container-cli", "nvidia-container-runtime", "nvidia-container-runtime-hook")
}
NO_PROGRAMS = {"/usr/bin/nvidia-container-runtime": None, "/usr/bin/nvidia-container-runtime-hook": None}
PCI = "/sys/bus/pci/devices/0000:3b:00.0"
DAEMON_JSON = "/etc/docker/daemon.json"
SNAP = "/var/snap/docker/common/var-lib-docker"
RUNC_ONLY = {"Runtimes": {"runc": {"path": "runc"}}}
AMD = {f"{PCI}/vendor": "0x1002\n", f"{PCI}/device": "0x744c\n"}
ILL_HOOK: dict[str, Any] = {
    "commands": {"nvidia-container-runtime-hook --version": None},
    "stats": {"/usr/bin/nvidia-container-runtime-hook": None},
}
SPEC = "/etc/cdi/nvidia.yaml"
HOOK_PROGRAM, CUDA_LIBRARY = "/usr/bin/nvidia-cdi-hook", "/usr/lib/x86_64-linux-gnu/libcuda.so.418.87.00"
OTHER = "GPU-5a1c3e6b-0000-4000-8000-000000000002"
TWO = [NVML[0] | {"count": 2}, GPU, GPU | {"index": 1, "uuid": OTHER, "minor": 1}]
CARD = """- name: "0"
  containerEdits: {deviceNodes: [{path: /dev/nvidia0}]}
"""
PODMAN = {"podman --version": "podman version 4.3.1\n"}
SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


A100 = {"name": "NVIDIA A100-SXM4-40GB", "compute_capability": "8.0", "brand": "nvidia"}


def loaded(version: str, kind: str = "Kernel Module ") -> dict[str, str]:
    return {"/proc/driver/nvidia/version": f"NVRM version: NVIDIA UNIX x86_64 {kind} {version}  Thu Aug  8 2019\n"}


def ampere(*firmware: str) -> SnapshotHost:
    """The host with the open module, a GPU that it drives, and the firmware of these releases."""
    version = "570.124.06"
    files = loaded(version, "Open Kernel Module for x86_64 ")
    return v100(
        nvml=[NVML[0] | {"driver": version, "nvml": f"12.{version}", "cuda": "12.8"}, GPU | A100],
        files=files | {"/sys/bus/pci/devices/0000:3b:00.0/device": "0x20b0\n"},
        stats={f"/lib/firmware/nvidia/{one}/gsp_ga10x.bin": {} for one in firmware},
        commands={
            "modinfo nvidia": f"filename:       {MODULE}\nversion:        {version}\nlicense:        Dual MIT/GPL\n",
            "nvidia-smi --query-gpu=driver_version --format=csv,noheader": f"{version}\n",
        },
    )


def xorg(*buses: str) -> str:
    """X's configuration, in which NVIDIA's driver is told where the GPUs are."""
    lines = (f'Section "Device"\n  Driver "nvidia"  # the GPU\n  BusID "{bus}"\nEndSection\n' for bus in buses)
    return "".join(lines)


def without(changes: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Two sets of differences in one."""
    both = {**changes}
    for name, value in more.items():
        both[name] = {**both.get(name, {}), **value} if isinstance(value, Mapping) else value
    return both


def cdi(version: str = "0.5.0", driver: str = "418.87.00", uvm: str = "510", more: str = "") -> str:
    """A specification as nvidia-ctk writes it for the well host."""
    return f"""
cdiVersion: {version}
kind: nvidia.com/gpu
devices:
- name: "0"
  containerEdits: {{deviceNodes: [{{path: /dev/nvidia0}}]}}
- name: all
  containerEdits: {{deviceNodes: [{{path: /dev/nvidia0}}]}}
{more}containerEdits:
  hooks:
  - {{hookName: createContainer, path: /usr/bin/nvidia-cdi-hook, args: [nvidia-cdi-hook, update-ldcache]}}
  deviceNodes:
  - {{path: /dev/nvidia-uvm, major: {uvm}, minor: 0}}
  mounts:
  - hostPath: /usr/lib/x86_64-linux-gnu/libcuda.so.{driver}
    containerPath: /usr/lib/x86_64-linux-gnu/libcuda.so.{driver}
  - {{hostPath: /usr/bin/nvidia-smi, containerPath: /usr/bin/nvidia-smi}}
"""


def whole(name: str, node: str = "/dev/nvidia0") -> str:
    """A device of a specification."""
    return f"- {{name: '{name}', containerEdits: {{deviceNodes: [{{path: {node}}}]}}}}\n"


def waiver(id: str, expires: str = "9999-12-31") -> str:
    return f'[[waivers]]\nid = "{id}"\nreason = "agreed"\nexpires = {expires}\n'


NO_DAEMON: dict[str, Any] = {"sockets": {DOCKER: None}, "peers": {DOCKER: None}, "files": {"/proc/700/comm": None}}
K3S_SOCKET = "/run/k3s/containerd/containerd.sock"
K3S = without(
    NO_DAEMON,
    files={
        "/proc/900/comm": "containerd\n",
        "/proc/900/cmdline": f"containerd\0-c\0/var/lib/rancher/k3s/agent/config.toml\0-a\0{K3S_SOCKET}\0",
        "/proc/900/stat": "900 (containerd) S 850 " + "0 " * 17 + "1000000 0 0\n",
        "/proc/850/comm": "k3s-server\n",
    },
)
CRIO_SOCKET = "unix:///var/run/crio/crio.sock"
CRIO = without(
    NO_DAEMON,
    files={
        "/proc/800/comm": "crio\n",
        "/proc/800/cmdline": "/usr/bin/crio\0",
        "/proc/800/stat": "800 (crio) S 1 " + "0 " * 17 + "1000000 0 0\n",
    },
    sockets={CRIO_SOCKET: {"/config": '[crio.runtime]\ndefault_runtime = "crun"\n[crio.runtime.runtimes.crun]\n'}},
    peers={CRIO_SOCKET: 800},
    commands={"crio --version": "crio version 1.30.0\n"},
)
CRIO_FILE = "/etc/crio/crio.conf.d/99-nvidia.conf"
BY_CRIO = '[crio.runtime.runtimes.nvidia]\nruntime_path = "/usr/bin/nvidia-container-runtime"\n'
CRIO_LISTS = without(CRIO, files={CRIO_FILE: BY_CRIO}, sockets={CRIO_SOCKET: {"/config": BY_CRIO}})
DOCKERD = {"dockerd": "/usr/sbin/dockerd"}
CONFIG_TOML = "/etc/nvidia-container-runtime/config.toml"
SYSTEMD = {"/run/systemd/system": {"type": "dir"}}
FELL_OFF = "[    9.1] NVRM: Xid (PCI:0000:3b:00): 79, pid=812, GPU has fallen off the bus.\n"
MAKE_LOG = "/var/lib/dkms/nvidia/418.87.00/build/make.log"
NO_START = "2026-11-25T10:00:01+0000 gpu1 dockerd[7]: failed to start daemon: Devices cgroup isn't mounted\n"
HOOK_PATH = "/usr/bin/nvidia-container-runtime-hook"
EARLY, LATE = ({"mode": 0o755, "ctime": BOOTED + seconds} for seconds in (-1000.0, 100_000.0))
"""Programs that were put there before dockerd started, and after it."""
NO_CONTAINER = (
    "2026-11-25T10:00:01+0000 gpu1 dockerd[7]: OCI runtime create failed: nvidia-container-cli: mount error: no file\n"
)
NO_RAW = (
    '2026-11-25T10:00:01+0000 gpu1 dockerd[7]: time="2026-11-25T10:00:01Z" level=error msg="failed to set up container'
    " networking: iptables --wait -t raw -A PREROUTING: iptables v1.8.7 (legacy): can't initialize iptables table"
    " `raw': Table does not exist (do you need to insmod?)\"\n"
)
BAZZITE = '{"image-ref": "ostree-image-signed:docker://ghcr.io/ublue-os/bazzite-gnome", "image-tag": "testing"}'


def switches(service: str) -> dict[str, Any]:
    """An NVSwitch, and how systemd shows the fabric manager."""
    there = "/sys/bus/pci/devices/0000:89:00.0"
    return {
        "files": {f"{there}/vendor": "0x10de\n", f"{there}/device": "0x1af1\n", f"{there}/class": "0x068000\n"},
        "stats": SYSTEMD,
        "commands": {shlex.join(SHOW_SERVICES): service},
    }


def service(name: str, state: str) -> str:
    return f"Id={name}.service\nLoadState=loaded\nActiveState={state}\nResult=exit-code\n"


def logged(unit: str, lines: str) -> dict[str, str]:
    return {shlex.join(unit_log(unit)): lines}


PLUGIN_ENDED = (
    '2026-11-25T10:00:01+0000 gpu1 kubelet[1000]: E1125 10:00:01.1 1000 client.go:90] "ListAndWatch ended unexpectedly'
    ' for device plugin" err="rpc error: code = Unavailable desc = EOF" resource="nvidia.com/gpu"\n'
)
POD_REFUSED = (
    '2026-11-25T10:00:02+0000 gpu1 kubelet[1000]: I1125 10:00:02.1 1000 allocation_manager.go:1] "Pod admission denied"'
    ' pod="ml/train-0" reason="UnexpectedAdmissionError" message="Allocate failed due to no healthy devices present;'
    ' cannot allocate unhealthy devices nvidia.com/gpu, which is unexpected"\n'
)
MISPLACED_SOCKET = "/data/kubelet/device-plugins/nvidia-gpu.sock"
MISPLACED = without(
    node(plugin=None, root="/data/kubelet"),
    stats={MISPLACED_SOCKET: SOCKET},
    peers={f"unix://{MISPLACED_SOCKET}": 1100},
    calls={f"{LIST} (unix:///data/kubelet/pod-resources/kubelet.sock)": ""},
)


def logged_by_kubelet(lines: str) -> dict[str, Any]:
    """A node whose kubelet has written these lines."""
    return without(node(), stats=SYSTEMD, commands=logged("kubelet", lines))


DRIVER_PACKAGES = shlex.join(DPKG)
UNATTENDED: dict[str, Any] = {
    "commands": {
        APT_CONFIG: 'APT::Periodic::Unattended-Upgrade "1";\n',
        DRIVER_PACKAGES: "nvidia-driver\t418.87.00-1\tinstall\tinstalled\n",
    },
    "which": {"unattended-upgrade": "/usr/bin/unattended-upgrade"},
}
NEXT_KERNEL = {"/boot/vmlinuz-4.19.0-27-amd64": {}, "/lib/modules/4.19.0-27-amd64/modules.dep": {}}


WINDOWS_CUDA, LINUX_CUDA = "/usr/lib/wsl/lib/libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1"
ILL: Mapping[str, SnapshotHost] = {
    "hardware.gpu-present": v100(files=AMD, links={f"{PCI}/driver": None}, nvml=[NVML[0] | {"count": 0}]),
    "hardware.gpu-known": v100(files={f"{PCI}/device": "0xfffe\n"}),
    "hardware.passthrough": v100(
        **without(NOT_LOADED, links={f"{PCI}/driver": "../../../../bus/pci/drivers/vfio-pci"})
    ),
    "hardware.environment": v100(files={"/proc/sys/kernel/osrelease": "4.4.0-19041-Microsoft\n"}),
    "hardware.wsl-libraries": v100(
        stats={WINDOWS_CUDA: {}, LINUX_CUDA: {}},
        commands={"ldconfig -p": f"\tlibcuda.so.1 (libc6,x86-64) => {LINUX_CUDA}\n"},
    ),
    "hardware.image": v100(
        **without(
            NOT_LOADED,
            files={"/usr/share/ublue-os/image-info.json": BAZZITE, f"{PCI}/device": "0x2684\n"},
            commands={**NO_MODULE, **NO_CURRENT, SMI: None},
            nvml=[{"error": "NVML Shared Library Not Found", "code": 12}],
        )
    ),
    "kernel.driver-installed": v100(
        files={"/proc/modules": "", "/proc/driver/nvidia/version": None},
        commands={**NO_MODULE, **NO_CURRENT, SMI: None},
        nvml=[{"error": "NVML Shared Library Not Found", "code": 12}],
    ),
    "kernel.operator-driver": v100(
        **without(NOT_LOADED, stats={"/run/nvidia/validations": {"type": "dir"}}, commands={SMI: None})
    ),
    "kernel.nouveau": v100(
        **without(
            NOT_LOADED,
            links={f"{PCI}/driver": "../../../../bus/pci/drivers/nouveau"},
            files={"/proc/modules": "nouveau 1 0 - Live 0x0\n"},
        )
    ),
    "kernel.secure-boot": v100(**without(NOT_LOADED, files={SECURE_BOOT: "\x06\0\0\0\x01"})),
    "kernel.module-built": v100(
        **without(
            NOT_LOADED,
            commands={
                **NO_MODULE,
                **NO_CURRENT,
                "dkms status": "nvidia, 418.87.00, 4.19.0-6-amd64, x86_64: installed\n",
            },
            stats={f"/lib/modules/{KERNEL}/build": None},
        )
    ),
    "kernel.module-loaded": v100(**NOT_LOADED),
    "kernel.uvm-loaded": v100(files={"/proc/modules": "nvidia 1 0 - Live 0x0\n"}),
    "kernel.module-flavour": v100(files=loaded("418.87.00", "Open Kernel Module for x86_64 ")),
    "driver.version-agrees": v100(
        files=loaded("410.104"),
        links={"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": "libnvidia-ml.so.418.87.00"},
        commands={SMI: failed(18, stdout="Failed to initialize NVML: Driver/library version mismatch")},
        nvml=[{"error": "RM has detected an NVML/RM version mismatch.", "code": 18}],
    ),
    "driver.nvml": v100(
        nvml=[{"error": "Unknown Error", "code": 999}],
        commands={SMI: failed(255, stdout="Failed to initialize NVML: Unknown Error")},
    ),
    "driver.nvidia-smi": v100(commands={SMI: failed(1, stdout="Segmentation fault")}),
    "driver.gpu-answers": v100(nvml=[NVML[0], {"index": 0, "error": "GPU is lost"}]),
    "driver.gpu-count": v100(nvml=[NVML[0] | {"count": 0}]),
    "driver.gpu-health": v100(nvml=[NVML[0], GPU | {"ecc_errors": 3}]),
    "driver.version-recommended": v100(
        nvml=[NVML[0] | {"driver": "410.104", "cuda": "10.0"}, GPU],
        files=loaded("410.104"),
        commands={"modinfo nvidia": "filename: /lib/nvidia.ko\nversion: 410.104\nlicense: NVIDIA\n"},
        sockets=docker(images=[]),
    ),
    "driver.branch-supported": v100(),
    "driver.supports-gpus": v100(
        nvml=[NVML[0] | {"driver": "595.91.07"}, GPU],
        files=loaded("595.91.07") | {"/proc/driver/nvidia/version": loaded("595.91.07")["/proc/driver/nvidia/version"]},
        commands={"modinfo nvidia": "filename: /lib/nvidia.ko\nversion: 595.91.07\nlicense: NVIDIA\n"},
    ),
    "driver.device-nodes": v100(stats={"/dev/nvidia-uvm": None}),
    "driver.device-permissions": v100(stats={"/dev/nvidia0": CHARACTER | {"mode": 0o660}}),
    "docker.installed": v100(sockets={DOCKER: None}, files={"/proc/700/comm": None, "/proc/700/cmdline": None}),
    "docker.reachable": v100(sockets={DOCKER: denied()}),
    "docker.kind": v100(sockets=docker(DockerRootDir=SNAP, **RUNC_ONLY)),
    "docker.version.gpus-flag": v100(sockets=docker("18.09.9")),
    "docker.client": v100(commands={"docker --version": None}),
    "docker.config-valid": v100(files={DAEMON_JSON: '{"runtimes": {\n}, }\n'}),
    "docker.flag-conflict": v100(
        files={
            "/proc/700/cmdline": "/usr/bin/dockerd\0--default-runtime\0runc\0",
            DAEMON_JSON: '{"default-runtime": "runc", "runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}\n',
        }
    ),
    "packages.sources-agree": v100(files={f"{SOURCES}/nvidia-docker.list": f"deb {NVIDIAS} /\n"}),
    "packages.sources-whole": v100(files={f"{SOURCES}/nvidia-docker.list": "# Unsupported distribution!\n"}),
    "packages.dpkg-whole": v100(commands={"dpkg --audit": "The following packages are only half configured:\n x\n"}),
    "packages.cuda-key": v100(
        commands={SHOW_CUDA_KEYS: "pub:-:4096:1:F60F4B3D7FA2AF80:1466530000:::-:::scSC::::::23::0:\n"}
    ),
    "packages.key-readable": v100(stats={CUDA_KEYRING: {"mode": 0o640}}),
    "packages.toolkit-preferred": v100(
        commands={
            POLICY: policy("1.12.1-0pop1", "1.12.1-0pop1 1001 http://apt.pop-os.org/release", f"1.17.8-1 500 {NVIDIAS}")
        },
        files={
            "/etc/apt/preferences.d/pop-default-settings": (
                "Package: *\nPin: release o=pop-os-release\nPin-Priority: 1001\n"
            )
        },
    ),
    "packages.leftovers": v100(commands={QUERY: INSTALLED + "nvidia-docker2\t2.13.0-1\tinstall\tinstalled\n"}),
    "toolkit.installed": v100(
        commands=NO_TOOLKIT, stats=NO_PROGRAMS, files={DAEMON_JSON: None}, sockets=docker(**RUNC_ONLY)
    ),
    "toolkit.runtime": v100(
        commands={"nvidia-container-runtime --version": None}, stats={"/usr/bin/nvidia-container-runtime": None}
    ),
    "toolkit.hook": v100(**ILL_HOOK),
    "toolkit.cli": v100(commands={"nvidia-container-cli --version": None}),
    "toolkit.csv": v100(
        nvml=[NVML[0], GPU | {"name": "Orin (nvgpu)"}],
        files={"/etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 0, BOARD: generic\n"},
    ),
    "toolkit.versions-agree": v100(commands={"nvidia-container-cli --version": "cli-version: 1.16.1\n"}),
    "toolkit.version-safe": v100(
        commands={
            "nvidia-ctk --version": "NVIDIA Container Toolkit CLI version 1.13.5\n",
            "nvidia-container-cli --version": "cli-version: 1.13.5\n",
            QUERY: INSTALLED.replace("1.17.8", "1.13.5"),
        }
    ),
    "toolkit.runc": v100(commands={"runc --version": None}),
    "cdi.readable": v100(files={SPEC: cdi()}, stats={SPEC: {"mode": 0o600}}, commands=PODMAN),
    "cdi.conflict": v100(files={SPEC: cdi(), "/etc/cdi/other.yaml": cdi()}),
    "cdi.stale": v100(files={SPEC: cdi(driver="410.104")}),
    "cdi.version": v100(files={SPEC: cdi("0.7.0")}, commands=PODMAN),
    "cdi.feature": v100(sockets=docker("27.5.1"), files={SPEC: cdi()}),
    "cdi.podman": v100(files={SPEC: cdi()}, commands={"podman --version": "podman version 3.4.4\n"}),
    "cdi.hook-program": v100(
        files={SPEC: cdi()}, commands={"nvidia-cdi-hook --version": None}, stats={"/usr/bin/nvidia-cdi-hook": None}
    ),
    "cdi.gpus": v100(files={SPEC: cdi(more=whole("GPU-0ther"))}),
    "cdi.folder": v100(
        files={"/var/run/cdi/nvidia.yaml": cdi()}, commands={"podman --version": "podman version 5.5.1\n"}
    ),
    "kubelet.running": v100(files={"/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint": checkpoint()}),
    "kubelet.registration": v100(**node(registration=None)),
    "kubelet.plugin-folder": v100(**MISPLACED),
    "kubelet.plugin-socket": v100(**node(plugin=None)),
    "kubelet.plugin-restarts": v100(**logged_by_kubelet(PLUGIN_ENDED * 6)),
    "kubelet.gpus": v100(**node(registered=(OTHER,))),
    "kubelet.lost-gpus": v100(**node(held=[OTHER])),
    "kubelet.cpu-manager": v100(**node(policy="static")),
    "kubelet.refused": v100(**logged_by_kubelet(POD_REFUSED)),
    "registration.runtime": v100(files={DAEMON_JSON: None}, sockets=docker(**RUNC_ONLY)),
    "registration.config-applied": v100(sockets=docker(**RUNC_ONLY)),
    "registration.runtime-path": v100(sockets=docker(Runtimes={"runc": {}, "nvidia": {"path": "/opt/gone"}})),
    "registration.default-runtime": v100(sockets=docker(DefaultRuntime="kata")),
    "registration.hook-visible": v100(files={"/proc/700/environ": "PATH=/opt/docker/bin\0"}),
    "registration.restart-needed": v100(
        stats={"/usr/bin/nvidia-container-runtime-hook": {"mode": 0o755, "ctime": 1_700_100_000.0}}
    ),
    "registration.containerd": v100(**without(K3S, calls=cri(K3S_SOCKET, {"runc": ""}))),
    "registration.crio": v100(**CRIO),
    "registration.crio-restart": v100(**without(CRIO_LISTS, stats={CRIO_FILE: {"ctime": BOOTED + 10_001}})),
    "registration.podman": v100(**without(NO_DAEMON, commands=PODMAN)),
    "registration.cdi": v100(
        sockets=docker("29.7.2"),
        files={"/proc/700/environ": "PATH=/opt/docker/bin\0"},
        stats={"/opt/docker/bin/nvidia-cdi-hook": {"mode": 0o755}},
    ),
    "image.base-available": v100(
        nvml=[
            NVML[0] | {"driver": "340.108", "cuda": "6.5"},
            GPU | {"name": "GeForce GT 430", "compute_capability": "2.1"},
        ],
        files=loaded("340.108") | {f"{PCI}/device": "0x0de1\n"},
        commands={"modinfo nvidia": "filename: /lib/nvidia.ko\nversion: 340.108\nlicense: NVIDIA\n"},
    ),
    "image.local-images": v100(sockets=docker(images=[*IMAGES, {"RepoTags": ["nvidia/cuda:12.4.1-base-ubuntu20.04"]}])),
    "kernel.seccomp": v100(files={"/proc/self/status": "Name:\tcat\n"}),
    "kernel.build-log": v100(
        **without(
            NOT_LOADED,
            files={MAKE_LOG: "make: Entering directory\nnv-dma.c:20:3: error: implicit declaration of 'dma_buf_map'\n"},
            commands={**NO_MODULE, **NO_CURRENT, "dkms status": "nvidia/418.87.00: added\n"},
        )
    ),
    "kernel.packages-whole": v100(
        **without(
            NOT_LOADED,
            commands={
                **NO_MODULE,
                **NO_CURRENT,
                shlex.join(DPKG_DRIVER): "nvidia-kernel-dkms\t418.87.00-1\tinstall\tunpacked\n",
                "dpkg --audit": "The following packages have been unpacked:\n nvidia-kernel-dkms\n",
            },
        )
    ),
    "driver.xid": v100(nvml=[NVML[0], {"index": 0, "error": "GPU is lost"}], commands={"dmesg": FELL_OFF}),
    "driver.start-log": v100(
        nvml=[NVML[0] | {"count": 0}],
        commands={"dmesg": "[    5.0] NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x31:0xffff:2476)\n"},
    ),
    "kernel.pci-resources": v100(
        nvml=[NVML[0] | {"count": 0}],
        commands={
            "dmesg": "[    1.0] pci 0000:3b:00.0: BAR 1 [mem size 0x400000000 64bit pref]: can't assign; no space\n"
        },
    ),
    "hardware.link-errors": v100(
        commands={
            "dmesg": "[    9.0] nvidia 0000:3b:00.0: PCIe Bus Error: severity=Uncorrectable (Non-Fatal), type=x\n"
        }
    ),
    "kernel.iommu-faults": v100(
        commands={"dmesg": "[    9.0] DMAR: [DMA Read NO_PASID] Request device [3b:00.0] fault addr 0xfe000000 [x]\n"}
    ),
    "kernel.driver-hangs": v100(
        commands={"dmesg": "[  240.0] INFO: task nvidia-smi:4711 blocked for more than 120 seconds.\n"}
    ),
    "driver.nvswitch-errors": v100(
        commands={
            "dmesg": "[    9.0] nvidia-nvswitch3: SXid (PCI:0000:4a:00.0): 20034, Fatal, Link 30 LTSSM Fault Up\n"
        }
    ),
    "driver.fabric-manager": v100(**switches(service("nvidia-fabricmanager", "failed"))),
    "driver.fabric-state": v100(nvml=[NVML[0], GPU | {"fabric": "in progress"}]),
    "driver.no-nvswitch": v100(
        stats=SYSTEMD, commands={shlex.join(SHOW_SERVICES): service("nvidia-fabricmanager", "failed")}
    ),
    "driver.nvlinks": v100(nvml=[NVML[0], GPU | {"nvlinks": 6}, GPU | {"index": 1, "nvlinks": 4}]),
    "driver.imex": v100(
        nvml=[NVML[0], GPU | {"name": "NVIDIA GB200"}],
        stats=SYSTEMD,
        commands={shlex.join(SHOW_OTHER_SERVICES): service("nvidia-imex", "failed")},
    ),
    "driver.vgpu-licence": v100(
        nvml=[NVML[0], GPU | {"name": "GRID V100D-8Q"}],
        commands={"nvidia-smi -q": "        License Status                    : Unlicensed (Restricted)\n"},
    ),
    "driver.gsp-firmware": ampere("535.247.01"),
    "driver.xorg-bus-id": v100(files={"/etc/X11/xorg.conf": xorg("PCI:59:0:0", "PCI:94:0:0")}),
    "driver.persistence": v100(
        nvml=[NVML[0] | {"count": 4}, *(GPU | {"index": index, "persistence": 0} for index in range(4))]
    ),
    "driver.persistence-daemon": v100(
        stats=SYSTEMD, commands={shlex.join(SHOW_SERVICES): service("nvidia-persistenced", "failed")}
    ),
    "driver.mig-instances": v100(nvml=[NVML[0], GPU | {"mig": True, "mig_devices": 0}]),
    "docker.log": v100(**without(NO_DAEMON, which=DOCKERD, stats=SYSTEMD, commands=logged("docker", NO_START))),
    "docker.user-namespaces": v100(
        which={"apptainer": "/usr/bin/apptainer"}, files={"/proc/sys/user/max_user_namespaces": "0\n"}
    ),
    "docker.selinux": v100(
        files={"/sys/fs/selinux/enforce": "1", "/sys/fs/selinux/booleans/container_use_devices": "0 0"}, commands=PODMAN
    ),
    "docker.client-version": v100(commands={"docker --version": "Docker version 18.06.3-ce, build d7080c1\n"}),
    "docker.compose": v100(commands={"docker-compose --version": "docker-compose version 1.25.0, build unknown\n"}),
    "docker.several": v100(stats={"/snap/bin/docker": {"mode": 0o755}}),
    "docker.clone3": v100(
        sockets=docker("20.10.7", images=[{"RepoTags": ["nvidia/cuda:10.1-base-ubuntu22.04"]}]),
    ),
    "toolkit.ldconfig": v100(files={CONFIG_TOML: '[nvidia-container-cli]\nldconfig = "@/opt/ldconfig"\n'}),
    "toolkit.no-cgroups": v100(files={CONFIG_TOML: "[nvidia-container-cli]\nno-cgroups = true\n"}),
    "toolkit.driver-root": v100(files={CONFIG_TOML: '[nvidia-container-cli]\nroot = "/run/nvidia/driver"\n'}),
    "toolkit.hook-mode": v100(files={CONFIG_TOML: '[nvidia-container-runtime]\nmode = "cdi"\n'}),
    "toolkit.config-valid": v100(files={CONFIG_TOML: "[nvidia-container-cli]\nno-cgroups =\n"}),
    "toolkit.settings": v100(files={CONFIG_TOML: '[nvidia-container-cli]\npath = "/opt/nvidia-container-cli"\n'}),
    "toolkit.cgroup-v2": v100(
        stats={"/sys/fs/cgroup/cgroup.controllers": {}},
        commands={"nvidia-ctk --version": None, "nvidia-container-cli --version": "version: 1.7.0\n"},
    ),
    "toolkit.release-faults": v100(
        commands={
            "nvidia-ctk --version": "NVIDIA Container Toolkit CLI version 1.19.1\n",
            "nvidia-container-cli --version": "cli-version: 1.19.1\n",
            QUERY: INSTALLED.replace("1.17.8", "1.19.1"),
        }
    ),
    "registration.network": v100(stats=SYSTEMD, commands=logged("docker", NO_RAW)),
    "registration.log": v100(stats=SYSTEMD, commands=logged("docker", NO_CONTAINER)),
    "changes.complete": v100(
        files={
            f"{ROOT_FOLDER}/20261125T120000.000000Z.jsonl": '{"run": "install-runtime", "boot": "before"}\n'
            '{"begins": 0, "kind": "engine", "engine": "docker"}\n'
        }
    ),
    "waivers.complete": v100(files={SYSTEM_CONFIG: '[[waivers]]\nid = "docker.client"\nexpires = 9999-12-31\n'}),
    "waivers.known": v100(files={SYSTEM_CONFIG: waiver("dokcer.client")}),
    "waivers.expired": v100(files={SYSTEM_CONFIG: waiver("docker.client", "2020-02-29")}),
    "outlook.automatic-upgrade": v100(**UNATTENDED),
    "outlook.next-kernel": v100(stats=NEXT_KERNEL),
    "outlook.daemon-reload": v100(sockets=docker(CgroupDriver="systemd")),
    "outlook.distribution": v100(),
    "outlook.images": v100(),
    "outlook.disk-space": v100(commands={DF: df(3)}),
}
"""For each check, a host on which it speaks up."""


AGED = {"outlook.distribution", "outlook.images"}
"""So have distribution and image, whatever else the host has."""


def findings(ill: SnapshotHost) -> dict[str, Finding]:
    return {finding.id: finding for finding in diagnose(gather(ill)).findings}


def loud(seen: Mapping[str, Finding]) -> dict[str, Status]:
    told = {id: one.status for id, one in seen.items() if id not in AGED}
    return {id: status for id, status in told.items() if status in (Status.FAIL, Status.WARN, Status.UNKNOWN)}


ENDED = {"driver.branch-supported": Status.WARN}
"""The branch of 2019 has ended: true of every host here, and no fault of its own."""
OLD = {*ENDED, *AGED}


def test_every_check_has_a_host_on_which_it_speaks_up() -> None:
    assert set(ILL) == set(CHECKS)


def test_every_family_of_failures_names_checks_that_there_are() -> None:
    named = {id for row in family_checks().values() for id in row.checks}
    assert named | {id for family in families().values() for id in family.checks} <= set(CHECKS)


def test_most_families_of_failures_are_seen_before_anything_fails() -> None:
    """Of the layers that a doctor looks at: what is wrong in images, schedulers and mirrors shows when it happens."""
    layers = ("hardware", "kernel", "driver", "docker", "compose", "toolkit", "cdi", "wsl")
    seen_in = [row.seen_in for row in family_checks().values() if families()[row.family].layer in layers]
    assert seen_in.count("host") > len(seen_in) / 2


@pytest.mark.parametrize("id", ILL)
def test_a_check_speaks_up_on_its_ill_host_with_a_sentence(id: str) -> None:
    facts = gather(ILL[id])
    finding = ask(CHECKS[id], facts)
    assert finding.status in (Status.FAIL, Status.WARN), finding
    assert finding.message.endswith((".", ":")) or ": " in finding.message
    assert finding.evidence


BY_OTHERS = {"registration.containerd", "registration.crio", "registration.podman"}
"""Checks of engines that Docker's host lacks."""
NOT_THERE = {
    *OLD,
    "driver.fabric-manager",
    "driver.mig-instances",
    "driver.nvswitch-errors",
    "driver.persistence-daemon",
    "docker.compose",
    "registration.cdi",
    "registration.log",
    "registration.network",
    "cdi.readable",
    "cdi.conflict",
    "cdi.feature",
    "cdi.folder",
    "cdi.gpus",
    "cdi.hook-program",
    "cdi.podman",
    "cdi.stale",
    "cdi.version",
}


TEGRA = "# R36 (release), REVISION: 4.3, GCID: 0, BOARD: generic, EABI: aarch64\n"
NODE_LOG = "2026-11-25T10:00:01+0000 gpu1 kubelet[1000]: I1125 10:00:01.1 1000 kubelet.go:1] Starting\n"
QUIET = v100(**logged_by_kubelet(NODE_LOG))
MOVED = v100(
    **without(node(root="/data/kubelet"), calls={f"{LIST} (unix:///data/kubelet/pod-resources/kubelet.sock)": ""})
)
ELSEWHERE: Mapping[str, SnapshotHost] = {
    **dict.fromkeys([id for id in ILL if id.startswith("kubelet.")], QUIET),
    "registration.crio-restart": v100(**without(CRIO_LISTS, stats={CRIO_FILE: {"ctime": BOOTED + 9_999}})),
    "docker.user-namespaces": v100(
        which={"apptainer": "/usr/bin/apptainer"}, files={"/proc/sys/user/max_user_namespaces": "127\n"}
    ),
    "kernel.operator-driver": v100(stats={"/run/nvidia/driver/usr": {"type": "dir"}}),
    "hardware.image": v100(files={"/usr/share/ublue-os/image-info.json": BAZZITE}),
    "kubelet.plugin-folder": MOVED,
    "kubelet.cpu-manager": v100(**node(policy="static", answer=ENV + DEVICE_NODE)),
    "driver.fabric-state": v100(nvml=[NVML[0], GPU | {"fabric": "completed"}]),
    "driver.no-nvswitch": v100(
        stats=SYSTEMD, commands={shlex.join(SHOW_SERVICES): service("nvidia-fabricmanager", "inactive")}
    ),
    "driver.nvlinks": v100(nvml=[NVML[0], GPU | {"nvlinks": 6}]),
    "driver.imex": v100(
        nvml=[NVML[0], GPU | {"name": "NVIDIA GB200"}],
        stats=SYSTEMD,
        commands={shlex.join(SHOW_OTHER_SERVICES): service("nvidia-imex", "active")},
    ),
    "hardware.wsl-libraries": v100(
        stats={WINDOWS_CUDA: {}}, commands={"ldconfig -p": f"\tlibcuda.so.1 (libc6,x86-64) => {WINDOWS_CUDA}\n"}
    ),
    "driver.gsp-firmware": ampere("570.86.10", "570.124.06"),
    "driver.xorg-bus-id": v100(files={"/etc/X11/xorg.conf": xorg("PCI:59:0:0")}),
    "driver.vgpu-licence": v100(
        nvml=[NVML[0], GPU | {"name": "GRID V100D-8Q"}],
        commands={
            "nvidia-smi -q": "        License Status                    : Licensed (Expiry: 2027-1-1 0:0:0 GMT)\n"
        },
    ),
    "toolkit.csv": v100(
        nvml=[NVML[0], GPU | {"name": "Orin (nvgpu)"}],
        files={"/etc/nv_tegra_release": TEGRA, f"{CSV_FOLDER}/drivers.csv": "dev, /dev/nvhost-gpu\n"},
    ),
}
"""What neither the well host nor a newer one of its kind has: a host on which the check passes."""


@pytest.mark.parametrize("id", ELSEWHERE)
def test_a_check_passes_on_a_host_of_another_kind(id: str) -> None:
    assert ask(CHECKS[id], gather(ELSEWHERE[id])).status is Status.PASS


@pytest.mark.parametrize(
    ("name", "up", "status"),
    [
        ("NVIDIA A100-SXM4-80GB", (12, 0), Status.WARN),
        ("NVIDIA A100-SXM4-80GB", (0, 0), None),
        ("NVIDIA A40", (4, 4, 0), Status.PASS),  # a pair with a bridge, and a card without
        ("NVIDIA A40", (4, 3, 0), Status.WARN),
        ("NVIDIA L4", (None, None), None),
    ],
)
def test_a_gpu_with_fewer_nvlinks_is_told_from_a_card_without_a_bridge(
    name: str, up: tuple[int | None, ...], status: Status | None
) -> None:
    gpus = [GPU | {"index": index, "name": name, "nvlinks": links} for index, links in enumerate(up)]
    finding = ask(CHECKS["driver.nvlinks"], gather(v100(nvml=[NVML[0], *gpus])))
    assert finding.status is (status or Status.SKIP)


@pytest.mark.parametrize("id", sorted(set(ILL) - NOT_THERE - BY_OTHERS - set(ELSEWHERE)))
def test_a_check_passes_on_the_well_host(id: str) -> None:
    assert ask(CHECKS[id], gather(v100())).status is Status.PASS


def test_the_checks_that_the_old_host_cannot_pass_pass_on_a_newer_one() -> None:
    services = "\n".join(service(name, "active") for name in ("nvidia-persistenced", "nvidia-fabricmanager"))
    migs = "".join(whole(f"0:{number}") for number in range(7))
    divided = cdi("0.7.0", driver="580.95.05", more=migs).replace(CARD, "")
    newer = v100(
        **without(
            switches(services),
            nvml=[NVML[0] | {"driver": "580.95.05", "cuda": "13.0"}, GPU | {"mig": True, "mig_devices": 7}],
            stats={"/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05": {}},
            sockets=docker("29.7.2", [{"RepoTags": ["nvidia/cuda:12.9.1-base-ubuntu24.04"]}]),
            files={SPEC: divided, **os_release("debian", "13")},
            commands={
                "podman --version": "podman version 5.4.2\n",
                "nv-fabricmanager --version": "Fabric Manager version is : 580.95.05\n",
                "docker-compose --version": "Docker Compose version v2.29.2\n",
                **logged("docker", ""),
            },
        )
    )
    assert {id: ask(CHECKS[id], gather(newer)).status for id in NOT_THERE} == dict.fromkeys(NOT_THERE, Status.PASS)


@pytest.mark.parametrize(
    ("id", "differs", "words"),
    [
        ("cdi.hook-program", {"stats": {HOOK_PROGRAM: absent()}}, f"calls {HOOK_PROGRAM}, which is not there"),
        ("cdi.hook-program", {"stats": {HOOK_PROGRAM: {"mode": 0o644}}}, "which is not executable"),
        ("cdi.stale", {"stats": {CUDA_LIBRARY: None}}, f"it mounts {CUDA_LIBRARY}, which is not there"),
        ("cdi.readable", {"files": {SPEC: cdi("0.4.0")}}, "begins with a digit came with 0.5.0"),
        ("cdi.readable", {"files": {SPEC: None, "/etc/cdi/nvidia.yml": cdi()}}, "names that end in .json or .yaml"),
        ("cdi.readable", {"links": {"/etc/cdi": "/srv/cdi"}}, "/etc/cdi is a link: no engine follows it"),
        ("cdi.gpus", {"nvml": TWO}, f"GPU 1 ({OTHER}) is missing in it"),
        ("cdi.gpus", {"nvml": [NVML[0], GPU | {"minor": 1}]}, "0 is /dev/nvidia1 now, not /dev/nvidia0"),
        ("cdi.gpus", {"files": {SPEC: cdi(more=whole(OTHER))}}, f"it names {OTHER}, which is not here"),
        ("cdi.gpus", {"nvml": [NVML[0], GPU | {"mig": True, "mig_devices": 1}]}, "0 as a whole, on which MIG is on"),
        ("cdi.gpus", {"files": {SPEC: cdi(more=whole("0:0"))}}, "it names 1 MIG devices, and there are 0"),
        (
            "cdi.version",
            {"files": {SPEC: cdi("1.1.0")}},
            "NVIDIA Container Toolkit 1.18.2 is the first",
        ),
        ("cdi.version", {"sockets": docker("29.1.5"), "files": {SPEC: cdi("1.1.0")}}, "Docker 29.2.0 is the first to"),
        ("cdi.folder", {"sockets": docker("29.7.2", CDISpecDirs=["/opt/cdi"])}, "it looks into /opt/cdi"),
    ],
)
def test_what_a_specification_has_that_this_host_or_its_engines_do_not_is_said(
    id: str, differs: dict[str, Any], words: str
) -> None:
    well = {"files": {SPEC: cdi()}}
    seen = ask(CHECKS[id], gather(v100(**without(well, **differs))))
    assert seen.status in (Status.WARN, Status.FAIL)
    assert words in seen.message


def test_a_gpu_that_was_moved_is_told_by_its_uuid_and_one_that_all_engines_pass_over_is_no_missing_one() -> None:
    names = cdi(more=whole(str(GPU["uuid"]), "/dev/nvidia1"))
    seen = ask(CHECKS["cdi.gpus"], gather(v100(files={SPEC: names})))
    assert f"{GPU['uuid']} is /dev/nvidia0 now, not /dev/nvidia1" in seen.message
    on_wsl = cdi().replace("/dev/nvidia0", "/dev/dxg").replace('name: "0"', "name: some")
    assert ask(CHECKS["cdi.gpus"], gather(v100(files={SPEC: on_wsl}))).status is Status.PASS


def test_of_two_specifications_the_one_that_counts_is_named() -> None:
    both = {SPEC: cdi(), "/var/run/cdi/nvidia.yaml": cdi()}
    seen = ask(CHECKS["cdi.conflict"], gather(v100(files=both)))
    assert f"/var/run/cdi/nvidia.yaml counts before {SPEC}" in seen.message


def test_a_broken_specification_of_another_vendor_stops_no_gpu() -> None:
    amd = {"/etc/cdi/amd.yaml": cdi("0.4.0").replace("nvidia.com/gpu", "amd.com/gpu")}
    seen = ask(CHECKS["cdi.readable"], gather(v100(files=amd, sockets=docker("29.7.2"))))
    assert seen.status is Status.WARN
    assert (
        ask(CHECKS["registration.cdi"], gather(v100(files=amd, **without(ILL_HOOK, sockets=docker("29.7.2"))))).status
        is Status.FAIL
    )


ALONE = sorted(set(ILL) - {*OLD, "image.base-available", "docker.kind", "toolkit.csv"})


@pytest.mark.parametrize("id", ALONE)
def test_a_host_with_one_fault_shows_one_fault(id: str) -> None:
    seen = findings(ILL[id])
    assert set(loud(seen)) - set(ENDED) == {id}, {one: seen[one].message for one in loud(seen)}


def test_a_broken_specification_stops_gpus_only_where_docker_has_no_other() -> None:
    files = {"/etc/cdi/other.yaml": "a: ["}
    for more, status in (({}, Status.FAIL), ({SPEC: cdi()}, Status.WARN)):
        seen = ask(CHECKS["cdi.readable"], gather(v100(files={**files, **more}, sockets=docker("29.7.2"))))
        assert (seen.status, "/etc/cdi/other.yaml is no CDI specification" in seen.message) == (status, True)


def test_numbers_that_the_last_boot_gave_out_make_a_specification_stale() -> None:
    seen = ask(CHECKS["cdi.stale"], gather(v100(files={SPEC: cdi(uvm="511")}, sockets=docker("29.7.2"))))
    assert (seen.status, "/dev/nvidia-uvm is 510:0 now, not 511:0" in seen.message) == (Status.FAIL, True)


def test_what_rests_on_a_failed_layer_is_skipped_and_names_the_cause() -> None:
    seen = findings(ILL["kernel.module-loaded"])
    assert seen["driver.nvml"].status is Status.SKIP
    assert "kernel.module-loaded" in seen["driver.nvml"].message
    assert "kernel.module-loaded" in seen["image.base-available"].message
    assert seen["docker.reachable"].status is Status.PASS


def test_a_failure_has_a_remedy_with_commands_for_this_distribution() -> None:
    remedy = findings(ILL["toolkit.installed"])["toolkit.installed"].remedy
    assert remedy is not None
    assert shown(remedy) == ("gpuctl install-runtime --install",)
    assert "apt-get install -y nvidia-container-toolkit" in map(str, remedy.by_hand)
    headers = findings(ILL["kernel.module-built"])["kernel.module-built"].remedy
    assert headers is not None
    assert f"apt-get install -y linux-headers-{KERNEL}" in shown(headers)


def os_release(id: str, version: str) -> dict[str, str]:
    return {"/etc/os-release": f'ID={id}\nNAME="{id}"\nVERSION_ID="{version}"\n'}


@pytest.mark.parametrize(
    ("id", "ill", "distribution", "manager", "command"),
    [
        ("docker.client", {"commands": {"docker --version": None}}, ("debian", "13"), "apt-get",
         "apt-get install -y docker-cli"),
        ("docker.client", {"commands": {"docker --version": None}}, ("rocky", "9.4"), "dnf",
         "dnf install -y docker-ce-cli"),
        ("toolkit.runc", {"commands": {"runc --version": None}}, ("alpine", "3.22"), "apk", "apk add runc"),
        ("driver.nvidia-smi", {"commands": {SMI: None}}, ("debian", "12"), "apt-get",
         "apt-get install -y nvidia-smi"),
        ("driver.nvidia-smi", {"commands": {SMI: None}}, ("ubuntu", "22.04"), "apt-get", None),
        ("kernel.secure-boot", without(NOT_LOADED, files={SECURE_BOOT: "\x06\0\0\0\x01"}), ("ubuntu", "22.04"),
         "apt-get", "mokutil --import /var/lib/shim-signed/mok/MOK.der"),
        ("driver.supports-gpus", {
            "nvml": [NVML[0] | {"driver": "595.91.07"}, GPU], "files": loaded("595.91.07"),
        }, ("debian", "12"), "apt-get", f"apt-get install -y linux-headers-{KERNEL} cuda-drivers-580"),
    ],
)  # fmt: skip
def test_a_remedy_has_the_command_of_the_distribution_or_none(
    id: str, ill: dict[str, Any], distribution: tuple[str, str], manager: str, command: str | None
) -> None:
    told = without(ill, files=os_release(*distribution), which={"apt-get": None, manager: f"/usr/bin/{manager}"})
    remedy = ask(CHECKS[id], gather(v100(**told))).remedy
    assert remedy and remedy.text
    assert command in shown(remedy) if command else remedy.commands == ()


@pytest.mark.parametrize("id", sorted(set(ILL) - {"hardware.gpu-known", "hardware.environment"}))
def test_what_a_check_complains_about_has_a_remedy(id: str) -> None:
    remedy = ask(CHECKS[id], gather(ILL[id])).remedy
    assert remedy and (remedy.text or remedy.commands)


AGREES = {
    Action.MEND: {Disturbs.NOTHING, Disturbs.NEW_CONTAINERS},
    Action.RESTART: {Disturbs.RUNNING_CONTAINERS},
    Action.REBOOT: {Disturbs.HOST},
}


@pytest.mark.parametrize("id", ILL)
def test_what_a_finding_asks_for_agrees_with_what_its_remedy_disturbs(id: str) -> None:
    finding = ask(CHECKS[id], gather(ILL[id]))
    assert finding.status is not Status.FAIL or finding.action is not Action.NOTHING_NOW
    if finding.action in AGREES and finding.remedy:
        assert finding.remedy.disturbs in AGREES[finding.action]


def test_a_scheduler_reads_what_to_do_beside_how_bad_it_is() -> None:
    told = {
        "driver.version-agrees": Action.REBOOT,
        "driver.gpu-answers": Action.TAKE_OUT_OF_SERVICE,
        "driver.gpu-health": Action.RESTART,
        "registration.restart-needed": Action.RESTART,
        "registration.runtime": Action.MEND,
        "driver.branch-supported": Action.NOTHING_NOW,
    }
    assert {id: ask(CHECKS[id], gather(ILL[id])).action for id in told} == told
    worn_out = v100(nvml=[NVML[0], GPU | {"remap_failed": True}])
    assert diagnose(gather(worn_out)).action is Action.TAKE_OUT_OF_SERVICE
    assert diagnose(gather(v100())).action is Action.NOTHING_NOW


def test_a_volta_is_given_the_last_branch_that_drives_it_with_the_proprietary_module() -> None:
    remedy = findings(ILL["kernel.driver-installed"])["kernel.driver-installed"].remedy
    assert remedy is not None
    assert f"apt-get install -y linux-headers-{KERNEL} cuda-drivers-580" in shown(remedy)


def test_a_lost_gpu_explains_why_nvidia_smi_fails() -> None:
    lost = v100(nvml=[NVML[0], {"index": 0, "error": "GPU is lost"}], commands={SMI: failed(15, stdout="GPU is lost")})
    assert findings(lost)["driver.nvidia-smi"].status is Status.SKIP


def test_a_plain_user_is_told_to_use_sudo() -> None:
    ill = v100(commands=NO_TOOLKIT, stats=NO_PROGRAMS, env={"euid": "1000"})
    remedy = findings(ill)["toolkit.installed"].remedy
    assert remedy is not None
    assert shown(remedy) == ("sudo gpuctl install-runtime --install",)
    assert "sudo apt-get install -y nvidia-container-toolkit" in map(str, remedy.by_hand)


def test_docker_before_19_03_is_told_to_use_the_runtime() -> None:
    finding = findings(ILL["docker.version.gpus-flag"])["docker.version.gpus-flag"]
    assert finding.status is Status.WARN
    assert finding.remedy is not None
    assert "--runtime=nvidia" in finding.remedy.text


def test_a_hanging_driver_is_unknown_once_and_not_a_fault() -> None:
    seen = findings(v100(nvml=hung(8.0), commands={SMI: hung(5.0)}))
    assert "no answer within 8 s" in seen["driver.nvml"].message
    assert seen["driver.nvml"].remedy
    assert loud(seen) == {"driver.nvml": Status.UNKNOWN, **ENDED}
    assert seen["driver.gpu-answers"].rests_on == seen["driver.nvidia-smi"].rests_on == "driver.nvml"


def test_a_subject_that_came_too_late_is_one_unknown() -> None:
    missing = Missing("no answer within 12 s")
    late = gather(v100()) | Facts({Docker: missing, Toolkit: missing})
    seen = {finding.id: finding for finding in diagnose(late).findings}
    assert loud(seen) == {"docker.installed": Status.UNKNOWN, "toolkit.installed": Status.UNKNOWN, **ENDED}


def test_all_device_nodes_that_are_closed_are_counted_and_shown() -> None:
    closed = {path: CHARACTER | {"mode": mode} for path, mode in (("/dev/nvidia0", 0o660), ("/dev/nvidiactl", 0o640))}
    finding = findings(v100(stats=closed))["driver.device-permissions"]
    assert finding.message == "2 device nodes are closed to other users (mode 640, 660)."
    assert {one.source for one in finding.evidence} == set(closed)


def test_a_symptom_of_a_symptom_rests_on_the_cause_of_both() -> None:
    both: dict[str, Any] = {"sockets": {DOCKER: broken("Connection refused")}, "files": {DAEMON_JSON: "{"}}
    seen = findings(v100(**both))
    assert "docker.reachable" in CHECKS["docker.config-valid"].explains
    assert {one.rests_on for one in seen.values() if one.id in CHECKS["docker.reachable"].explains} == {
        "docker.config-valid"
    }


def test_what_is_unknown_for_another_reason_is_shown_beside_it() -> None:
    seen = findings(v100(nvml=hung(8.0), lists={"/dev": denied()}))
    assert set(loud(seen)) - set(ENDED) == {"driver.nvml", "driver.device-permissions"}


def test_nouveau_is_no_second_fault_where_the_driver_is_yet_to_be_installed() -> None:
    nouveau = {"links": {f"{PCI}/driver": "../../../../bus/pci/drivers/nouveau"}}
    nothing = without(NOT_LOADED, nvml=[{"error": "NVML Shared Library Not Found", "code": 12}], **nouveau) | {
        "commands": {**NO_MODULE, **NO_CURRENT, SMI: None}
    }
    assert loud(findings(v100(**nothing))) == {"kernel.driver-installed": Status.FAIL}


def test_what_secure_boot_is_does_not_matter_where_the_driver_runs() -> None:
    hidden = v100(lists={"/sys/firmware": [], "/sys/firmware/efi": denied()})
    assert loud(findings(hidden)) == ENDED


def test_a_module_that_is_nowhere_is_not_to_be_loaded_but_installed() -> None:
    ill = without(NOT_LOADED, commands={**NO_MODULE, **NO_CURRENT})
    seen = findings(v100(**ill, links={"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": "libnvidia-ml.so.418.87.00"}))
    assert loud(seen) == {"kernel.module-built": Status.FAIL}
    remedy = seen["kernel.module-built"].remedy
    assert remedy
    assert f"apt-get install -y linux-headers-{KERNEL} cuda-drivers-580" in shown(remedy)
    assert not any("modprobe" in command for command in shown(remedy))


def test_a_library_that_is_missing_is_installed_and_one_that_is_there_is_made_known() -> None:
    missing: dict[str, Any] = {"nvml": [{"error": "NVML Shared Library Not Found", "code": 12}]}
    remedy = ask(CHECKS["driver.nvml"], gather(v100(**missing))).remedy
    assert remedy and f"apt-get install -y linux-headers-{KERNEL} cuda-drivers-580" in shown(remedy)
    there = v100(**missing, links={"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": "libnvidia-ml.so.418.87.00"})
    remedy = ask(CHECKS["driver.nvml"], gather(there)).remedy
    assert remedy and shown(remedy) == ("ldconfig",)


def test_docker_29_2_needs_no_hook_where_there_is_a_cdi_specification() -> None:
    no_hook = without(ILL_HOOK, sockets=docker("29.7.2"), stats={"/etc/cdi/nvidia.yaml": {}})
    assert loud(findings(v100(**no_hook))) == ENDED
    late = {"stats": {HOOK_PATH: LATE}}
    assert loud(findings(v100(**without(late, sockets=docker("29.7.2"), stats={"/etc/cdi/nvidia.yaml": {}})))) == ENDED
    assert findings(v100(**late))["registration.restart-needed"].status is Status.WARN


@pytest.mark.parametrize(
    ("stats", "log", "id", "status"),
    [
        ({HOOK_PATH: LATE, HOOK_PROGRAM: LATE}, "", "registration.restart-needed", Status.WARN),
        ({HOOK_PATH: LATE, HOOK_PROGRAM: EARLY}, "", "registration.restart-needed", Status.PASS),
        ({HOOK_PATH: EARLY, HOOK_PROGRAM: LATE}, "", "registration.restart-needed", Status.PASS),
        ({HOOK_PATH: None, HOOK_PROGRAM: LATE}, "", "registration.restart-needed", Status.WARN),
        ({HOOK_PATH: None, HOOK_PROGRAM: LATE}, "upgrade nvidia-container-toolkit-base:amd64 1.17.7-1 1.17.8-1",
         "registration.restart-needed", Status.PASS),
        ({HOOK_PATH: LATE, HOOK_PROGRAM: None}, "", "registration.restart-needed", Status.WARN),
        ({HOOK_PATH: None, HOOK_PROGRAM: None}, "", "registration.hook-visible", Status.WARN),
        ({HOOK_PATH: None, HOOK_PROGRAM: EARLY}, "", "registration.hook-visible", Status.SKIP),
    ],
)  # fmt: skip
def test_docker_29_2_goes_by_a_specification_only_where_it_found_the_program_for_that_at_its_start(
    stats: dict[str, Any], log: str, id: str, status: Status
) -> None:
    files = {SPEC: cdi(), "/var/log/dpkg.log": f"2023-11-16 06:12:50 {log}\n" if log else ""}
    gone: dict[str, Any] = {f"{path.rpartition('/')[2]} --version": None for path, seen in stats.items() if not seen}
    host = v100(sockets=docker("29.7.2"), stats=stats, files=files, commands=gone)
    assert ask(CHECKS[id], gather(host)).status is status


def test_the_hook_is_linked_to_where_this_dockerd_looks() -> None:
    remedy = ask(CHECKS["registration.hook-visible"], gather(ILL["registration.hook-visible"])).remedy
    assert remedy
    assert shown(remedy)[0].endswith(" /opt/docker/bin/nvidia-container-runtime-hook")


@pytest.mark.parametrize(
    ("version", "toolkit", "runtimes", "status"),
    [
        ("28.4.0", False, {}, Status.PASS),
        ("29.3.1", False, {}, Status.PASS),
        ("28.4.0", True, {}, Status.PASS),
        ("29.3.1", True, {}, Status.FAIL),
        ("24.0.5", True, RUNC_ONLY, Status.FAIL),
    ],
)
def test_a_snap_of_docker_sets_up_gpus_itself_and_wants_no_toolkit_beside_it(
    version: str, toolkit: bool, runtimes: dict[str, Any], status: Status
) -> None:
    there: dict[str, Any] = {} if toolkit else {"commands": NO_TOOLKIT, "stats": NO_PROGRAMS}
    found = findings(v100(**without(there, sockets=docker(version, DockerRootDir=SNAP, **runtimes))))
    assert found["docker.kind"].status is status
    assert toolkit or not [one for one in found if one.startswith("toolkit.") and found[one].status is Status.FAIL]


@pytest.mark.parametrize(
    ("program", "lacks"), [("apptainer", set()), ("singularity", set()), ("enroot", {"toolkit.installed"})]
)
def test_a_node_whose_jobs_bring_their_containers_needs_no_docker(program: str, lacks: set[str]) -> None:
    bare = without(NO_DAEMON, commands=NO_TOOLKIT, stats=NO_PROGRAMS, files={DAEMON_JSON: None})
    assert findings(v100(**bare))["docker.installed"].status is Status.FAIL
    found = findings(v100(**without(bare, which={program: f"/usr/bin/{program}"})))
    assert found["docker.installed"].status is Status.PASS
    assert {one.id for one in found.values() if one.status is Status.FAIL} == lacks


def test_a_hook_that_is_nowhere_is_installed_and_not_linked_to_itself() -> None:
    remedy = ask(CHECKS["registration.hook-visible"], gather(v100(**ILL_HOOK))).remedy
    assert remedy and shown(remedy) == ("gpuctl install-runtime --install",)
    assert any("apt-get" in one.words for one in remedy.by_hand)


DOCKERS_PODMAN = {"docker --version": "podman version 4.3.1\n"}
ASLEEP = {
    "systemctl " + " ".join(SHOW_SOCKETS): "Listen=/run/docker.sock (Stream)\nId=docker.socket\nSubState=listening\n"
}


@pytest.mark.parametrize(
    ("ill", "id", "status", "words", "command", "headline"),
    [
        (without(NO_DAEMON, commands={**DOCKERS_PODMAN, **PODMAN}), "registration.podman", Status.FAIL,
         "Podman finds no GPU", "gpuctl install-runtime --engine podman", "Podman"),
        (without(NO_DAEMON, which=DOCKERD), "docker.reachable", Status.FAIL, "Docker is not running.",
         "service docker start", "Docker stopped"),
        (without(NO_DAEMON, which=DOCKERD, stats=SYSTEMD), "docker.reachable", Status.FAIL, "Docker is not running.",
         "systemctl enable --now docker", "Docker stopped"),
        ({"sockets": {DOCKER: broken("Connection refused")}}, "docker.reachable", Status.FAIL, "Docker is not running.",
         None, "Docker stopped"),
        ({"env": {"DOCKER_HOST": "unix:///gone.sock"}, "which": DOCKERD}, "docker.reachable", Status.FAIL,
         "There is no Docker at unix:///gone.sock, where DOCKER_HOST points.", "unset DOCKER_HOST",
         "no Docker where DOCKER_HOST points"),
        ({"env": {"DOCKER_HOST": "ssh://root@gpu1"}}, "docker.reachable", Status.UNKNOWN,
         "DOCKER_HOST: the daemon is on another host (ssh://root@gpu1)", "unset DOCKER_HOST", "Docker elsewhere"),
        ({"env": {"DOCKER_CONTEXT": "gone", "HOME": "/u"}}, "docker.reachable", Status.UNKNOWN,
         "the context gone does not exist", "docker context use default", "Docker unknown"),
        ({"sockets": {DOCKER: hung()}}, "docker.reachable", Status.UNKNOWN, "no answer within 5 s",
         "ps -o pid,stat,wchan,args -p 700", "Docker unknown"),
        ({"sockets": {DOCKER: failed(500)}}, "docker.reachable", Status.UNKNOWN, "HTTP status 500",
         "ps -o pid,stat,wchan,args -p 700", "Docker unknown"),
        ({"sockets": {DOCKER: denied()}}, "docker.reachable", Status.FAIL, "You may not talk to Docker.",
         'usermod -aG docker "$USER"', "Docker unknown"),
        (without(NO_DAEMON, stats=SYSTEMD, commands=ASLEEP), "docker.reachable", Status.UNKNOWN,
         "Docker is stopped, and starts by itself at the first request", "systemctl start docker", "Docker stopped"),
    ],
    ids=["podman", "stopped", "stopped-systemd", "refused", "stale", "ssh", "no-context", "silent", "500", "denied",
         "asleep"],
)  # fmt: skip
def test_a_docker_that_cannot_be_asked_is_told_by_its_kind_and_once(
    ill: dict[str, Any], id: str, status: Status, words: str, command: str | None, headline: str
) -> None:
    facts = gather(v100(**ill))
    seen = {finding.id: finding for finding in diagnose(facts).findings}
    assert loud(seen) == {id: status, **ENDED}, {one: seen[one].message for one in loud(seen)}
    assert words in seen[id].message
    remedy = seen[id].remedy
    assert remedy and remedy.text
    assert command is None or command in shown(remedy), shown(remedy)
    assert host_summary(gather(v100(**ill), SUBJECTS)).endswith(f"driver 418.87.00 · {headline}")


def test_only_what_was_looked_for_and_not_found_is_absent_in_the_headline() -> None:
    silent = without(NOT_LOADED, nvml=hung(), commands={SMI: hung(), **NO_MODULE, **NO_CURRENT})
    assert host_summary(gather(v100(**silent), SUBJECTS)).endswith("driver unknown · Docker 19.03.8")
    late = gather(v100(), SUBJECTS) | Facts({DriverVersion: Missing("late"), DockerMet: Missing("late")})
    assert host_summary(late).endswith("driver unknown · Docker unknown")
    assert host_summary(gather(host(), SUBJECTS)) == "no driver · no Docker"


def test_a_broken_file_is_the_cause_where_docker_does_not_start() -> None:
    stopped: dict[str, Any] = {"sockets": {DOCKER: broken("Connection refused")}, "files": {DAEMON_JSON: "{"}}
    seen = findings(v100(**stopped))
    assert seen["docker.config-valid"].status is Status.FAIL
    assert seen["docker.reachable"].message == "rests on docker.config-valid"


@pytest.mark.parametrize(("after", "status"), [(0.0, Status.PASS), (0.019, Status.PASS), (0.1, Status.WARN)])
def test_a_hook_from_the_tick_of_dockerds_start_was_there_in_time(after: float, status: Status) -> None:
    hook = {HOOK_PATH: {"mode": 0o755, "ctime": BOOTED + 10_000 + after}}
    assert ask(CHECKS["registration.restart-needed"], gather(v100(stats=hook))).status is status


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["2023-11-16 06:12:50 upgrade nvidia-container-toolkit:amd64 1.17.7-1 1.17.8-1"], Status.PASS),
        (["2023-11-16 06:12:50 install nvidia-container-toolkit:amd64 <none> 1.17.8-1"], Status.WARN),
        (["2023-11-16 06:12:50 upgrade nvidia-container-toolkit-base:amd64 1.17.7-1 1.17.8-1"], Status.WARN),
        (["2023-11-15 06:12:50 install nvidia-container-toolkit:amd64 <none> 1.17.7-1",
          "2023-11-16 06:12:50 upgrade nvidia-container-toolkit:amd64 1.17.7-1 1.17.8-1"], Status.WARN),
        (["2023-11-14 06:12:50 install nvidia-container-toolkit:amd64 <none> 1.17.7-1",
          "2023-11-16 06:12:50 upgrade nvidia-container-toolkit:amd64 1.17.7-1 1.17.8-1"], Status.PASS),
        (["2023-11-16 06:12:50 remove nvidia-container-toolkit:amd64 1.17.7-1 <none>",
          "2023-11-16 06:13:50 install nvidia-container-toolkit:amd64 <none> 1.17.8-1"], Status.PASS),
        ([], Status.WARN),
    ],
)  # fmt: skip
def test_a_hook_that_was_there_at_dockerds_start_may_be_replaced(lines: list[str], status: Status) -> None:
    seen = v100(stats={HOOK_PATH: LATE}, files={"/var/log/dpkg.log": "".join(f"{line}\n" for line in lines)})
    assert findings(seen)["registration.restart-needed"].status is status


@pytest.mark.parametrize(
    ("started", "requests", "status"),
    [
        ("2023-11-16T00:00:00Z", [{"Driver": "", "Count": -1}], Status.PASS),
        ("2023-11-14T00:00:00Z", [{"Driver": "", "Count": -1}], Status.WARN),
        ("2023-11-16T00:00:00Z", [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}], Status.WARN),
    ],
)
def test_a_dockerd_that_has_started_a_container_by_the_hook_knows_it(
    started: str, requests: list[dict[str, Any]], status: Status
) -> None:
    told = {"Id": "c0ffee", "State": {"StartedAt": started}, "HostConfig": {"DeviceRequests": requests}}
    answers = {"/containers/json": [{"Id": "c0ffee"}], "/containers/c0ffee/json": told}
    seen = v100(stats={HOOK_PATH: LATE}, sockets={DOCKER: docker()[DOCKER] | answers})
    assert findings(seen)["registration.restart-needed"].status is status


@pytest.mark.parametrize(
    ("text", "docker_release", "status", "words"),
    [
        ('{"bogus": 1}', "20.10.24+dfsg1", Status.FAIL, "Docker 20.10.24 does not know `bogus`."),
        ('{"bogus": 1}', "29.7.2", Status.WARN, "may not know `bogus`"),
        ('{"bogus": {}}', "20.10.24", Status.WARN, "may not know `bogus`"),
        ('{"proxies": {}}', "20.10.24", Status.WARN, "may not know `proxies`"),
        ('{"cdi-spec-dirs": []}', "20.10.24", Status.FAIL, "does not know `cdi-spec-dirs`"),
        ('{"cdi-spec-dirs": []}', "28.5.2", Status.PASS, "is valid"),
        ('{"hosts": "x"}', "29.7.2", Status.FAIL, "`hosts` must be of kind array and is of kind string"),
        ('{"hosts": null}', "20.10.24", Status.PASS, "is valid"),
        ('{"Runtimes": {}}', "20.10.24", Status.WARN, "`Runtimes` (it is spelt `runtimes`)"),
        ('{"debug": true, "debug": false}', "20.10.24", Status.WARN, "`debug` stands in it twice"),
        ('{"log-opts": {"a": "1", "a": "2"}}', "20.10.24", Status.WARN, "`a` stands in it twice"),
        ('{"debug": true}', "library-import", Status.PASS, "is valid"),
        ('{"default-runtime": "kata"}', "20.10.24", Status.FAIL, "its default runtime `kata` is not registered"),
        ('{"default-runtime": "kata", "runtimes": {"kata": {"path": "/k"}}}', "20.10.24", Status.PASS, "is valid"),
        ('{"default-runtime": "io.containerd.kata.v2"}', "26.1.5", Status.PASS, "is valid"),
    ],
)
def test_a_daemon_json_that_dockerd_or_gpuctl_refuses_is_not_valid(
    text: str, docker_release: str, status: Status, words: str
) -> None:
    finding = ask(
        CHECKS["docker.config-valid"], gather(v100(files={DAEMON_JSON: text}, sockets=docker(docker_release)))
    )
    assert (finding.status, words in finding.message) == (status, True), finding.message


def test_a_daemon_json_that_could_not_be_read_as_a_whole_is_unknown_and_not_broken() -> None:
    finding = ask(CHECKS["docker.config-valid"], gather(v100(files={DAEMON_JSON: broken("larger than 4 MiB")})))
    assert (finding.status, "larger than 4 MiB" in finding.message) == (Status.UNKNOWN, True)


def test_runtimes_on_the_command_line_are_no_conflict_since_docker_18_09() -> None:
    both = {"/proc/700/cmdline": "/usr/bin/dockerd\0--add-runtime=kata=/x\0"}
    assert findings(v100(files=both))["docker.flag-conflict"].status is Status.PASS
    old = v100(files=both, sockets=docker("18.06.3-ce"))
    assert findings(old)["docker.flag-conflict"].status is Status.FAIL


LOCKED = "Another process has locked the database for writing, and might currently be\nmodifying it, some of\n"
JOURNAL = {"/var/lib/dpkg/updates/0001": "", "/proc/812/comm": "dpkg\n"}


@pytest.mark.parametrize(
    ("audit", "seen", "status"),
    [
        (f"{LOCKED}\nThe following packages are only half configured:\n x\n", {}, Status.UNKNOWN),
        ("", {**JOURNAL, "/proc/812/cmdline": "/usr/bin/dpkg\0--status-fd\0" + "20\0--configure\0"}, Status.UNKNOWN),
        ("", {**JOURNAL, "/proc/812/cmdline": "/usr/bin/dpkg\0--print-foreign-architectures\0"}, Status.WARN),
    ],
)
def test_a_dpkg_that_is_at_work_was_not_interrupted(audit: str, seen: dict[str, str], status: Status) -> None:
    machine = v100(commands={"dpkg --audit": audit}, files=seen)
    assert ask(CHECKS["packages.dpkg-whole"], gather(machine, (System, Packages))).status is status


def test_a_version_that_nobody_can_read_is_unknown() -> None:
    finding = findings(v100(sockets=docker("library-import")))["docker.version.gpus-flag"]
    assert finding.status is Status.UNKNOWN


def test_a_bare_machine_shows_that_there_is_no_gpu_and_no_docker() -> None:
    seen = findings(host(files={"/etc/os-release": "ID=debian\n"}, lists={"/sys/bus/pci/devices": []}))
    assert {one.id for one in seen.values() if one.status is Status.FAIL} == {
        "hardware.gpu-present",
        "docker.installed",
    }


def test_a_crash_in_a_check_is_a_finding_of_its_own() -> None:
    def judge(system: System) -> None:
        raise KeyError(system.kernel.value)

    finding = ask(Check("hardware.crash", (), (System,), judge), gather(v100()))
    assert finding.status is Status.UNKNOWN
    assert "bug in gpuctl: KeyError" in finding.message


def test_a_subject_that_could_not_be_read_makes_its_checks_unknown() -> None:
    facts = gather(v100()) | Facts({System: Missing("no answer within 12 s")})
    assert ask(CHECKS["hardware.environment"], facts).status is Status.UNKNOWN


def test_every_check_has_a_layer_a_sentence_of_its_own_and_known_symptoms() -> None:
    for one in CHECKS.values():
        assert one.layer in LAYERS
        assert one.judge.__doc__
        assert set(one.explains) <= set(CHECKS) - {one.id}
    assert INFO
    assert VERSION


def test_what_pods_ask_for_tells_that_a_node_lacks_the_runtime() -> None:
    by_cdi = without(CRIO, files={SPEC: cdi()})
    assert findings(v100(**by_cdi))["registration.crio"].status is Status.PASS
    line = 'kubelet: failed to create sandbox: no runtime for \\"nvidia\\" is configured'
    asked = findings(v100(**without(by_cdi, stats=SYSTEMD, commands=logged("kubelet", line))))["registration.crio"]
    assert (asked.status, "Pods ask for a runtime" in asked.message) == (Status.FAIL, True)


@pytest.mark.parametrize(
    "runtimes", [{"nvidia": "/usr/bin/nvidia-container-runtime"}, {"gpu": "/x/nvidia-container-runtime"}]
)
def test_a_node_on_which_the_runtime_is_registered_is_ready_by_whatever_name(runtimes: dict[str, str]) -> None:
    assert loud(findings(v100(**without(K3S, calls=cri(K3S_SOCKET, runtimes))))) == ENDED


def test_podmans_older_way_is_one_too_and_beside_docker_nobody_means_podman() -> None:
    hook = {"/usr/share/containers/oci/hooks.d/oci-nvidia-hook.json": "{}"}
    assert loud(findings(v100(**without(NO_DAEMON, commands=PODMAN, files=hook)))) == ENDED
    assert findings(v100(commands=PODMAN))["registration.podman"].status is Status.SKIP


def test_a_socket_that_was_left_behind_is_no_docker_that_could_be_started() -> None:
    left = without(NO_DAEMON, sockets={DOCKER: broken("Connection refused")})
    seen = findings(v100(**left))
    assert loud(seen) == {"docker.installed": Status.FAIL, **ENDED}
    assert not any("start" in line for line in shown(seen["docker.installed"].remedy))
    assert host_summary(gather(v100(**left), SUBJECTS)).endswith("no Docker")
