"""The README's story of a fleet, in small: who is not like the others, one plan, two waves, one failure, undo."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_gpus import BLIND, gpu_hosts
from fleet_hosts import Hosts
from simhost import Bed, Toolkit
from test_fleet_apply import ROOT, on

pytestmark = pytest.mark.bench

MOST, OTHER = "580.159.03", "580.126.09"
DRIVERS = {f"gpu0{number}": OTHER if number == 2 else MOST for number in range(1, 7)}
SPEC = "cat /etc/cdi/nvidia.yaml 2>/dev/null || true"


@pytest.fixture
def fleet(bed: Bed) -> Iterator[Hosts]:
    folder = Path(tempfile.mkdtemp(prefix="fleet-", dir="/dev/shm"))  # which hosts have in common; their /tmp is theirs
    try:
        toolkit = Toolkit(bed, folder)
        toolkit.install("h200")
        (folder / "hosts-of").mkdir()
        with gpu_hosts(folder / "hosts-of", bed, toolkit, DRIVERS) as up:
            yield up
    finally:
        shutil.rmtree(folder)


def test_an_odd_host_is_told_and_a_plan_goes_in_two_waves_with_one_failure_and_back(
    fleet: Hosts, tmp_path: Path
) -> None:
    def said(line: str) -> tuple[int, str]:
        argv = [sys.executable, "-m", *shlex.split(line)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=400)
        return done.returncode, done.stdout + done.stderr

    shutil.copy(fleet.inventory(ansible_python_interpreter="/usr/bin/python3"), tmp_path / "hosts.ini")
    code, text = said("gpuctl fleet doctor -i hosts.ini --become")
    assert f"driver: {MOST} on 5 of 6 hosts with NVIDIA H200\n      {OTHER} on gpu02\n" in text
    assert (
        "To mend what gpuctl can on all of them: gpuctl fleet plan doctor --fix -i hosts.ini --become -o PLAN\n" in text
    )
    assert code == 1

    code, text = said("gpuctl fleet plan install-runtime -i hosts.ini --limit gpu01,gpu04 --become -o PLAN")
    assert (code, "1 plan for 2 hosts: gpuctl install-runtime" in text) == (0, True)
    on(fleet, "gpu04", f"echo '{BLIND}' > /run/smoke")
    code, text = said(
        "gpuctl fleet apply PLAN -i hosts.ini --become --smoke --waves 1,100% --run RUN --limit gpu01,gpu04"
    )
    assert (code, "1 of 2 hosts as the plan wishes: RUN" in text) == (4, True)
    assert "rolled-back     1  gpu04\n      gpuctl smoke ends with 1: The container saw no GPU.\n" in text
    assert ["nvidia.com/gpu" in on(fleet, host, SPEC) for host in ("gpu01", "gpu04")] == [True, False]

    code, text = said(text.partition("To undo it: ")[2].splitlines()[0])
    assert (code, "1 of 1 host rolled back: RUN" in text) == (0, True)
    assert [on(fleet, host, SPEC) for host in ("gpu01", "gpu04")] == ["", ""]
