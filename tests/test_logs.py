"""What doctor reads in logs: whose lines count, how grave an Xid is, and what is not read."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import quote

import pytest
from hosts import broken, denied, failed, hung
from hosts_v100 import DOCKER, GPU, NVML, docker, v100

from gpuctl.checks.engine import ask
from gpuctl.checks.every import CHECKS
from gpuctl.compat.knowledge.errors.faults import xids
from gpuctl.facts.docker.containers import REMEMBERED
from gpuctl.facts.gather import gather
from gpuctl.facts.machine.logs import (
    DKMS,
    KERNEL_LOG,
    LETTERS,
    of_gpus,
    parse_build,
    parse_compilers,
    parse_log,
    probe_logs,
    unit_log,
)
from gpuctl.facts.machine.services import parse_fabric_version
from gpuctl.facts.own.journal import ROOT_FOLDER
from gpuctl.host.decode import second
from gpuctl.model import Disturbs, Finding, Status

SYSTEMD = {"/run/systemd/system": {"type": "dir"}}
HINT = "Hint: You are currently not seeing messages from other users and the system.\n"
AT = "2026-11-25T10:00:01+0000 gpu1"


def judged(id: str, **host: Any) -> Finding:
    return ask(CHECKS[id], gather(v100(**host)))


def test_a_line_is_of_gpus_however_it_is_written() -> None:
    words = (
        *("NVRM: loading", "nvidia-nvlink: Nvlink Core", "Xid", "nouveau 0000:3b:00.0", "GSP", "NVSwitch", "nv_queue"),
        *("AER: Corrected error", "PCIe Bus Error", "BAR 1: no space", "BAR 15 [mem 0x0-0x1 64bit]: assigned"),
        *("DMAR: [DMA Read]", "AMD-Vi: Event logged", "arm-smmu: Unhandled context fault"),
    )
    told = [line for word in words for line in (word, word.lower(), word.upper())]
    others = ["usb 1-1: new device", "DMAR: IOMMU enabled", "BAR code", "pci 0000:00:01.0: BAR 7 [io", "]: x", "a"]
    log = [line for one in told for line in (*others * 20, one)]
    assert list(of_gpus(log)) == told
    assert list(of_gpus(others)) == []


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


NEVER_FOUND = "failed to discover GPU vendor from CDI: no known GPU vendor found"
REQUEST = 'method=POST request-url=/v1.56/containers/c0ffee/start status=500 vars="map[name:c0ffee]"'


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f'level=error error-response="{NEVER_FOUND}" {REQUEST}', NEVER_FOUND),
        (f'level=error msg="start failed" error="run \\"x\\": nvidia-container-cli: no \\"y\\"" {REQUEST}',
         'nvidia-container-cli: no \\"y\\"'),
        ('{"error":"nvidia-container-cli: lost","level":"error","msg":"failed"}', "nvidia-container-cli: lost"),
        ('no runtime for "nvidia" is configured', 'no runtime for "nvidia" is configured'),
    ],
)  # fmt: skip
def test_of_the_line_of_a_logger_its_error_is_told_and_not_the_fields_behind_it(said: str, told: str) -> None:
    line = f"{AT} dockerd[7]: {said}"
    seen = judged("registration.log", stats=SYSTEMD, commands={shlex.join(unit_log("docker")): line})
    assert seen.message == f"A GPU container failed to start (2026-11-25T10:00:01+0000): {told}"


BOOTED_AT = "2026-11-25T09:00:00Z"
FAILED = "OCI runtime create failed: nvidia-container-cli: ldcache error: open failed"
BY_FLAG = [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]
BY_CDI = [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}]


def engine_says(*lines: str, unit: str = "docker", **host: Any) -> Finding:
    """What is said of a host booted at nine, on which an engine has written this."""
    commands = {shlex.join(unit_log(unit)): "\n".join(lines), **host.pop("commands", {})}
    env = {"booted": str(second(BOOTED_AT)), **host.pop("env", {})}
    return judged("registration.log", stats=SYSTEMD, commands=commands, env=env, **host)


def ran(started: str, requests: list[dict[str, Any]], id: str = "c0ffee") -> dict[str, Any]:
    """The sockets of a Docker on which one container runs."""
    told = {"Id": id, "Name": "/train", "State": {"StartedAt": started}, "Config": {"Env": []},
            "HostConfig": {"Runtime": "runc", "DeviceRequests": requests}}  # fmt: skip
    ((endpoint, answers),) = docker("28.5.2").items()
    return {endpoint: {**answers, "/containers/json": [{"Id": id}], f"/containers/{id}/json": told}}


IDLE = {endpoint: {**answers, "/containers/json": []} for endpoint, answers in docker("28.5.2").items()}
"""The sockets of a Docker that runs no container."""


def smoked(code: int) -> dict[str, Any]:
    """A host on which gpuctl's smoke container has ended with that code."""
    now = int(second("2026-11-25T11:00:00Z"))
    died = {"Actor": {"Attributes": {"exitCode": str(code)}}, "time": int(second("2026-11-25T10:30:00Z"))}
    ((endpoint, answers),) = IDLE.items()
    asked = f"/events?since={now - REMEMBERED}&until={now}&filters=" + quote(
        '{"event":["die"],"label":["gpuctl.smoke"]}'
    )
    info = {**answers["/info"], "SystemTime": "2026-11-25T11:00:00.5Z"}
    return {"sockets": {endpoint: {**answers, "/info": info, asked: died}}}


