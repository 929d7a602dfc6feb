"""Probes: what they read, on texts as real machines print them and on machines written by hand."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hosts import denied, failed, host, hung
from simhost.process import PATIENCE

from gpuctl.facts.every import EVERY_SUBJECT
from gpuctl.facts.gather import gather
from gpuctl.facts.gpu import driver, driver_library, nvml
from gpuctl.facts.gpu.devices import Devices, parse_majors, probe_devices
from gpuctl.facts.gpu.firmware import FOLDER, OWN_FOLDER, probe_firmware
from gpuctl.facts.gpu.keeper import prebuilt_branch
from gpuctl.facts.gpu.licence import is_virtual, parse_licence_status, parse_server
from gpuctl.facts.gpu.pci import PciGpu, probe_pci
from gpuctl.facts.gpu.tegra import newest_compat, parse_tegra_release
from gpuctl.facts.gpu.xorg import parse_addresses
from gpuctl.facts.machine import kernel, system
from gpuctl.facts.machine import kind as machine
from gpuctl.facts.machine.distribution import Distribution
from gpuctl.facts.machine.kernel import DkmsModule
from gpuctl.facts.machine.system import probe_system
from gpuctl.facts.podman import probe_podman
from gpuctl.facts.toolkit import toolkit
from gpuctl.host.look.local import LocalHost
from gpuctl.host.record.memory import RememberingHost
from gpuctl.host.record.snapshot import SnapshotHost

PROPRIETARY = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  418.87.00  Thu Aug  8 15:35:46 CDT 2019\n"
    "GCC version:  gcc version 8.3.0 (Debian 8.3.0-6)\n"
)
OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  (dvs-builder@U16-A24-9-2)"
    "  Thu Oct 10 12:15:00 UTC 2024\nGCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)\n"
)
DKMS = (
    "Deprecated feature: REMAKE_INITRD (/var/lib/dkms/nvidia/535.104.05/source/dkms.conf)\n"
    "nvidia, 418.87.00, 4.19.0-6-amd64, x86_64: installed\n"
    "nvidia-current/535.161.08, 6.1.0-18-amd64, x86_64: installed (WARNING! Diff between built and installed module!)\n"
    "nvidia/535.104.05: added\n"
    "i915-sriov-dkms/2025.03.26, 6.11.11-1-pve, x86_64: installed\n"
)
CACHE = (
    "1304 libs found in cache `/etc/ld.so.cache'\n"
    "\tlibnvidia-ml.so.1 (libc6) => /lib/i386-linux-gnu/libnvidia-ml.so.1\n"
    "\tlibnvidia-ml.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libnvidia-ml.so.1\n"
)


SCREENS = """
Section "Device"
    Identifier "commented out"
    Driver     "nvidia"
#   BusID      "PCI:3:0:0"
EndSection
Section "Device"
    Driver     "modesetting"
    BusID      "PCI:0:2:0"
EndSection
Section "Device"
    Driver     "nvidia"
    BusID      "PCI:90@1:0:0"
EndSection
section "device"
    busid      "pci:10:0:0"
    driver     "nvidia"
