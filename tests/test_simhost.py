"""The test bed keeps its own promises: otherwise no test that stands on it means anything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from simhost import PciFunction, import_image, until

IMAGE = "nvidia/cuda:10.1-base"
RUN = ("run", "--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
HEALTHY = ["v100", "a100x8", "mixed", "h200", "kmd"]

ASK_NVML = """
import json, pynvml as nvml
def text(value): return value.decode() if isinstance(value, bytes) else value
try:
    nvml.nvmlInit()
    gpus = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
    print(json.dumps({
        "driver": text(nvml.nvmlSystemGetDriverVersion()), "cuda": nvml.nvmlSystemGetCudaDriverVersion(),
        "gpus": [[text(nvml.nvmlDeviceGetName(g)), text(nvml.nvmlDeviceGetUUID(g)),
                  text(nvml.nvmlDeviceGetPciInfo(g).busId), nvml.nvmlDeviceGetMemoryInfo(g).total >> 20,
                  "%d.%d" % nvml.nvmlDeviceGetCudaComputeCapability(g)] for g in gpus]}))
except nvml.NVMLError as error:
    print(json.dumps({"error": error.value}))
"""
QUERY = ["nvidia-smi", "--query-gpu=name,uuid,pci.bus_id,memory.total,driver_version", "--format=csv,noheader,nounits"]


def ask_nvml(host):
    return host.run([sys.executable, "-c", ASK_NVML]).json


def nvml_told(host, expression):
    program = (
        "import pynvml as n; n.nvmlInit()\n"
        "g = [n.nvmlDeviceGetHandleByIndex(i) for i in range(n.nvmlDeviceGetCount())]\n"
        f"try: print({expression})\nexcept n.NVMLError as error: print(error)"
    )
    return host.run([sys.executable, "-c", program]).out.strip()


@pytest.mark.parametrize("name", HEALTHY)
def test_pynvml_nvidia_smi_and_the_table_tell_the_same_of_a_healthy_profile(bed, sim_host, name):
    host, profile = sim_host(name), bed.profiles[name]
    seen = ask_nvml(host)
    assert seen["driver"] == profile.driver
    assert f"{seen['cuda'] // 1000}.{seen['cuda'] % 1000 // 10}" == profile.cuda
    assert [(gpu[0], gpu[1], gpu[3], gpu[4]) for gpu in seen["gpus"]] == [
        (gpu.name, gpu.uuid, gpu.memory_mib, gpu.compute_capability) for gpu in profile.gpus
    ]
    rows = [line.split(", ") for line in host.run(QUERY).out.splitlines()]
    assert rows == [[*map(str, gpu[:4]), profile.driver] for gpu in seen["gpus"]]
    assert all(gpu.uuid in host.run(["nvidia-smi", "-L"]).out for gpu in profile.gpus)


@pytest.mark.parametrize(
    "name, nvml, code, words",
    [
        ("none", {"driver": "535.161.08", "cuda": 12020, "gpus": []}, 6, "No devices were found"),
        ("no-driver", {"error": 9}, 9, "couldn't communicate with the NVIDIA driver"),
        ("mismatch", {"error": 18}, 18, "Failed to initialize NVML: Driver/library version mismatch"),
        ("lost", {"error": 15}, 15, "GPU is lost"),
    ],
)
def test_nvml_and_nvidia_smi_agree_on_how_a_sick_profile_fails(sim_host, name, nvml, code, words):
    host = sim_host(name)
    assert ask_nvml(host) == nvml
    done = host.run(["nvidia-smi"])
    assert done.code == code and words in done.out


@pytest.mark.parametrize("name", ["hang", "hang-device"])
def test_a_hanging_profile_hangs_nvml_and_nvidia_smi(sim_host, name):
    host = sim_host(name)
    for command in (["nvidia-smi"], [sys.executable, "-c", ASK_NVML]):
        with pytest.raises(subprocess.TimeoutExpired):
            host.run(command, timeout=1)


def test_health_and_mig_are_told_where_the_driver_and_the_board_know_them(sim_host):
    mixed, a100, old = sim_host("mixed"), sim_host("a100x8"), sim_host("v100")
    uncorrected = "n.nvmlDeviceGetTotalEccErrors(g[{}], n.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, n.NVML_VOLATILE_ECC)"
    assert nvml_told(mixed, uncorrected.format(2)) == "3"
    assert nvml_told(mixed, uncorrected.format(0)) == "Not Supported"
    assert nvml_told(mixed, "n.nvmlDeviceGetRemappedRows(g[2])") == "(0, 1, 1, 0)"
    assert nvml_told(a100, "[n.nvmlDeviceGetMigMode(d)[0] for d in g]") == "[0, 0, 0, 0, 0, 0, 0, 1]"
    assert nvml_told(old, "n.nvmlDeviceGetMigMode(g[0])") == "Function Not Found"
    assert nvml_told(old, "n.nvmlDeviceGetBrand(g[0]), n.nvmlDeviceGetPersistenceMode(g[0])") == "2 1"
    assert nvml_told(old, "n.nvmlDeviceGetSerial(g[0])") == "Not Supported"


def test_nvidia_smi_speaks_its_branchs_language(sim_host):
    assert (
        "NVIDIA-SMI 418.87.00    Driver Version: 418.87.00    CUDA Version: 10.1"
        in sim_host("v100").run(["nvidia-smi"]).out
    )
    assert "KMD Version: 610.43.02    CUDA UMD Version: 13.3" in sim_host("kmd").run(["nvidia-smi"]).out
    done = sim_host("v100").run(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv"])
    assert (done.code, done.out) == (2, 'Field "compute_cap" is not a valid field to query.\n\n')


def test_a_host_shows_the_kernels_side_of_its_driver(sim_host):
    host = sim_host("mixed", open_module=True)
    show = "cat /sys/bus/pci/devices/0000:01:00.1/class /sys/bus/pci/devices/0000:81:00.0/device"
    assert host.run(["sh", "-c", show]).out == "0x040300\n0x20b7\n"
    assert host.run(["readlink", "/sys/bus/pci/devices/0000:41:00.0/driver"]).out.endswith("/bus/pci/drivers/nvidia\n")
    assert "nvidia_uvm 16384 0 - Live" in host.run(["cat", "/proc/modules"]).out
    assert "Open Kernel Module for x86_64  570.124.06 " in host.run(["cat", "/proc/driver/nvidia/version"]).out
    assert "195 nvidia-frontend" in host.run(["cat", "/proc/devices"]).out
    assert host.run(["stat", "-c", "%F %t %T", "/dev/nvidia2"]).out == "character special file c3 2\n"
    assert "libnvidia-ml.so.1" in host.run(["ldconfig", "-p"]).out


def test_a_host_has_what_the_test_gives_it_and_lacks_what_it_takes_away(sim_host):
    pci = [PciFunction("0000:0a:00.0", "1002", "740f", "038000", driver="amdgpu")]
    host = sim_host(
        None,
        pci=pci,
        files={"/etc/os-release": "ID=rocky\n", "/run/ostree-booted": "", "/proc/cmdline": "nomodeset\n"},
        links={"/run/docker.sock": "/tmp/nowhere.sock"},
        absent=["/usr/sbin/dockerd", "/etc/apt"],
        commands={"systemctl": "#!/bin/sh\necho degraded\n"},
    )
    assert host.run(["cat", "/etc/os-release", "/run/ostree-booted", "/proc/cmdline"]).out == "ID=rocky\nnomodeset\n"
    assert host.run(["ls", "/sys/bus/pci/devices", "/usr/sbin/dockerd", "/etc/apt", "/dev/nvidiactl"]).code == 2
    assert host.run(["readlink", "/run/docker.sock"]).out == "/tmp/nowhere.sock\n"
    assert host.run(["systemctl"]).out == "degraded\n"
    assert host.run(["nvidia-smi"]).code == 1
    assert Path("/usr/sbin/dockerd").exists()
    assert "rocky" not in Path("/etc/os-release").read_text()


def test_changes_stay_with_the_host_and_never_reach_the_machine(sim_host):
    host = sim_host("v100")
    host.run(["sh", "-c", "mkdir -p /etc/docker && echo {} > /etc/docker/daemon.json && mknod /dev/new c 1 3"])
    assert host.run(["cat", "/etc/docker/daemon.json"]).out == "{}\n"
    assert host.path("/etc/docker/daemon.json").read_text() == "{}\n"
    assert not Path("/dev/new").exists()
    assert "simhost-" not in Path("/proc/self/mountinfo").read_text()


def test_what_the_machine_has_of_its_own_is_hidden_and_its_place_can_be_written_to(sim_host):
    assert Path("/etc/ssl/certs").is_dir() and list(Path("/var/lib/dpkg/info").iterdir())
    host = sim_host(None, absent=("/etc/ssl",))
    assert host.run(["sh", "-c", "ls -d /etc/ssl; ls /var/lib/dpkg/info"]).out == ""
    host.path("/etc/ssl/certs").mkdir(parents=True)
    host.path("/etc/ssl/certs/ours").touch()
    done = host.run(["sh", "-c", "touch /etc/ssl/new; ls /etc/ssl /etc/ssl/certs"])
    assert done.out.split() == ["/etc/ssl:", "certs", "new", "/etc/ssl/certs:", "ours"]
    assert host.run(["dpkg", "--audit"]).out == host.run(["dpkg-query", "--list"]).out == ""


def test_disks_are_the_same_whatever_the_machine_does(sim_host):
    told = sim_host(None).run(["df", "-P", "-k", "-l"]).out.splitlines()
    assert told[1].split() == ["/dev/sim", "419430400", "104857600", "314572800", "25%", "/"]


def processor_time():
    """Seconds that the tests' own process and its ended children have taken."""
    times = os.times()
    return sum(times[:4])


