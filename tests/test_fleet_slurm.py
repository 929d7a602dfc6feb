"""`gpuctl fleet` and a real Slurm: a partition's nodes are who is asked, and who is drained before a change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_hosts import PYTHON, Hosts, hosts
from simhost.process import until
from slurm_bed import Slurm, slurm
from test_fleet_apply import FILE, gpuctl, on, planned, prepared, states

from gpuctl.fleet.drain.drain import Taken
from gpuctl.fleet.drain.slurm import SlurmDrain

pytestmark = pytest.mark.bench

MORE = """\
NodeName=gpu[2-3],big1 NodeAddr=255.255.255.255 CPUs=1 State=UNKNOWN
PartitionName=train Nodes=gpu[1-3] State=UP
"""
"""Further nodes, at an address that is refused at once: for ten seconds Slurm tries one at which nobody listens, and
asks no other node meanwhile whether it is back."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    with slurm(MORE) as running:
        yield running


def collect(cluster: Slurm, partition: str, run: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "gpuctl", "fleet", "collect", "--slurm", partition, "--run", str(run), "--json"]
    return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **cluster.env}, timeout=300)


def test_a_partitions_nodes_are_who_is_asked(cluster: Slurm, tmp_path: Path) -> None:
    done = collect(cluster, "train", tmp_path / "run")
    told = {one["host"]: one["state"] for one in json.loads(done.stdout)["hosts"]}
    assert told == dict.fromkeys(("gpu1", "gpu2", "gpu3"), "unreachable")  # there is no such name on the network


