"""`gpuctl fleet --slurm` and a real slurmctld, with a munged of its own: its nodes are who is asked."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from simhost.process import until

pytestmark = pytest.mark.bench

CONFIG = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
NodeName=gpu[1-3],big1 NodeAddr=127.0.0.1 CPUs=1 State=UNKNOWN
PartitionName=train Nodes=gpu[1-3] Default=YES State=UP
PartitionName=all Nodes=ALL State=UP
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration of a slurmctld that runs."""
    folder = tmp_path_factory.mktemp("slurm")
    folder.chmod(0o755)
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(port=port, user=getpass.getuser(), folder=folder))
    files = ("--pid-file", "--log-file", "--seed-file")
    munge = [f"{option}={folder}/munged{option[1:6]}" for option in files]
    munged = subprocess.Popen(
        ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket", *munge],
        stderr=subprocess.DEVNULL,
    )
    assert until(lambda: (folder / "munge.socket").exists())
    slurmctld = subprocess.Popen(["slurmctld", "-D", "-c", "-f", str(config)], stderr=subprocess.DEVNULL)
    env = {**os.environ, "SLURM_CONF": str(config)}
    assert until(lambda: subprocess.run(["sinfo"], env=env, capture_output=True).returncode == 0), (
        folder / "slurmctld.log"
    ).read_text()
    yield config
    for process in (slurmctld, munged):
        process.terminate()
        process.wait()


def collect(config: Path, partition: str, run: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "gpuctl", "fleet", "collect", "--slurm", partition, "--run", str(run), "--json"]
    return subprocess.run(
        argv, capture_output=True, text=True, env={**os.environ, "SLURM_CONF": str(config)}, timeout=120
    )


def test_a_partitions_nodes_are_who_is_asked(slurm: Path, tmp_path: Path) -> None:
    done = collect(slurm, "train", tmp_path / "run")
    told = {one["host"]: one["state"] for one in json.loads(done.stdout)["hosts"]}
    assert told == dict.fromkeys(("gpu1", "gpu2", "gpu3"), "unreachable")  # there is no such name on the network


def test_a_partition_that_is_not_there_is_one_sentence(slurm: Path, tmp_path: Path) -> None:
    done = collect(slurm, "nowhere", tmp_path / "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Slurm knows no nodes of a partition nowhere" in done.stderr
    assert not (tmp_path / "run").exists()