def test_commands_run_as_another_user_with_stdin_closed_and_are_fast(sim_host):
    host = sim_host("v100")
    program = "import os, sys, pynvml; pynvml.nvmlInit(); print(os.getuid(), sys.stdin, pynvml.nvmlDeviceGetCount())"
    assert host.run([sys.executable, "-c", program], uid=65534, stdin=None).out == "65534 None 1\n"
    begun = processor_time()
    assert host.run(["true"]).code == 0
    assert processor_time() - begun < 0.15


def test_a_host_sees_its_own_dockerd_and_no_other(sim_host, dockerd):
    alone, with_docker = sim_host("v100"), sim_host("v100", dockerd=dockerd)
    daemons = ["sh", "-c", "grep -l dockerd /proc/[0-9]*/comm"]
    assert alone.run(daemons).out == ""
    assert with_docker.run(daemons).out == f"/proc/{dockerd.pid}/comm\n"
    assert with_docker.run(["/usr/bin/docker", "version", "--format", "{{.Server.Version}}"]).out.startswith("20.10")


@pytest.mark.parametrize("ask", [("--gpus", "all"), ("--runtime=nvidia",)])
def test_a_hardened_container_that_asks_for_gpus_sees_the_v100(dockerd, ask):
    done = dockerd.docker(*RUN, *ask, IMAGE, "nvidia-smi")
    assert "NVIDIA-SMI 418.87.00" in done.out and "Tesla V100-SXM2-32GB" in done.out


