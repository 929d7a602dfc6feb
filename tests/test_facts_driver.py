"""Probes of the kernel, the driver and the toolkit, on machines written by hand and on the simulated driver."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hosts import absent, denied, failed, host, hung
from simhost import Bed, SimHost, is_running, until
from simhost.process import PATIENCE

from gpuctl.facts.gpu.driver import probe_driver
from gpuctl.facts.machine.kernel import OSRELEASE, SECURE_BOOT, probe_kernel
from gpuctl.facts.toolkit.toolkit import Part, probe_toolkit
from gpuctl.host.look.local import LocalHost
from gpuctl.host.look.nvml import mig_profile

SMI = "nvidia-smi --query-gpu=driver_version --format=csv,noheader"
LOADED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  418.87.00  Thu Aug  8 15:35:46 CDT 2019\n"
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
NO_SMI_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n"
)
MODINFO = (
    "filename:       /lib/modules/6.1.0-18-amd64/updates/dkms/nvidia-current.ko\nalias:          char-major-195-*\n"
    "version:        535.161.08\nsupported:      external\nlicense:        NVIDIA\n"
    "parm:           NVreg_ResmanDebugLevel:int\n"
)
V100 = {
    "index": 0,
    "name": "Tesla V100-SXM2-16GB",
    "uuid": "GPU-7b5b8e2c-0f30-4f0e-9c7d-1f4c0d6d5a01",
    "pci": "00000000:3b:00.0",
    "compute_capability": "7.0",
}
NVML = {"driver": "418.87.00", "nvml": "10.418.87.00", "cuda": "10.1", "count": 1}


def test_a_healthy_driver_is_one_version_from_every_side() -> None:
    library = f"{LIBRARIES}/libnvidia-ml.so.1"
    found = probe_driver(
        host(
            nvml=[NVML, V100],
            files={"/proc/driver/nvidia/version": LOADED},
            commands={SMI: "418.87.00\n", "modinfo nvidia": MODINFO.replace("535.161.08", "418.87.00")},
            links={library: "libnvidia-ml.so.418.87.00"},
        )
    )
    assert {found.version.value, found.nvml_version.value, found.loaded_version.value} == {"418.87.00"}
    assert {found.smi_version.value, found.file_version.value, found.library_version.value} == {"418.87.00"}
    assert (found.open_module.value, found.cuda.value, found.smi.value) == (False, "10.1", "/usr/bin/nvidia-smi")
    assert (found.nvml_error.value, found.smi_error.value) == (None, None)
    assert [(gpu.name, gpu.pci, gpu.mig) for gpu in found.gpus.value or ()] == [(V100["name"], "0000:3b:00.0", None)]


def test_no_driver_is_absent_though_its_programs_are_there() -> None:
    found = probe_driver(
        host(nvml=[{"error": "Driver Not Loaded", "code": 9}], commands={SMI: failed(9, stdout=NO_SMI_DRIVER)})
    )
    assert [(fact.value, fact.unknown) for fact in (found.version, found.gpus, found.smi_version)] == [(None, None)] * 3
    assert found.nvml_error.value == "Driver Not Loaded"
    assert found.smi_error.value == f"exit status 9: {NO_SMI_DRIVER.strip()}"


def test_what_gpus_are_compared_by_is_told_where_the_board_has_it(sim_host: Callable[..., SimHost]) -> None:
    ask = [sys.executable, "-c", "from gpuctl.host.look.nvml import main; main()"]
    (a100, *_), (*_, a30) = (
        probe_driver(host(nvml=[json.loads(line) for line in sim_host(name).run(ask).out.splitlines()])).gpus.value
        or ()
        for name in ("a100x8", "mixed")
    )
    assert (a100.vbios, a100.power_limit, a100.ecc) == ("92.00.45.00.03", 400_000, True)
    assert (a100.pcie_generation, a100.pcie_width, a100.nvlinks) == (4, 16, 11)
    assert a30.nvlinks is None


def test_who_asks_nvmls_process_for_a_library_is_answered_by_python_itself() -> None:
    ask = "from gpuctl.host.look.nvml import _spare_search; _spare_search(); from ctypes.util import find_library; "
    done = subprocess.run([sys.executable, "-c", f"{ask}print(find_library('c'))"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("libc.so.6\n", "")


def test_mig_devices_are_told_by_their_profiles() -> None:
    profiles = ["1g.5gb"] * 4 + ["3g.20gb"]
    found = probe_driver(host(nvml=[NVML, V100 | {"mig": True, "mig_devices": 5, "mig_profiles": profiles}]))
    assert [gpu.mig_profiles for gpu in found.gpus.value or ()] == [tuple(profiles)]


@pytest.mark.parametrize(
    ("slices", "megabytes", "profile"),
    [
        ((1, 1), 4864, "1g.5gb"),
        ((7, 7), 40192, "7g.40gb"),
        ((1, 1), 9856, "1g.10gb"),
        ((3, 3), 40448, "3g.40gb"),
        ((3, 1), 20096, "1c.3g.20gb"),
    ],
)
def test_a_mig_profile_is_called_as_nvidia_smi_calls_it(slices: tuple[int, int], megabytes: int, profile: str) -> None:
    gpu, compute = slices
    told = SimpleNamespace(gpuInstanceSliceCount=gpu, computeInstanceSliceCount=compute, memorySizeMB=megabytes)
    assert mig_profile(told) == profile


def test_a_mismatch_leaves_nvmls_version_unknown_and_takes_the_loaded_modules() -> None:
    words = "Driver/library version mismatch"
    found = probe_driver(
        host(nvml=[{"error": words, "code": 18}], files={"/proc/driver/nvidia/version": LOADED}, commands={
            SMI: failed(18, stdout=f"Failed to initialize NVML: {words}\nNVML library version: 535.183\n")
        })
    )  # fmt: skip
    assert (found.nvml_version.unknown, found.gpus.unknown) == (words, words)
    assert (found.version.value, found.version.source) == ("418.87.00", "/proc/driver/nvidia/version")
    assert found.smi_error.value == f"exit status 18: Failed to initialize NVML: {words} NVML library version: 535.183"


def test_gpus_that_answered_in_time_are_kept_and_the_next_is_named(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bed.env("hang-device").items():
        monkeypatch.setenv(name, value)
    for seconds in (1.5, 15, 150):  # on a busy machine no GPU may have answered by the first end
        found = probe_driver(host(nvml=LocalHost().nvml(seconds), commands={SMI: hung()}))
        gpus = found.gpus.value or ()
        if len(gpus) > 1:
            break
    hanging = next(gpu.index for gpu in gpus if gpu.error)
    assert len(gpus) == len(bed.profiles["hang-device"].gpus)
    assert [gpu.name for gpu in gpus[:hanging]] == [gpu.name for gpu in bed.profiles["hang-device"].gpus[:hanging]]
    assert gpus[hanging].error == f"no answer within {seconds:g} s"
    assert {gpu.error for gpu in gpus[hanging + 1 :]} <= {f"not asked: GPU {hanging} did not answer"}
    assert (found.smi_version.unknown, found.smi_error.unknown) == ("no answer within 5 s", "no answer within 5 s")


def test_an_nvml_that_never_starts_is_unknown() -> None:
    found = probe_driver(host(nvml=hung(8)))
    assert {found.version.unknown, found.gpus.unknown, found.nvml_error.unknown} == {"no answer within 8 s"}


def test_a_name_that_is_no_utf_8_is_a_name_all_the_same(sim_host: Callable[..., SimHost]) -> None:
    board = sim_host("v100")
    library = board.path(f"{LIBRARIES}/libnvidia-ml.so.418.87.00")
    library.write_bytes(library.read_bytes().replace(b"Tesla V100-SXM2", b"Tesla V\xff00-SXM2"))
    findings = board.gpuctl("doctor", "--only", "driver.gpu-answers", "--json").json["findings"]
    assert [finding["status"] for finding in findings] == ["pass"]
    assert "Tesla V\N{REPLACEMENT CHARACTER}00-SXM2" in board.gpuctl("check", "--cuda", "10.1").out


def test_a_failure_of_our_own_is_no_fault_of_a_gpu() -> None:
    found = probe_driver(host(nvml=[NVML, {"error": "NVML's answer is not understood: odd", "code": -1}]))
    assert (found.gpus.value, found.gpus.unknown) == (None, "NVML's answer is not understood: odd")
    assert found.nvml_version.value == "418.87.00"


def test_a_command_that_hangs_is_killed_with_its_children_at_its_deadline(tmp_path: Path) -> None:
    script = tmp_path / "hangs"
    script.write_text(f"#!/bin/sh\necho begun\nsleep 601 & echo $! > {tmp_path}/child\nwait\n")
    script.chmod(0o755)
    for seconds in (0.5, 5, 50):  # on a busy machine it may not have begun by the first end
        started = time.monotonic()
        said = LocalHost().run([str(script)], deadline=seconds)
        assert time.monotonic() - started < PATIENCE  # the script takes longer
        if (tmp_path / "child").exists():
            break
    assert (said.outcome.value, said.text, said.detail) == ("timeout", "begun\n", f"no answer within {seconds:g} s")
    assert until(lambda: not is_running(int((tmp_path / "child").read_text())))


def test_the_library_behind_debians_alternatives_is_followed_to_its_version() -> None:
    current = f"{LIBRARIES}/nvidia/current/libnvidia-ml.so.1"
    links = {
        f"{LIBRARIES}/libnvidia-ml.so.1": "/etc/alternatives/nvidia--libnvidia-ml.so.1-x86_64-linux-gnu",
        "/etc/alternatives/nvidia--libnvidia-ml.so.1-x86_64-linux-gnu": current,
        current: "libnvidia-ml.so.535.161.08",
    }
    assert probe_driver(host(links=links)).library_version.value == "535.161.08"
    wsl = probe_driver(host(files={"/usr/lib/wsl/lib/libnvidia-ml.so.1": ""})).library_version
    assert wsl.unknown and wsl.source == "/usr/lib/wsl/lib/libnvidia-ml.so.1"


def test_windows_nvidia_smi_is_found_off_the_path() -> None:
    smi = "/usr/lib/wsl/lib/nvidia-smi"
    found = probe_driver(host(which={smi: smi}, commands={SMI.replace("nvidia-smi", smi): "551.61\n"}))
    assert (found.smi.value, found.smi_version.value) == (smi, "551.61")


def test_debians_module_goes_by_another_name() -> None:
    missing = failed(1, "modinfo: ERROR: Module nvidia not found.\n")
    kernel = probe_kernel(host(commands={"modinfo nvidia": missing, "modinfo nvidia-current": MODINFO}))
    assert kernel.module_file.value == "/lib/modules/6.1.0-18-amd64/updates/dkms/nvidia-current.ko"
    assert (kernel.module_version.value, kernel.module_license.value) == ("535.161.08", "NVIDIA")
    none = {"modinfo nvidia": missing, "modinfo nvidia-current": failed(1, "modinfo: ERROR: Module … not found.\n")}
    assert probe_kernel(host(commands=none)).module_file.unknown is None


def test_without_modinfo_the_modules_index_tells_of_the_file_but_not_of_its_version() -> None:
    index = "kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko\nupdates/dkms/nvidia.ko.zst:\n"
    files = {OSRELEASE: "6.1.0-18-amd64\n", "/lib/modules/6.1.0-18-amd64/modules.dep": index}
    kernel = probe_kernel(host(files=files))
    assert kernel.module_file.value == "/lib/modules/6.1.0-18-amd64/updates/dkms/nvidia.ko.zst"
    assert kernel.module_version.unknown == "not understood: no version"


def test_modules_of_a_kernel_that_loads_none_are_those_in_sysfs() -> None:
    files = {"/proc/modules": absent(), OSRELEASE: "6.18.44\n"}
    assert probe_kernel(host(files=files, lists={"/sys/module": ["nouveau", "ext4"]})).modules.value == {"nouveau"}
    assert probe_kernel(host(files=files)).modules.value == set()
    assert probe_kernel(host(files=files, lists={"/sys/bus": absent()})).modules.unknown == "sysfs is not mounted"
    assert probe_kernel(host(files={"/proc/modules": denied()})).modules.unknown == "Permission denied"
    assert probe_kernel(host(files={"/proc/modules": absent()})).modules.unknown == "procfs is not mounted"


def test_secure_boot_by_firmware_variable_by_mokutil_and_hidden_from_a_container() -> None:
    on = host(files={SECURE_BOOT: "\x06\x00\x00\x00\x01"})
    off = host(files={SECURE_BOOT: "\x06\x00\x00\x00\x00"})
    told = host(files={SECURE_BOOT: denied()}, commands={"mokutil --sb-state": "SecureBoot enabled\n"})
    refused = host(files={SECURE_BOOT: denied()})
    hidden = host(lists={"/sys/firmware": []})
    states = [probe_kernel(machine).secure_boot for machine in (on, off, told, refused, hidden, host())]
    assert [state.value for state in states] == [True, False, True, None, None, False]
    assert [state.unknown for state in states[3:]] == ["Permission denied", "/sys/firmware is hidden", None]


def test_the_toolkits_parts_with_versions_and_the_time_the_hook_came() -> None:
    hook = "nvidia-container-runtime-hook"
    found = probe_toolkit(
        host(
            commands={
                "nvidia-ctk --version": "NVIDIA Container Toolkit CLI version 1.17.8\n",
                "nvidia-container-runtime --version": failed(1, "no runc", "NVIDIA Container Runtime version 1.16.2\n"),
                f"{hook} --version": "NVIDIA Container Runtime Hook version 1.17.8\n",
            },
            which={"nvidia-container-runtime": "/usr/local/bin/nvidia-container-runtime"},
            stats={f"/usr/bin/{hook}": {"mtime": 1000.0, "ctime": 2000.5}},
            files={"/etc/cdi/nvidia.yaml": "cdiVersion: 0.5.0\n", "/etc/cdi/notes.txt": ""},
        )
    )
    assert found.ctk.value == Part("/usr/bin/nvidia-ctk", "1.17.8")
    assert found.runtime.value == Part("/usr/local/bin/nvidia-container-runtime", "1.16.2")
    assert found.hook.value == Part(f"/usr/bin/{hook}", ""), "what lies beside nvidia-ctk has its version"
    assert (found.cli.value, found.runc.value) == (None, None)
    assert (found.hook_changed.value, str(found.cdi.value)) == (2000.5, "/etc/cdi/nvidia.yaml")


def test_without_nvidia_ctk_the_others_are_asked_for_their_versions() -> None:
    said = {"nvidia-container-runtime --version": "NVIDIA Container Runtime version 1.4.2\n"}
    assert probe_toolkit(host(commands=said)).runtime.value == Part("/usr/bin/nvidia-container-runtime", "1.4.2")
