"""`gpuctl doctor --drain slurm` on simulated hosts that are nodes of a real Slurm, by hand and as Slurm calls it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate
from simhost import SimHost
from simhost.process import Done, until
from slurm_bed import NODE, Slurm, slurm

from gpuctl.provision.slurm import sealed

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "slurm.md").read_text()
SICK, WELL, HANGS = ({"GPUSIM_PROFILE": name} for name in ("lost", "a100x8", "hang"))
DRIVER = ("--only", "driver.gpu-answers,driver.gpu-health")
REASON = sealed("gpuctl: driver.gpu-answers: GPU 1 does not answer: GPU is lost.")


@pytest.fixture(scope="module")
def running() -> Iterator[Slurm]:
    with slurm() as cluster:
        yield cluster


@pytest.fixture
def cluster(running: Slurm) -> Slurm:
    running.reset()
    return running


@pytest.fixture
def node(cluster: Slurm, sim_host: Callable[..., SimHost]) -> Callable[..., Done]:
    """`node(SICK, *options)` is gpuctl on the node, where it is such a one."""
    host = sim_host("lost", env={"SLURM_CONF": str(cluster.conf)})

    def doctor(profile: dict[str, str], *options: str, env: dict[str, str] = {}) -> Done:
        done = host.gpuctl("doctor", "--drain", "slurm", *options, env={**profile, **env})
        assert "Traceback" not in done.err
        return done

    return doctor


def drain_of(done: Done) -> dict[str, Any]:
    validate(done.json, json.loads((ROOT / "data/schemas/doctor.schema.json").read_text()))
    return dict(done.json["drain"])


def test_a_sick_node_drains_itself_with_a_line_of_reason_once_and_comes_back_when_it_is_well(
    cluster: Slurm, node: Callable[..., Done]
) -> None:
    done = node(SICK)
    assert (done.code, done.err) == (1, f"The node {NODE} is drained: {REASON}\n")
    assert "GPU 1 does not answer" in done.out
    assert cluster.state == "IDLE+DRAIN"
    reason = cluster.reason
    assert reason.startswith(f"{REASON} [root@")
    again = node(SICK, *DRIVER)
    assert (again.code, again.err) == (1, f"The node {NODE} stays drained: {REASON}\n")
    assert cluster.reason == reason
    back = node(WELL, *DRIVER)
    assert (back.code, back.err) == (0, f"The node {NODE} is resumed.\n")
    assert (cluster.state, cluster.reason) == ("IDLE", "")
    assert node(WELL, *DRIVER).err == f"The node {NODE} is left as it is: nothing asks to drain it.\n"


def test_json_says_what_became_of_it_and_a_dry_run_what_would(cluster: Slurm, node: Callable[..., Done]) -> None:
    told = {"scheduler": "slurm", "node": NODE, "reason": REASON}
    would = drain_of(node(SICK, "--json", "--dry-run"))
    assert would == {
        **told,
        "dry_run": True,
        "outcome": "drained",
        "message": f"The node {NODE} would be drained: {REASON}",
    }
    assert cluster.state == "IDLE"
    done = drain_of(node(SICK, "--json"))
    assert done == {**told, "dry_run": False, "outcome": "drained", "message": f"The node {NODE} is drained: {REASON}"}
    assert drain_of(node(WELL, "--json", "--dry-run", *DRIVER))["outcome"] == "resumed"
    assert cluster.state == "IDLE+DRAIN"


@pytest.mark.parametrize(
    "reason",
    ["fan is loud", "gpuctl 20261130-x: driver.xid", "Gpuctl: no", "a [b@c] d\nReason=gpuctl: x", f"{REASON}, new fan"],
)
def test_what_others_have_drained_is_left_alone(cluster: Slurm, node: Callable[..., Done], reason: str) -> None:
    cluster.update("State=DRAIN", f"Reason={reason}")
    before = cluster.reason
    for profile in (SICK, WELL):
        told = drain_of(node(profile, "--json", *DRIVER))
        assert told["outcome"] == "left-alone"
        assert "others have given it the reason" in told["message"]
        assert (cluster.state, cluster.reason) == ("IDLE+DRAIN", before)


def test_what_slurm_has_set_down_besides_stays_down(cluster: Slurm, node: Callable[..., Done]) -> None:
    cluster.update("State=DOWN", "Reason=it burns")
    assert drain_of(node(SICK, "--json"))["outcome"] == "left-alone"
    assert cluster.reason.startswith("it burns [")
    cluster.reset()
    node(SICK)
    cluster.update("State=DOWN", f"Reason={REASON}")
    assert drain_of(node(WELL, "--json", *DRIVER))["outcome"] == "resumed"
    assert cluster.state == "DOWN"


@pytest.mark.parametrize("options", [(), ("--only", "docker"), ("--skip", "driver.gpu-answers")])
def test_what_is_not_known_to_be_over_keeps_it_drained(
    cluster: Slurm, node: Callable[..., Done], options: tuple[str, ...]
) -> None:
    node(SICK)
    told = drain_of(node(WELL if options else HANGS, "--json", *options))
    assert (told["outcome"], told["reason"]) == ("unchanged", REASON)
    assert cluster.state == "IDLE+DRAIN"


def test_a_running_job_outlives_the_drain(cluster: Slurm, node: Callable[..., Done], tmp_path: Path) -> None:
    job = subprocess.Popen(("srun", "--chdir=/", "sleep", "600"), env=cluster.env, stderr=subprocess.DEVNULL)
    try:
        assert until(lambda: cluster.run("squeue", "-h", "-t", "RUNNING").out != "")
        node(SICK)
        assert cluster.state in ("ALLOCATED+DRAIN", "MIXED+DRAIN")
        assert cluster.run("squeue", "-h", "-t", "RUNNING").out != ""
        node(WELL, *DRIVER)
        assert cluster.state in ("ALLOCATED", "MIXED")
    finally:
        cluster.run("scancel", "--user=root")
        job.wait(300)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"SLURMD_NODENAME": "gpu9"}, "Node gpu9 not found"),
        ({"SLURMD_NODENAME": "ALL"}, "$SLURMD_NODENAME is the name of no single node: 'ALL'."),
        ({"SLURMD_NODENAME": "gpu[1-9]"}, "is the name of no single node: 'gpu[1-9]'."),
        ({"SLURMD_NODENAME": "gpu1,gpu2"}, "is the name of no single node"),
        ({"SLURM_CONF": "/nowhere/slurm.conf"}, "scontrol "),
    ],
)
def test_what_slurm_cannot_be_asked_or_told_is_a_sentence_and_the_report_is_there(
    cluster: Slurm, node: Callable[..., Done], env: dict[str, str], words: str
) -> None:
    with ThreadPoolExecutor() as at_once:  # where nobody answers, each waits for as long as it asks
        sick, well = at_once.map(lambda argv: node(*argv, env=env), ((SICK,), (WELL, *DRIVER)))
    assert sick.code == 1
    assert well.code == 3
    for done in (sick, well):
        assert done.out != ""
        assert done.err.startswith("Error: ")
        assert words in done.err
        assert done.err.count("\n") == 1
    assert cluster.state == "IDLE"


def test_a_host_of_several_nodes_wants_to_be_told_which(cluster: Slurm, node: Callable[..., Done]) -> None:
    conf = cluster.folder / "two.conf"
    conf.write_text(cluster.configuration("", NODE, "gpu2"))
    two = {"SLURM_CONF": str(conf)}
    assert "Slurm runs 2 nodes on " in node(SICK, env=two).err
    assert node(SICK, env={**two, "SLURMD_NODENAME": NODE}).err.startswith(f"The node {NODE} is drained: ")


def test_without_slurm_or_its_controller_doctor_says_so(cluster: Slurm, sim_host: Callable[..., SimHost]) -> None:
    conf = cluster.folder / "gone.conf"
    conf.write_text(re.sub("SlurmctldPort=.*", "SlurmctldPort=1\nMessageTimeout=1", cluster.conf.read_text()))
    for host, words in {
        sim_host("a100x8", absent=["/usr/bin/scontrol"]): "scontrol is not on PATH",
        sim_host("a100x8", env={"SLURM_CONF": str(conf)}): "scontrol -o show node gpu1: ",
    }.items():
        done = host.gpuctl("doctor", "--drain", "slurm", *DRIVER)
        assert done.code == 3
        assert words in done.err


@pytest.mark.parametrize("options", [("--fix",), ("--watch",), ("--from", "x"), ("--until-ready", "5")])
def test_a_drain_goes_by_one_look_at_this_host(options: tuple[str, ...]) -> None:
    argv = (sys.executable, "-m", "gpuctl", "doctor", "--drain", "slurm", *options)
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--drain goes by one look" in done.stderr


# As docs/slurm.md has it


def script(name: str) -> str:
    (text,) = re.findall(rf"`/etc/slurm/{re.escape(name)}`[^`]*```sh\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


def test_slurm_drains_and_resumes_the_node_by_the_health_check_and_the_prolog_of_the_page(
    sim_host: Callable[..., SimHost], tmp_path: Path
) -> None:
    host, gpuctl = sim_host("lost"), tmp_path / "gpuctl"
    for name in ("healthcheck", "prolog"):
        (tmp_path / name).write_text(script(name).replace("/usr/local/bin/gpuctl", str(gpuctl)))
        (tmp_path / name).chmod(0o755)
    (lines,) = re.findall(r"```\n(HealthCheckProgram=.*?)```", PAGE, re.DOTALL)
    programs = re.sub(r"HealthCheckInterval=\d+", "HealthCheckInterval=1", lines.replace("/etc/slurm", str(tmp_path)))

    def is_now(profile: dict[str, str], cluster: Slurm) -> None:
        argv = [sys.executable, "-m", "gpuctl", "doctor", "--drain", "slurm", "-q", *DRIVER]
        launch = host.launch(argv, env={**profile, "SLURM_CONF": str(cluster.conf), "SLURMD_NODENAME": NODE})
        new = tmp_path / "new"
        new.write_text(f"#!/bin/sh\nexec {shlex.join(launch)}\n")
        new.chmod(0o755)
        new.rename(gpuctl)

    with slurm(programs) as cluster:
        is_now(WELL, cluster)
        ran = cluster.run("srun", "--chdir=/", "echo", "here")
        assert (ran.code, ran.out) == (0, "here\n"), ran.err
        is_now(SICK, cluster)
        assert until(lambda: cluster.state == "IDLE+DRAIN"), cluster.state
        assert cluster.reason.startswith(REASON)
        is_now(WELL, cluster)
        assert until(lambda: cluster.state == "IDLE"), cluster.state
    only_prolog = "\n".join(line for line in programs.splitlines() if line.startswith("Prolog"))
    with slurm(only_prolog) as cluster:
        is_now(SICK, cluster)
        assert cluster.run("sbatch", "--chdir=/", "--output=/dev/null", "--wrap", "true").code == 0
        assert until(lambda: "DRAIN" in cluster.state), cluster.state
        assert until(lambda: cluster.run("squeue", "-h", "-t", "PENDING").out != "")
        assert cluster.reason.startswith(REASON)