def test_a_container_that_does_not_ask_fails_with_the_source_documents_error(dockerd):
    done = dockerd.docker(*RUN, IMAGE, "nvidia-smi")
    assert done.code == 127 and 'exec: "nvidia-smi": executable file not found in $PATH' in done.err


def test_an_unknown_gpu_is_refused_as_by_nvidia_container_cli(dockerd):
    done = dockerd.docker(*RUN, "--gpus", "device=9", IMAGE, "nvidia-smi")
    assert done.code == 125 and "nvidia-container-cli: device error: 9: unknown device" in done.err


def test_the_toolkit_can_be_late_can_lie_and_can_fail(bed, toolkit, new_dockerd):
    daemon = new_dockerd(path=[toolkit.directory])
    import_image(daemon)
    toolkit.install("a100x8")
    late = daemon.docker(*RUN, "--gpus", "all", IMAGE, "nvidia-smi", "-L")
    assert 'could not select device driver "" with capabilities: [[gpu]]' in late.err
    daemon.restart()
    gpus = bed.profiles["a100x8"].gpus
    two = daemon.docker(*RUN, "--gpus", '"device=1,3"', IMAGE, "nvidia-smi", "-L").out
    assert [gpu.uuid in two for gpu in gpus] == [False, True, False, True, False, False, False, False]
    toolkit.configure("a100x8", devices="0", driver="535.54.03")
    lie = daemon.docker(*RUN, "--gpus", "all", IMAGE, *QUERY).out
    assert lie.splitlines() == [f"{gpus[0].name}, {gpus[0].uuid}, 00000000:07:00.0, 81920, 535.54.03"]
    toolkit.configure("a100x8", error="initialization error: nvml error: driver not loaded")
    broken = daemon.docker(*RUN, "--gpus", "all", IMAGE, "nvidia-smi")
    assert "nvidia-container-cli: initialization error: nvml error: driver not loaded" in broken.err