@pytest.mark.parametrize(
    "line",
    [
        'dockerd[7]: time="2026-11-25T10:00:01.12Z" level=warning msg="Ignoring previous errors updating spec"'
        ' error="CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all"',
        'dockerd[7]: {"error":"CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all",'
        '"level":"warning","msg":"Ignoring previous errors updating spec"}',
        'dockerd[7]: time="2026-11-25T10:00:01Z" level=info msg="ignoring event" error="nvidia-container-cli: x"',
        'containerd[9]: time="2026-11-25T10:00:01Z" level=debug msg="retry: failed to stat CDI host device"',
        "kubelet[8]: W1125 10:00:01.123456     812 x.go:1] will retry: unresolvable CDI devices nvidia.com/gpu=0",
        'kubelet[8]: I1125 10:00:01.123456     812 x.go:1] no runtime for "nvidia" is configured, trying again',
        "3f2a77d0b1c8[7]: nvidia-container-cli: initialization error: nvml error: driver not loaded",
        "nvidia-smoke/train[7]: could not select device driver",
    ],
)
def test_what_an_engine_went_on_from_and_what_its_containers_print_is_no_failure(line: str) -> None:
    seen = engine_says(f"{AT} {line}")
    assert (seen.status, seen.message) == (Status.PASS, "No GPU container failed to start within a day"), seen.message


@pytest.mark.parametrize(
    "line",
    [
        f'dockerd[7]: time="2026-11-25T10:00:01.12Z" level=error msg="Handler for POST returned error: {FAILED}"',
        f'dockerd[7]: {{"error":"{FAILED} level=info","level":"error","msg":"failed"}}',
        "kubelet[8]: E1125 10:00:01.123456     812 x.go:1] unresolvable CDI devices nvidia.com/gpu=0",
    ],
)
def test_what_it_calls_an_error_is_one(line: str) -> None:
    assert engine_says(f"{AT} {line}").status is Status.WARN


