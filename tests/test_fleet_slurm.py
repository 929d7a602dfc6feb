"""`gpuctl fleet --slurm` and a real slurmctld: a partition's nodes are who is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_bed import Slurm, slurm

pytestmark = pytest.mark.bench

MORE = """\
NodeName=gpu[2-3],big1 NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN
PartitionName=train Nodes=gpu[1-3] State=UP
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    with slurm(MORE) as running:
        yield running


def collect(cluster: Slurm, partition: str, run: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "gpuctl", "fleet", "collect", "--slurm", partition, "--run", str(run), "--json"]
    return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **cluster.env}, timeout=120)


def test_a_partitions_nodes_are_who_is_asked(cluster: Slurm, tmp_path: Path) -> None:
    done = collect(cluster, "train", tmp_path / "run")
    told = {one["host"]: one["state"] for one in json.loads(done.stdout)["hosts"]}
    assert told == dict.fromkeys(("gpu1", "gpu2", "gpu3"), "unreachable")  # there is no such name on the network


def test_a_partition_that_is_not_there_is_one_sentence(cluster: Slurm, tmp_path: Path) -> None:
    done = collect(cluster, "nowhere", tmp_path / "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Slurm knows no nodes of a partition nowhere" in done.stderr
    assert not (tmp_path / "run").exists()