def test_the_toolkits_programs_say_their_versions_as_the_real_ones_do(sim_host, toolkit):
    toolkit.install("v100", version="1.18.1")
    host = sim_host("v100", toolkit=toolkit)
    firsts = {
        "nvidia-ctk": "NVIDIA Container Toolkit CLI version 1.18.1",
        "nvidia-container-cli": "cli-version: 1.18.1",
        "nvidia-container-runtime": "NVIDIA Container Runtime version 1.18.1",
        "nvidia-container-runtime-hook": "NVIDIA Container Runtime Hook version 1.18.1",
    }
    assert {name: host.run([name, "--version"]).out.splitlines()[0] for name in firsts} == firsts


def test_a_reload_registers_a_runtime_and_leaves_a_container_running(toolkit, new_dockerd):
    toolkit.install("v100")
    daemon = new_dockerd()
    import_image(daemon)
    daemon.docker("run", "-d", "--name=before", "--network=none", IMAGE, "sleep", "600")
    pid = daemon.docker("inspect", "--format={{.State.Pid}}", "before").out
    daemon.config.write_text(json.dumps({"runtimes": {"nvidia": {"path": toolkit.runtime}}}))
    os.kill(daemon.pid, signal.SIGHUP)
    assert until(lambda: "nvidia" in daemon.docker("info", "--format={{json .Runtimes}}").out)
    assert "V100" in daemon.docker(*RUN, "--runtime=nvidia", IMAGE, "nvidia-smi").out
    assert daemon.docker("inspect", "--format={{.State.Running}} {{.State.Pid}}", "before").out == f"true {pid}"


def test_nothing_of_a_dockerd_that_was_killed_stays_behind(new_dockerd):
    daemon = new_dockerd()
    import_image(daemon)
    daemon.docker("run", "-d", "--name=left", "--network=none", IMAGE, "sleep", "600")
    container = int(daemon.docker("inspect", "--format={{.State.Pid}}", "left").out)
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.close()
    # A zombie, which the machine's init has not yet reaped, has no command line.
    command_line = Path(f"/proc/{container}/cmdline")
    assert not command_line.exists() or command_line.read_text() == ""
    assert not daemon.root.exists()