@pytest.mark.parametrize(
    ("host", "since"),
    [
        ({"sockets": ran("2026-11-25T10:00:02.5Z", BY_FLAG)}, "the container train has started"),
        ({"sockets": ran("2026-11-25T09:59:59Z", BY_FLAG)}, None),
        ({"sockets": ran("2026-11-25T10:00:02.5Z", BY_CDI)}, None),
        ({"sockets": ran("2026-11-25T10:00:02.5Z", [])}, None),
        ({"env": {"booted": str(second("2026-11-25T10:05:00Z"))}}, "the host was booted"),
        (smoked(0), "`gpuctl smoke` ran"),
        (smoked(1), None),
        ({"files": {"/var/log/dpkg.log": "2026-11-25 10:01:07 upgrade libnvidia-container1:amd64 1.17.7-1 1.17.8-1\n"}},
         "libnvidia-container1 was upgraded"),
        ({"files": {"/var/log/dpkg.log": "2026-11-25 11:01:07 upgrade nvidia-driver-535:amd64 535.1 535.2\n"},
          "links": {"/etc/localtime": "/usr/share/zoneinfo/Europe/Berlin"}}, "nvidia-driver-535 was upgraded"),
        ({"files": {"/var/log/dpkg.log": "2026-11-25 10:01:07 upgrade nvidia-driver-535:amd64 535.1 535.2\n"},
          "links": {"/etc/localtime": "/usr/share/zoneinfo/Europe/Berlin"}}, None),
        ({"files": {"/var/log/dpkg.log": "2026-11-25 09:01:07 upgrade nvidia-driver-535:amd64 535.1 535.2\n"}}, None),
        ({"files": {f"{ROOT_FOLDER}/20261125T100200.000000Z.jsonl":
                    '{"schema": "gpuctl.journal/1", "run": "install-runtime", "at": 1}\n'
                    '{"begins": 0, "kind": "engine", "engine": "docker"}\n{"done": 0}\n'
                    f'{{"end": "done", "at": {second("2026-11-25T10:02:00Z")}}}\n'}}, "`gpuctl install-runtime`"),
    ],
)  # fmt: skip
def test_a_failure_that_was_mended_since_is_told_as_such(host: dict[str, Any], since: str | None) -> None:
    seen = engine_says(f'{AT} dockerd[7]: level=error msg="{FAILED}"', **host)
    assert seen.status is (Status.PASS if since else Status.WARN), seen.message
    assert not since or f"No GPU container has failed to start since {since}" in seen.message


def test_the_container_that_failed_and_runs_now_is_mended_whatever_gave_it_its_gpus() -> None:
    line = f'{AT} dockerd[7]: level=error msg="POST /v1.51/containers/c0ffee/start returned error: {FAILED}"'
    assert engine_says(line, sockets=ran("2026-11-25T10:00:02Z", BY_CDI)).status is Status.PASS
    later = line.replace("10:00:01", "10:00:03")
    assert engine_says(line, later, sockets=ran("2026-11-25T10:00:02Z", BY_CDI)).status is Status.WARN


def test_a_pod_that_kubelet_got_to_run_in_the_end_is_mended() -> None:
    fails = f'{AT} kubelet[8]: E1125 10:00:01.1 812 pod_workers.go:1] {FAILED} pod="ml/train-0"'
    at = AT.replace("10:00:01", "10:00:31")
    runs = f'{at} kubelet[8]: I1125 10:00:31.1 812 x.go:104] "Observed pod startup duration" pod="ml/train-0" x=1'
    assert engine_says(fails, unit="kubelet").status is Status.WARN
    assert engine_says(fails, runs, unit="kubelet").status is Status.PASS
    assert engine_says(fails, runs.replace("train-0", "train-1"), unit="kubelet").status is Status.WARN


@pytest.mark.parametrize(
    ("core", "status"),
    [
        (NEVER_FOUND, Status.PASS),
        ("unknown or invalid runtime name: nvidia", Status.PASS),
        (FAILED, Status.WARN),
    ],
)
def test_what_an_earlier_dockerd_lacked_is_over_when_another_one_has_started(core: str, status: Status) -> None:
    ticks = int(second("2026-11-25T10:05:00Z") - second(BOOTED_AT)) * 100
    started = {"/proc/700/stat": "700 (dockerd) S 1 " + "0 " * 17 + f"{ticks} 0 0\n"}
    line = f'{AT} dockerd[7]: level=error msg="{core}"'
    assert engine_says(line, files=started).status is status
    assert engine_says(line.replace("10:00:01", "10:06:00"), files=started).status is Status.WARN


