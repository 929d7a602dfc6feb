"""Whoever follows what doctor prints comes to a host that is ready, or to work for a person, and never in a circle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hosts import cri, host, shown
from hosts_v100 import v100
from synthetic import (
    DRIVER_580,
    HOSTS,
    ROOTLESS,
    RTX_4090,
    T4,
    UBUNTU_24,
    Machine,
    docker,
    driver,
    gpus,
    joined,
    toolkit,
)
from test_checks import (
    CRIO,
    CRIO_SOCKET,
    ILL,
    K3S,
    K3S_SOCKET,
    NO_DAEMON,
    NO_PROGRAMS,
    NO_TOOLKIT,
    PODMAN,
    SPEC,
    cdi,
    without,
)

from gpuctl.checks.every import diagnose
from gpuctl.checks.mendable import MENDABLE, fixable
from gpuctl.command import command
from gpuctl.facts.every import EVERY_SUBJECT
from gpuctl.facts.gather import Facts, gather
from gpuctl.host.record.snapshot import SnapshotHost
from gpuctl.model import Action, Finding, Remedy, Report, Status
from gpuctl.provision.mend import mends
from gpuctl.render.views.doctor import report_text
from gpuctl.render.views.host import SUMMARY

RUNTIMES = {"runc": "", "nvidia": "/usr/bin/nvidia-container-runtime"}
RUNC = joined(docker(Runtimes={"runc": {"path": "runc"}}), {"files": {"/etc/docker/daemon.json": "{}\n"}})
CRIO_HAS = '[crio.runtime.runtimes.nvidia]\nruntime_path = "/usr/bin/nvidia-container-runtime"\n'
NO_CGROUPS = "[nvidia-container-cli]\nno-cgroups = true\n"
WAYS: Mapping[str, Machine] = {
    "gpuctl install-runtime --install": joined(toolkit(), docker()),
    "gpuctl install-runtime --engine containerd --restart": {"calls": cri(K3S_SOCKET, RUNTIMES)},
    "gpuctl install-runtime --engine crio": {"sockets": {CRIO_SOCKET: {"/config": CRIO_HAS}}},
    "gpuctl install-runtime --engine podman": {"files": {SPEC: cdi()}},
    f"sudo DOCKER_HOST={ROOTLESS} gpuctl doctor --fix": {
        "files": {"/etc/nvidia-container-runtime/config.toml": NO_CGROUPS}
    },
    "apt-get install -y docker.io": RUNC,
    "mokutil --import /var/lib/shim-signed/mok/MOK.der": joined(
        gpus(RTX_4090), driver(UBUNTU_24[3], *DRIVER_580, RTX_4090)
    ),
    f"apt-get install -y linux-headers-{UBUNTU_24[3]} nvidia-open": joined(
        gpus(T4), driver(UBUNTU_24[3], *DRIVER_580, T4, is_open=True)
    ),
}
"""What each command that doctor prints here makes of the host."""
STARTS: Mapping[str, tuple[Callable[..., SnapshotHost], Machine]] = {
    **{name: (host, machine) for name, machine in HOSTS.items()},
    "k3s-without-the-runtime": (v100, without(K3S, calls=cri(K3S_SOCKET, {"runc": ""}))),
    "crio-without-the-runtime": (v100, CRIO),
    "apptainer-alone": (
        v100,
        without(NO_DAEMON, commands=NO_TOOLKIT, stats=NO_PROGRAMS, which={"apptainer": "/usr/bin/apptainer"}),
    ),
    "podman-without-a-specification": (v100, without(NO_DAEMON, commands=PODMAN)),
}
DEAD_ENDS = {
    "amd-only": "hardware.gpu-present",
    "h100-nvswitch-no-fabric-manager": "driver.fabric-manager",
    "vm-without-passthrough": "hardware.gpu-present",
}
"""Where no command of gpuctl's, nor of a package manager that it knows, leads further."""


def failures(facts: Facts) -> list[Finding]:
    return [one for one in diagnose(facts).findings if one.status is Status.FAIL]


