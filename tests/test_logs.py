"""What doctor reads in logs: whose lines count, how grave an Xid is, and what is not read."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from hosts import denied, failed, hung
from hosts_v100 import GPU, NVML, v100

from gpuctl.checks import CHECKS
from gpuctl.checks.engine import ask
from gpuctl.compat.knowledge.errors.faults import xids
from gpuctl.facts.gather import gather
from gpuctl.facts.machine.logs import DKMS, KERNEL_LOG, LETTERS, parse_build, parse_log, probe_logs, unit_log
from gpuctl.facts.machine.services import parse_fabric_version
from gpuctl.model import Disturbs, Finding, Status

SYSTEMD = {"/run/systemd/system": {"type": "dir"}}
HINT = "Hint: You are currently not seeing messages from other users and the system.\n"
AT = "2026-11-25T10:00:01+0000 gpu1"


def judged(id: str, **host: Any) -> Finding:
    return ask(CHECKS[id], gather(v100(**host)))


def kernel_says(*lines: str) -> dict[str, Any]:
    return {"commands": {"dmesg": "".join(f"[  9.000001] {line}\n" for line in lines)}}


@pytest.mark.parametrize(
    ("line", "status", "words", "disturbs"),
    [
        ("NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', GPU has fallen off the bus.", Status.WARN,
         "Xid 79 for the GPU 0000:3b:00: the GPU has fallen off the bus", Disturbs.HOST),
        ("NVRM: Xid (0000:3b:00): 48, An uncorrectable double bit error", Status.WARN, "Xid 48",
         Disturbs.RUNNING_CONTAINERS),
        ("NVRM: Xid (PCI:0000:3B:00.0): 119, pid=1, Timeout waiting for RPC from GSP!", Status.WARN, "(GSP)",
         Disturbs.RUNNING_CONTAINERS),
        ("NVRM: Xid (PCI:0000:3b:00): 777, what nobody knows", Status.WARN, "see NVIDIA's catalogue", Disturbs.NOTHING),
        ("NVRM: Xid (PCI:0000:3b:00): 13, pid=812, Graphics Exception", Status.PASS, "", None),
        ("NVRM: Xid (PCI:0000:3b:00): 43, pid=812, name=python", Status.PASS, "", None),
        ("NVRM: loading NVIDIA UNIX x86_64 Kernel Module  418.87.00", Status.PASS, "", None),
        ("NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)",
         Status.WARN, "Node Reboot Required", Disturbs.HOST),
        ("NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)",
         Status.WARN, "GPU Reset Required", Disturbs.RUNNING_CONTAINERS),
        ("NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x2 (Node Reboot Required) to 0x0 (None)",
         Status.PASS, "", None),
    ],
)  # fmt: skip
def test_an_xid_counts_by_what_nvidia_has_done_about_it(
    line: str, status: Status, words: str, disturbs: Disturbs | None
) -> None:
    seen = judged("driver.xid", **kernel_says(line))
    assert (seen.status, words in seen.message) == (status, True), seen.message
    assert (seen.remedy.disturbs if seen.remedy else None) is disturbs


def test_of_several_xids_the_gravest_counts_and_a_gpu_that_is_gone_makes_it_a_failure() -> None:
    lines = [f"NVRM: Xid (PCI:0000:3b:00): {number}, x" for number in (48, 79, 119)]
    assert "Xid 79" in judged("driver.xid", **kernel_says(*lines)).message
    gone = judged("driver.xid", nvml=[NVML[0] | {"count": 0}], **kernel_says(*lines))
    assert gone.status is Status.FAIL


def test_a_gpu_that_started_in_the_end_is_no_fault() -> None:
    line = "NVRM: GPU 0000:3b:00.0: RmInitAdapter failed! (0x24:0x72:1568)"
    assert judged("driver.start-log", **kernel_says(line)).status is Status.PASS
    seen = judged("driver.start-log", nvml=[NVML[0], GPU | {"error": "Unknown Error"}], **kernel_says(line))
    assert (seen.status, "RmInitAdapter failed" in seen.message) == (Status.FAIL, True)


def test_the_journal_comes_before_the_kernels_own_buffer() -> None:
    journal = {shlex.join(KERNEL_LOG): f"{AT} kernel: NVRM: Xid (PCI:0000:3b:00): 79, lost\n", "dmesg": denied()}
    assert judged("driver.xid", stats=SYSTEMD, commands=journal).status is Status.WARN
    empty = {
        shlex.join(KERNEL_LOG): "-- No entries --\n",
        **kernel_says("NVRM: Xid (PCI:0000:3b:00): 79, x")["commands"],
    }
    assert judged("driver.xid", stats=SYSTEMD, commands=empty).status is Status.WARN


@pytest.mark.parametrize("answer", [failed(1, "dmesg: read kernel buffer failed: Operation not permitted"), hung(4.0)])
def test_a_log_that_may_not_be_read_is_passed_over_with_the_reason(answer: Any) -> None:
    seen = judged("driver.xid", commands={"dmesg": answer})
    assert (seen.status, "the log may not be read here: dmesg: " in seen.message) == (Status.SKIP, True)
    docker = {shlex.join(unit_log(unit)): failed(0, HINT) for unit in ("docker", "containerd", "kubelet")}
    seen = judged("registration.log", stats=SYSTEMD, commands=docker)
    assert (seen.status, "this user may not read it" in seen.message) == (Status.SKIP, True)


def test_the_last_gpu_container_that_failed_is_shown_by_its_core_line() -> None:
    wrapped = 'level=error msg="Handler for POST /start returned error: OCI runtime create failed: '
    lines = [
        f"{AT} dockerd[7]: {wrapped}nvidia-container-cli: mount error: old",
        f"{AT.replace('10:00:01', '11:00:00')} dockerd[7]: {wrapped}nvidia-container-cli: ldcache error: new",
    ]
    seen = judged("registration.log", stats=SYSTEMD, commands={shlex.join(unit_log("docker")): "\n".join(lines)})
    assert seen.message == (
        "A GPU container failed to start (2026-11-25T11:00:00+0000): nvidia-container-cli: ldcache error: new"
    )


@pytest.mark.parametrize(
    "line",
    [
        'error mounting "/usr/lib64/libEGL_nvidia.so.580.10.01" to rootfs: no such file or directory: unknown',
        "error running createContainer hook #1: exit status 3, stderr: No help topic for 'disable-device-node'",
        "runc create failed: unsafe procfs detected: openat2 fsmount:fscontext:proc/sys/net: permission denied",
    ],
)
def test_a_container_that_failed_by_what_the_toolkit_asked_for_is_told_of(line: str) -> None:
    told = f"{AT} dockerd[7]: OCI runtime create failed: {line}"
    seen = judged("registration.log", stats=SYSTEMD, commands={shlex.join(unit_log("docker")): told})
    assert (seen.status, "A GPU container failed to start" in seen.message) == (Status.WARN, True), seen.message


def test_a_log_is_cut_by_lines_and_by_letters() -> None:
    (line,) = parse_log(f"-- Logs begin at Mon --\n{AT} dockerd[7]: {'wrapped: ' * 1000}libcuda.so.1 is not there\n\n")
    assert len(line) == LETTERS and line.startswith(f"{AT} dockerd[7]: ") and line.endswith("libcuda.so.1 is not there")
    logs = probe_logs(v100(files={f"{DKMS}/nvidia/535.1/build/make.log": "make: *** [Makefile:1: x] Error 2\n"}))
    assert logs.build.value == ("make: *** [Makefile:1: x] Error 2",)
    assert parse_build("make: Leaving directory\n") is None


def test_the_fabric_manager_tells_its_version_in_its_own_words() -> None:
    assert parse_fabric_version("Fabric Manager version is : 535.161.08\n") == "535.161.08"
    with pytest.raises(ValueError, match="no output"):
        parse_fabric_version("")


def test_every_xid_says_what_happened_and_what_to_do() -> None:
    assert {79, 48, 119, 13, 31, 43, 94, 95} <= set(xids())
    assert xids()[79].action == "restart-host"