endsection
"""


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (driver.parse_loaded_version, PROPRIETARY, "418.87.00"),
        (driver.parse_loaded_version, OPEN, "565.57.01"),
        (driver.parse_smi_version, "535.161.08\n535.161.08\n", "535.161.08"),
        (nvml.normal_address, "00000000:3B:00.0", "0000:3b:00.0"),
        (nvml.normal_address, "00010000:3B:00.0", "10000:3b:00.0"),
        (driver_library.parse_linker_cache, CACHE, ["/lib/x86_64-linux-gnu/libnvidia-ml.so.1"]),
        (driver_library.parse_library_version, "/lib/libnvidia-ml.so.1", None),
        (parse_tegra_release, "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n", "36.4.3"),
        (parse_tegra_release, "# R32 (release), REVISION: 7.1, GCID: 29818004\n", "32.7.1"),
        (newest_compat, ("cuda-compat-12-2", "cuda-compat-12-10", "cuda-compat"), "12.10"),
        (parse_licence_status, "  License Status         : Unlicensed (Restricted)\n", "Unlicensed (Restricted)"),
        (parse_licence_status, "    License Status  : N/A\n", None),
        (parse_server, "# ServerAddress=\nServerAddress = 203.0.113.9\n", "203.0.113.9"),
        (parse_server, "ServerAddress=\nFeatureType=4\n", None),
        (parse_addresses, SCREENS, ("0001:5a:00.0", "0000:0a:00.0")),
        (is_virtual, '{"index": 0, "name": "NVIDIA H100L-94C"}', True),
        (is_virtual, '{"index": 0, "name": "NVIDIA A100-1-5CME"}', True),
        (is_virtual, '{"index": 0, "name": "NVIDIA A100-PCIE-40GB"}', False),
        (is_virtual, '{"index": 0, "name": "GRID K520"}', False),
        (prebuilt_branch, ("nvidia-580srv-open", "nvidia"), "580-server-open"),
        (prebuilt_branch, ("nvidia", "drivers"), ""),
        (parse_majors, "Character devices:\n195 nvidia-frontend\n  1 mem\n\nBlock devices:\n  7 nvidia\n",
         {"nvidia-frontend": 195}),
        (kernel.parse_modules, "nvidia_uvm 4694016 0 - Live 0x0\nnvidia 56709120 19 nvidia_uvm, Live 0x0\next4 1 0\n",
         {"nvidia", "nvidia_uvm"}),
        (kernel.parse_mokutil, "SecureBoot disabled\nPlatform is in Setup Mode\n", False),
        (kernel.parse_mokutil, "EFI variables are not supported on this system\n", None),
        (machine.parse_wsl, "5.15.167.4-microsoft-standard-WSL2", "wsl2"),
        (machine.parse_wsl, "4.4.0-19041-Microsoft", "wsl1"),
        (machine.parse_vendor, "QEMU Standard PC (Q35 + ICH9, 2009)", "qemu"),
        (machine.parse_vendor, "Amazon EC2 g4dn.metal", None),
        (machine.parse_vendor, "Microsoft Corporation Surface Book 3", None),
    ],
)  # fmt: skip
def test_what_real_machines_print_is_understood(parse: Any, text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("program", "text", "version"),
    [
        ("nvidia-ctk", "NVIDIA Container Toolkit CLI version 1.17.8\ncommit: f202b80a\n", "1.17.8"),
        ("nvidia-container-cli", "cli-version: 1.17.8\nlib-version: 1.17.8\nbuild date: 2025-05-30\n", "1.17.8"),
        ("nvidia-container-cli", "version: 1.0.7\nbuild date: 2020-01-21T18:59+00:00\n", "1.0.7"),
        ("nvidia-container-runtime", "NVIDIA Container Runtime version 1.17.8\n\nrunc version 1.1.12\n", "1.17.8"),
        ("nvidia-container-runtime", "runc version 1.0.0-rc10\ncommit: dc9208a3\nspec: 1.0.1-dev\n", ""),
        ("nvidia-container-runtime-hook", "NVIDIA Container Runtime Hook version 1.10.0\ncommit: 7cfd3bd\n", "1.10.0"),
        ("runc", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\n", "1.1.5+ds1"),
    ],
)  # fmt: skip
def test_each_toolkit_program_tells_its_own_version_and_not_runcs(program: str, text: str, version: str) -> None:
    assert toolkit.parse_version(program, text) == version


def test_firmware_is_looked_for_where_this_kernel_looks_for_it() -> None:
    own, file = "/run/current-system/firmware", "gsp_ga10x.bin"
    of_its_own = host(files={OWN_FOLDER: f"{own}\n"}, stats={f"{own}/nvidia/580.95.05/{file}": {}})
    assert probe_firmware(of_its_own).releases.value == ("580.95.05",)
    assert probe_firmware(host(stats={f"{FOLDER}/nvidia/570.86.10/{file}": {}})).releases.value == ("570.86.10",)
    assert probe_firmware(host()).releases.value is None


def test_dkms_of_both_generations_is_read_and_other_modules_are_left_out() -> None:
    assert kernel.parse_dkms(DKMS) == (
        DkmsModule("nvidia", "418.87.00", "4.19.0-6-amd64", "installed"),
        DkmsModule("nvidia-current", "535.161.08", "6.1.0-18-amd64", "installed"),
        DkmsModule("nvidia", "535.104.05", "", "added"),
    )


def test_an_empty_machine_has_nothing_and_nothing_about_it_is_unknown() -> None:
    facts = gather(host())
    unknown = [fact for subject in facts.found.values() for fact in vars(subject).values() if fact.unknown]
    assert set(facts.found) == set(EVERY_SUBJECT)
    assert unknown == []


def test_a_probe_that_comes_late_is_one_missing_subject() -> None:
    over = threading.Event()

    class Slow(SnapshotHost):
        def list(self, path: str) -> Any:
            over.wait()
            return super().list(path)

    try:
        for deadline in (0.1, 1, 10, 100):  # on a busy machine nobody may have answered by the first one
            facts = gather(Slow({}), (Devices, system.System), deadline=deadline)
            if facts.get(system.System):
                break
    finally:
        over.set()
    assert not facts.get(Devices)
    assert facts.known(system.System)


def test_this_machine_recorded_and_replayed_gives_the_same_facts() -> None:
    recorder = RememberingHost(LocalHost())
    seen = gather(recorder, deadline=PATIENCE)
    assert gather(SnapshotHost(recorder.readings), deadline=PATIENCE) == seen


@pytest.mark.parametrize(
    ("given", "version"),
    [
        ({"which": {"dockerd": "/usr/sbin/dockerd"}}, None),
        ({}, "4.3.1"),
        ({"which": {"dockerd": "/usr/sbin/dockerd"}, "files": {"/etc/cdi/nvidia.yaml": ""}}, "4.3.1"),
        (
            {
                "which": {"dockerd": "/usr/sbin/dockerd"},
                "files": {"/usr/share/containers/oci/hooks.d/oci-nvidia-hook.json": ""},
            },
            "4.3.1",
        ),
    ],
)
def test_podman_is_asked_for_its_version_where_something_hangs_on_it(given: Any, version: str | None) -> None:
    assert probe_podman(host(**given, commands={"podman --version": "podman version 4.3.1\n"})).version.value == version


def test_ubuntu_in_a_virtual_machine_is_described() -> None:
    release = 'NAME="Ubuntu"\nVERSION_ID="22.04"\nVERSION_CODENAME=jammy\nID=ubuntu\nID_LIKE=debian\n'
    found = probe_system(
        host(
            files={"/etc/os-release": release, "/proc/sys/kernel/osrelease": "5.15.0-91-generic\n"},
            commands={"systemd-detect-virt": "kvm\n", "uname -m": "x86_64\n"},
            which={"dnf": "/usr/bin/dnf", "apt-get": "/usr/bin/apt-get"},
        )
    )
    assert found.distribution.value == Distribution("ubuntu", "Ubuntu", "22.04", ("debian",), "jammy")
    assert (found.package_manager.value, found.kernel.value) == ("apt", "5.15.0-91-generic")
    assert (found.architecture.value, found.euid.value) == ("x86_64", 0)
    assert (found.machine.value, found.machine_detail.value) == ("vm", "kvm")


@pytest.mark.parametrize(
    ("given", "kind", "detail"),
    [
        ({"files": {"/.dockerenv": ""}}, "container", "docker"),
        ({"files": {"/proc/1/environ": "HOME=/\0container=lxc\0"}}, "container", "lxc"),
        ({"commands": {"systemd-detect-virt": failed(1, stdout="none\n")}}, "bare-metal", None),
        ({"commands": {"systemd-detect-virt": "systemd-nspawn\n"}}, "container", "systemd-nspawn"),
        ({"files": {machine.OSRELEASE: "5.15.167.4-microsoft-standard-WSL2\n", "/run/systemd/container": "wsl\n"}},
         "wsl2", None),
        ({"files": {machine.OSRELEASE: "4.4.0-19041-Microsoft\n"}}, "wsl1", None),
        ({"files": {"/sys/class/dmi/id/sys_vendor": "QEMU\n"}}, "vm", "qemu"),
        ({"files": {"/proc/cpuinfo": "flags\t\t: fpu hypervisor lm\n"}}, "vm", None),
        ({"files": {"/proc/cpuinfo": "flags\t\t: fpu lm\n"}}, "bare-metal", None),
    ],
)  # fmt: skip
def test_every_kind_of_machine_is_told_apart(given: dict[str, Any], kind: str, detail: str | None) -> None:
    found = probe_system(host(**given))
    assert (found.machine.value, found.machine_detail.value) == (kind, detail)


def _pci(address: str, vendor: str, device: str, device_class: str) -> dict[str, str]:
    folder = f"/sys/bus/pci/devices/{address}"
    return {f"{folder}/vendor": vendor, f"{folder}/device": device, f"{folder}/class": device_class}


def test_gpus_are_found_on_the_bus_without_a_driver_and_audio_functions_are_none() -> None:
    files = {
        **_pci("0000:3b:00.0", "0x10de\n", "0x1db1\n", "0x030200\n"),
        **_pci("0000:3b:00.1", "0x10de\n", "0x10f8\n", "0x040300\n"),
        **_pci("0000:02:00.0", "0x1a03\n", "0x2000\n", "0x030000\n"),
    }
    links = {"/sys/bus/pci/devices/0000:3b:00.0/driver": "../../../../bus/pci/drivers/vfio-pci"}
    found = probe_pci(host(files=files, links=links))
    assert found.gpus.value == (PciGpu("0000:3b:00.0", "10de", "1db1", "0302", "vfio-pci"),)
    assert found.others.value == (PciGpu("0000:02:00.0", "1a03", "2000", "0300", None),)


def test_a_bus_that_cannot_be_read_is_unknown() -> None:
    hidden = probe_pci(host(lists={"/sys/bus/pci/devices": denied()}))
    unmounted = probe_pci(SnapshotHost({}))
    half_read = probe_pci(host(files={"/sys/bus/pci/devices/0000:3b:00.0/class": hung(3)}))
    assert [bus.gpus.unknown for bus in (hidden, half_read)] == ["Permission denied", "no answer within 3 s"]
    assert unmounted.gpus.unknown and unmounted.gpus.value is None


def test_device_nodes_with_those_of_mig_and_no_plain_files() -> None:
    stats = {"/dev/nvidia0": {"type": "char", "major": 195}, "/dev/nvidia-caps/nvidia-cap1": {"type": "char"}}
    found = probe_devices(host(files={"/dev/nvidiactl": "left by a backup"}, stats=stats))
    assert [node.path for node in found.nodes.value or ()] == ["/dev/nvidia0", "/dev/nvidia-caps/nvidia-cap1"]
    assert probe_devices(host(stats={"/dev/nvidia0": denied()})).nodes.unknown == "Permission denied"