def test_a_partition_that_is_not_there_is_one_sentence(cluster: Slurm, tmp_path: Path) -> None:
    done = collect(cluster, "nowhere", tmp_path / "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Slurm knows no nodes of a partition nowhere" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Hosts whose names are those of nodes; jobs run on this machine all the same."""
    scripts = dict.fromkeys(("gpu1", "gpu2"), prepared("{}", gpuctl=True))
    with hosts(tmp_path_factory.mktemp("fleet"), scripts, ansible_python_interpreter=PYTHON) as up:
        yield up


@pytest.fixture
def fleet(cluster: Slurm, lab: Hosts, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    for name in lab.hosts:
        on(lab, name, f"rm -rf /var/lib/gpuctl /run/smoke; printf {{}} > {FILE}")
    yield lab
    cluster.run("scancel", "--user", "root")
    cluster.reset()


def job(cluster: Slurm, script: str) -> None:
    """A job that runs on gpu1 by then."""
    done = cluster.run("sbatch", "--chdir=/", "--output=/dev/null", "--nodelist=gpu1", "--wrap", script)
    assert done.code == 0, done.err
    assert until(lambda: cluster.run("squeue", "--noheader", "--states=RUNNING", "--format=%i").out != "")


def test_a_job_outlives_the_drain_and_somebody_elses_drain_is_theirs(
    cluster: Slurm, fleet: Hosts, tmp_path: Path
) -> None:
    inventory, plan = planned(fleet, tmp_path, "gpu1", "gpu2")
    cluster.run("scontrol", "update", "NodeName=gpu2", "State=DRAIN", "Reason=new fan")
    ended = tmp_path / "ended"
    job(cluster, f"until scontrol -o show node gpu1 | grep -q DRAIN; do sleep 0.1; done; sleep 2; touch {ended}")
    options = ("-i", inventory, "--drain", "slurm", "--waves", "100%")
    code, told, said = gpuctl("apply", plan, *options, "--run", tmp_path / "RUN")
    assert (code, states(told)) == (0, {"gpu1": "applied", "gpu2": "applied"}), said
    assert all(one["at"] > ended.stat().st_mtime and not one["drained"] for one in told["hosts"])
    assert (cluster.state, cluster.reason) == ("IDLE", "")
    theirs = cluster.run("scontrol", "-o", "show", "node", "gpu2").out
    assert "+DRAIN" in theirs and "Reason=new fan" in theirs


def test_a_node_that_is_not_free_in_time_or_has_failed_stays_drained_until_it_is_verified(
    cluster: Slurm, fleet: Hosts, tmp_path: Path
) -> None:
    inventory, plan = planned(fleet, tmp_path, "gpu1")
    run, by = tmp_path / "RUN", ("-i", inventory)
    job(cluster, "sleep 600")
    code, told, _ = gpuctl("apply", plan, *by, "--smoke", "--drain", "slurm", "--drain-timeout", "1", "--run", run)
    assert (code, states(told), told["hosts"][0]["drained"]) == (1, {"gpu1": "not-drained"}, True)
    assert cluster.run("squeue", "--noheader", "--states=RUNNING", "--format=%i").out != ""
    assert on(fleet, "gpu1", f"cat {FILE}") == "{}"

    cluster.run("scancel", "--user", "root")
    on(fleet, "gpu1", "echo 1 > /run/smoke")
    code, told, _ = gpuctl("apply", "--resume", run, *by, "--drain-timeout", "60")
    assert (code, states(told), told["hosts"][0]["drained"]) == (4, {"gpu1": "rolled-back"}, True)
    assert cluster.state == "IDLE+DRAIN"
    assert cluster.reason.startswith("gpuctl RUN: gpuctl install-runtime --engine docker")

    cluster.update("State=RESUME")  # by a person, who has it seen in service again from then on
    code, told, _ = gpuctl("undo", run, *by)
    assert (code, states(told), told["hosts"][0]["drained"]) == (0, {"gpu1": "rolled-back"}, False)

    on(fleet, "gpu1", "echo 0 > /run/smoke")
    code, told, _ = gpuctl("apply", "--resume", run, *by)
    assert (code, states(told), told["hosts"][0]["drained"]) == (0, {"gpu1": "applied"}, False)
    assert (cluster.state, cluster.reason) == ("IDLE", "")


def test_a_suspended_job_keeps_its_node_from_being_changed_and_undo_gives_the_node_back(
    cluster: Slurm, fleet: Hosts, tmp_path: Path
) -> None:
    inventory, plan = planned(fleet, tmp_path, "gpu1")
    job(cluster, "sleep 600")
    number = cluster.run("squeue", "--noheader", "--states=RUNNING", "--format=%i").out.strip()
    assert cluster.run("scontrol", "suspend", number).code == 0
    options = ("-i", inventory, "--drain", "slurm", "--drain-timeout", "1")
    code, told, _ = gpuctl("apply", plan, *options, "--run", tmp_path / "RUN")
    assert (code, states(told)) == (1, {"gpu1": "not-drained"})
    assert cluster.state == "IDLE+DRAIN"  # of the job it says nothing
    assert on(fleet, "gpu1", f"cat {FILE}") == "{}"
    code, told, _ = gpuctl("undo", tmp_path / "RUN", "-i", inventory)
    assert (code, states(told), told["hosts"][0]["drained"]) == (0, {"gpu1": "not-drained"}, False)
    assert (cluster.state, cluster.reason) == ("IDLE", "")


def test_undo_takes_the_node_out_of_service_waits_for_its_job_and_brings_it_back(
    cluster: Slurm, fleet: Hosts, tmp_path: Path
) -> None:
    inventory, plan = planned(fleet, tmp_path, "gpu1", "gpu2")
    run, by = tmp_path / "RUN", ("-i", inventory)
    assert gpuctl("apply", plan, *by, "--drain", "slurm", "--run", run)[0] == 0
    cluster.run("scontrol", "update", "NodeName=gpu2", "State=DRAIN", "Reason=new fan")
    job(cluster, "sleep 600")
    code, told, _ = gpuctl("undo", run, *by, "--drain-timeout", "1")
    assert (code, states(told)) == (5, {"gpu1": "applied", "gpu2": "undone"})
    assert "nvidia" in on(fleet, "gpu1", f"cat {FILE}") and on(fleet, "gpu2", f"cat {FILE}") == "{}"
    assert cluster.state.endswith("+DRAIN") and cluster.reason.startswith("gpuctl RUN: ")

    cluster.run("scancel", "--user", "root")
    code, told, said = gpuctl("undo", run, *by)
    assert (code, states(told)) == (0, {"gpu1": "undone", "gpu2": "undone"}), said
    assert not any(one["drained"] for one in told["hosts"])
    assert (cluster.state, cluster.reason, on(fleet, "gpu1", f"cat {FILE}")) == ("IDLE", "", "{}")
    theirs = cluster.run("scontrol", "-o", "show", "node", "gpu2").out
    assert "+DRAIN" in theirs and "Reason=new fan" in theirs


OWN = "gpuctl RUN: install-runtime{} (begun 2026-11-30T09:00:00.000000Z)"


@pytest.mark.parametrize(
    ("updates", "reason"),
    [
        ((("State=RESUME",), ("State=DRAIN", "Reason=new fan")), "new fan"),
        ((("State=DRAIN", "Reason=new fan"),), "new fan"),
        ((("Reason=new fan",),), "new fan"),
        (((f"Reason={OWN.format(', and a new fan')}",),), OWN.format(", and a new fan")),
    ],
    ids=["resumed and drained anew", "drained on top", "another reason", "a word added"],
)
def test_a_node_whose_reason_is_no_longer_the_runs_own_is_somebody_elses(
    cluster: Slurm, monkeypatch: pytest.MonkeyPatch, updates: tuple[tuple[str, ...], ...], reason: str
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    drain = SlurmDrain("RUN", "2026-11-30T09:00:00.000000Z", "install-runtime")
    assert drain.take_out(("gpu1",)) == {"gpu1": Taken(True)}
    assert cluster.reason.startswith(f"{OWN.format('')} [")
    for words in updates:
        cluster.update(*words)
    assert drain.take_out(("gpu1",)) == {"gpu1": Taken(False)}
    assert drain.bring_back(("gpu1",)) == {}
    assert cluster.state == "IDLE+DRAIN" and cluster.reason.startswith(f"{reason} [")
    cluster.reset()


def test_a_node_that_slurm_undrains_and_says_that_it_failed_is_back(
    cluster: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    drain = SlurmDrain("RUN", "2026-11-30T09:00:00.000000Z", "install-runtime")
    assert drain.take_out(("big1",)) == {"big1": Taken(True)}
    assert " State=UNKNOWN+DRAIN" in cluster.run("scontrol", "-o", "show", "node", "big1").out  # its slurmd never began
    assert drain.bring_back(("big1",)) == {}
    assert "DRAIN" not in cluster.run("scontrol", "-o", "show", "node", "big1").out


def test_a_node_of_a_run_of_the_same_name_is_another_runs(cluster: Slurm, fleet: Hosts, tmp_path: Path) -> None:
    inventory, plan = planned(fleet, tmp_path, "gpu1")
    others = "gpuctl RUN: gpuctl install-runtime (begun 2026-11-30T09:00:00.000000Z)"
    cluster.update("State=DRAIN", f"Reason={others}")
    options = ("-i", inventory, "--drain", "slurm", "--run", tmp_path / "RUN")
    code, told, _ = gpuctl("apply", plan, *options)
    assert (code, states(told), told["hosts"][0]["drained"]) == (0, {"gpu1": "applied"}, False)
    assert cluster.state == "IDLE+DRAIN" and cluster.reason.startswith(others)