@pytest.mark.parametrize("name", STARTS)
def test_the_printed_commands_lead_to_ready_and_not_in_a_circle(name: str) -> None:
    build, machine = STARTS[name]
    followed: list[str] = []
    while failed := failures(facts := gather(build(**machine), (*EVERY_SUBJECT, *SUMMARY))):
        one = failed[0]
        assert one.id not in followed, f"in a circle: {followed}"
        followed.append(one.id)
        way = next((WAYS[line] for line in shown(one.remedy) if line in WAYS), None)
        if way is None:
            assert DEAD_ENDS.get(name) == one.id and not shown(one.remedy), shown(one.remedy)
            assert "No command does that on every host" in report_text(diagnose(facts), facts, verbose=False).plain
            return
        machine = joined(machine, way)
    assert name not in DEAD_ENDS
    if name == "jetson-orin":  # whose --gpus no setting mends
        assert fixable(diagnose(facts)) == ()
        return
    last = report_text(diagnose(facts), facts, verbose=False).plain
    assert "\nReady: " in last and "\nNext: " in last, last


@pytest.mark.parametrize("name", ILL)
def test_no_host_is_called_ready_that_is_to_be_rebooted_or_taken_out_of_service_first(name: str) -> None:
    facts = gather(ILL[name], (*EVERY_SUBJECT, *SUMMARY))
    report = diagnose(facts)
    said = report_text(report, facts, verbose=False).plain
    if report.action in (Action.REBOOT, Action.TAKE_OUT_OF_SERVICE):
        assert "Ready: " not in said and "Next: " not in said
    assert ("Reboot this host before" in said) is (name == "kernel.driver-hangs")  # a warning alone asks for it


@pytest.mark.parametrize("machine", [*HOSTS.values(), *(ILL[id] for id in ILL)], ids=[*HOSTS, *ILL])
def test_a_specification_is_never_to_be_written_by_hand_where_gpuctl_writes_it(machine: Machine | SnapshotHost) -> None:
    built = host(**machine) if isinstance(machine, Mapping) else machine
    for one in diagnose(gather(built)).findings:
        assert not any("nvidia-ctk cdi generate" in line for line in shown(one.remedy)), (one.id, shown(one.remedy))


def test_what_can_be_mended_is_counted_and_only_where_there_is_an_engine_for_it() -> None:
    def closing(machine: SnapshotHost) -> str:
        facts = gather(machine, (*EVERY_SUBJECT, *SUMMARY))
        return report_text(diagnose(facts), facts, verbose=False).plain.splitlines()[-1]

    assert closing(host(**HOSTS["rootless-docker"])) == f"1 of these: sudo DOCKER_HOST={ROOTLESS} gpuctl doctor --fix"
    assert closing(ILL["registration.runtime"]) == "1 of these: gpuctl doctor --fix"
    assert "doctor --fix" not in closing(host(**HOSTS["fresh-ubuntu"]))


def test_what_is_said_to_be_mendable_has_a_mend() -> None:
    said = Remedy("Mend it.", (command("gpuctl", "doctor", "--fix"),))
    complaints = tuple(Finding(id, "", Status.FAIL, "", remedy=said) for id in MENDABLE)
    found = mends(gather(v100()), Report(complaints))
    assert {id for one in found for id in one.checks} == MENDABLE
    without = tuple(replace(one, remedy=None) for one in complaints)
    assert not list(mends(gather(v100()), Report(without)))


def test_a_remedy_that_gpuctl_carries_out_shows_the_others_with_v_only() -> None:
    facts = gather(ILL["toolkit.installed"], (*EVERY_SUBJECT, *SUMMARY))
    brief, whole = (report_text(diagnose(facts), facts, verbose).plain for verbose in (False, True))
    assert "$ gpuctl install-runtime --install\n" in brief and "apt-get" not in brief
    assert "or by hand:\n" in whole and "$ apt-get install -y nvidia-container-toolkit\n" in whole


def test_the_header_names_the_gpus_and_the_engine_that_is_here() -> None:
    def header(name: str) -> Any:
        facts = gather(host(**HOSTS[name]), (*EVERY_SUBJECT, *SUMMARY))
        return report_text(diagnose(facts), facts, verbose=False, origin="gpu17, recorded on 2026-11-28").plain

    said = header("dgx-a100").splitlines()
    assert said[0] == "gpu17, recorded on 2026-11-28"
    assert "8 \N{MULTIPLICATION SIGN} A100-SXM4-40GB" in said[1] and said[1].endswith("toolkit 1.17.8")
    node = header("k3s-node")
    assert "\N{MIDDLE DOT} K3s" in node