LOADING = "NVRM: loading NVIDIA UNIX x86_64 Kernel Module  418.87.00"
GONE = "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', GPU has fallen off the bus."
NEEDS = "NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"
NEEDS_NONE = "NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((GONE, LOADING), Status.PASS),
        ((LOADING, GONE), Status.WARN),
        ((GONE, NEEDS, NEEDS_NONE), Status.PASS),
        ((NEEDS_NONE, GONE), Status.WARN),
        ((GONE, NEEDS_NONE.replace("3b", "5e")), Status.WARN),
    ],
)
def test_an_xid_from_before_the_module_was_loaded_or_the_gpu_reset_is_over(
    lines: tuple[str, ...], status: Status
) -> None:
    assert judged("driver.xid", **kernel_says(*lines)).status is status


@pytest.mark.parametrize(("failed_at", "status"), [("10:00:01", Status.SKIP), ("10:09:00", Status.FAIL)])
def test_docker_that_started_since_did_not_fail_to(failed_at: str, status: Status) -> None:
    failing = f'{AT.replace("10:00:01", failed_at)} dockerd[7]: level=fatal msg="failed to start daemon: no such file"'
    runs = f'{AT.replace("10:00:01", "10:05:00")} dockerd[8]: level=info msg="API listen on /run/docker.sock"'
    said = {shlex.join(unit_log("docker")): "\n".join(sorted((failing, runs), reverse=True))}
    sockets = {DOCKER: broken("Connection refused")}
    assert judged("docker.log", sockets=sockets, stats=SYSTEMD, commands=said).status is status


def test_the_last_lines_of_a_day_are_asked_for_and_those_of_an_older_snapshot_taken_as_they_are() -> None:
    assert unit_log("docker")[-1] == "--reverse"
    told = [f"{AT} dockerd[7]: one", f"{AT.replace('10:00:01', '10:00:02')} dockerd[7]: two"]
    older = shlex.join(unit_log("docker")[:-1])
    for command, lines in ((shlex.join(unit_log("docker")), told[::-1]), (older, told)):
        logs = probe_logs(v100(stats=SYSTEMD, commands={command: "\n".join(lines)}))
        assert logs.docker.value == tuple(told)


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


def test_the_program_is_named_as_the_cause_by_those_xids_alone_that_nvidia_has_for_programs() -> None:
    """Of the catalogue's RESTART_APP an error of the GPU's memory is none, though it ends one program."""
    of_programs = {number for number, row in xids().items() if row.action == "restart-app"}
    assert of_programs == {8, 13, 31, 32, 60, 68, 69, 80, 137}
    assert not [row for number, row in xids().items() if number in of_programs and "ECC" in row.text]


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("The kernel was built by: gcc-12 (Debian 12.2.0) 12.2.0\nYou are using: gcc-11 11.3.0", ("gcc-12", "gcc-11")),
        (
            "Compiler version check failed:\n\nThe major and minor number of the compiler used to\n"
            "compile the kernel:\n\ngcc version 7.3.0 (Debian 7.3.0-29)\n\n"
            "does not match the compiler used here:\n\ncc (Debian 8.2.0-4) 8.2.0\n",
            ("gcc-7", "gcc-8"),
        ),
        ("The kernel was built by: clang version 20.1.8\nYou are using: gcc (GCC) 15.2.1", ("clang-20", "gcc-15")),
        ("make[1]: gcc-14: command not found", ("gcc-14", "")),
        ("nv.c:1: error: x", None),
    ],
)  # fmt: skip
def test_a_build_log_names_what_built_the_kernel_and_the_module(log: str, told: tuple[str, str] | None) -> None:
    assert parse_compilers(log) == told
