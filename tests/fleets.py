"""Made-up fleets: hosts as they come from being judged, and whole snapshots with one thing changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import synthetic
from hosts import host as recorded

from gpuctl.fleet.judge import JudgedHost, SaidFinding
from gpuctl.fleet.key_facts import GPU_FACTS, HOST_FACTS, SUBJECTS, GpuFacts, KeyFacts
from gpuctl.fleet.report import FleetReport, folded
from gpuctl.fleet.run_folder import HostOutcome, RecordedRun, Run, State
from gpuctl.host.look.reading import Outcome
from gpuctl.host.record.archive import Snapshot, encode

PRODUCT = "NVIDIA A100-SXM4-40GB"
HOST: Mapping[str, str] = {
    "gpus": "8",
    "distribution": "Ubuntu 22.04",
    "kernel": "5.15.0-119-generic",
    "driver": "580.95.05",
    "module": "open",
    "toolkit": "1.17.8",
    "engine": "Docker 27.3.1",
    "runtime": "docker: --gpus by the hook",
    "cdi": "none",
}
GPU: Mapping[str, str] = {
    "vbios": "92.00.45.00.03",
    "persistence": "on",
    "ecc": "on",
    "mig": "off",
    "power-limit": "400 W",
    "pcie": "generation 4 x16",
    "nvlinks": "12",
}


def named(number: int) -> str:
    return f"gpu{number:05d}"


def judged(
    name: str,
    host: Mapping[str, str | None] = {},
    gpus: Mapping[int, Mapping[str, str | None]] = {},
    findings: Sequence[SaidFinding] = (),
    product: str = PRODUCT,
    changes: Mapping[str, str] = {},
    **more: Any,
) -> JudgedHost:
    """A host of eight GPUs that has reported; `host` and `gpus` (by index) are what is other than usual."""
    values = tuple({**HOST, **host}[fact.name] for fact in HOST_FACTS)
    seen = tuple(
        GpuFacts(
            index,
            more.get("uuids", f"GPU-{name}") + f"-{index}",
            product,
            tuple({**GPU, **gpus.get(index, {})}[fact.name] for fact in GPU_FACTS),
        )
        for index in range(8)
    )
    since = tuple(changes.get(subject, "") for subject in SUBJECTS)
    facts = KeyFacts(more.get("machine", f"machine of {name}"), values, seen, (("20b0", product),) * 8, since)
    outcome = HostOutcome(name, State.REPORTED, 1.0, snapshot="its place")
    return JudgedHost(outcome, 1.0, more.get("hostname", name), facts, tuple(findings))


def told(hosts: Sequence[JudgedHost]) -> FleetReport:
    """What is told of a fleet."""
    names = tuple(one.outcome.host for one in hosts)
    run = RecordedRun("RUN", Run("1.0", 1.0, ("doctor",), names), {one.outcome.host: one.outcome for one in hosts})
    return folded(run, hosts)


def snapshot(name: str, *changes: synthetic.Machine, machine: str = "", gpu: Mapping[str, Any] = {}) -> bytes:
    """A snapshot of a healthy host of four T4 with these changes; `gpu` are further members of what NVML says of each.

    `machine` is its id, made of its name where none is given.
    """
    driver = synthetic.driver(synthetic.UBUNTU_22[3], *synthetic.DRIVER_580, synthetic.T4, 4)
    first, *gpus = driver["nvml"]
    whole = synthetic.joined(
        synthetic.system(*synthetic.UBUNTU_22),
        synthetic.gpus(synthetic.T4, 4),
        {**driver, "nvml": [first, *({**one, **gpu, "uuid": f"GPU-{name}-{one['index']}"} for one in gpus)]},
        synthetic.toolkit(),
        synthetic.docker(),
        {"files": {"/proc/sys/kernel/hostname": f"{name}\n"}},
        {"env": {"machine_id": machine or name.encode().hex().ljust(32, "0")[:32]}},
        *changes,
    )
    return encode(Snapshot(recorded(**whole).readings, at=1764000000.0, unrecorded=Outcome.ABSENT))
