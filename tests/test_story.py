"""The main job, end to end: from a host on which nothing works to a GPU container that ran, on a real Docker."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from simhost import Dockerd, SimHost, Toolkit, import_image

IMAGE = "nvidia/cuda:10.1-base"
CONFIG = '{\n    "log-level": "warn",\n    "max-concurrent-downloads": 3\n}\n'
NewDockerd = Callable[..., Dockerd]
NewHost = Callable[..., SimHost]


def pid_of(daemon: Dockerd, container: str) -> str:
    return daemon.docker("inspect", "--format", "{{.State.Pid}}", container).out.strip()


def failures(host: SimHost) -> set[str]:
    report = host.gpuctl("doctor", "--json").json
    return {finding["id"] for finding in report["findings"] if finding["status"] == "fail"}


def test_from_nothing_works_to_verified_while_a_container_runs_on(
    sim_host: NewHost, toolkit: Toolkit, new_dockerd: NewDockerd
) -> None:
    toolkit.install("v100")
    daemon = new_dockerd(config=CONFIG, path=[toolkit.directory])
    import_image(daemon, IMAGE)
    daemon.docker("run", "-d", "--name", "before", "--network=none", IMAGE, "/bin/sleep", "600")
    pid = pid_of(daemon, "before")
    host = sim_host("v100", toolkit=toolkit, dockerd=daemon)

    assert host.gpuctl("doctor").code == 1
    assert failures(host) == {"registration.runtime"}
    shown = host.gpuctl("doctor").out
    assert "gpuctl install-runtime" in shown

    done = host.gpuctl("install-runtime", "--json")
    assert (done.code, done.json["changed"], done.json["reloaded"], done.json["verified"]) == (0, True, True, True)
    again = host.gpuctl("install-runtime", "--json")
    assert (again.code, again.json["changed"], again.json["verified"]) == (0, False, True)

    for options in ((), ("--runtime", "nvidia"), ("--gpus", "device=0")):
        smoke = host.gpuctl("smoke", *options, "--json")
        assert (smoke.code, smoke.json["passed"]) == (0, True), smoke.out + smoke.err
        assert smoke.json["seen"]["driver"] == "418.87.00"

    assert host.gpuctl("doctor").code == 0
    assert failures(host) == set()
    assert pid_of(daemon, "before") == pid
    assert Path(f"/proc/{pid}").exists()

    assert host.gpuctl("rollback", "--json").json["changed"]
    assert Path(daemon.config).read_text() == CONFIG
    assert pid_of(daemon, "before") == pid


def test_without_the_toolkit_doctor_names_it_and_nothing_else(sim_host: NewHost, new_dockerd: NewDockerd) -> None:
    host = sim_host("v100", dockerd=new_dockerd())
    assert failures(host) == {"toolkit.installed"}
    refused = host.gpuctl("install-runtime", "--json")
    assert (refused.code, refused.json["changed"]) == (1, False)
    assert "nvidia-container-runtime is not on PATH" in refused.json["error"]


def test_a_toolkit_newer_than_dockerd_works_by_runtime_and_says_that_gpus_waits_for_a_restart(
    sim_host: NewHost, toolkit: Toolkit, new_dockerd: NewDockerd
) -> None:
    daemon = new_dockerd(path=[toolkit.directory])
    import_image(daemon, IMAGE)
    toolkit.install("v100")
    host = sim_host("v100", toolkit=toolkit, dockerd=daemon)
    done = host.gpuctl("install-runtime", "--json")
    assert (done.code, done.json["restart_needed"]) == (0, True)
    assert host.gpuctl("smoke", "--runtime", "nvidia").code == 0
    refused = host.gpuctl("smoke", "--json")
    assert refused.code == 1
    assert "restart" in json.dumps(refused.json["remedy"]).lower() + refused.json["cause"].lower()


def test_the_source_documents_failing_run_is_explained(sim_host: NewHost, dockerd: Dockerd) -> None:
    failing = dockerd.docker("run", "--rm", "--network=none", IMAGE, "nvidia-smi")
    assert failing.code == 127
    assert "executable file not found in $PATH" in failing.err
    host = sim_host("v100", dockerd=dockerd)
    smoke = host.gpuctl("smoke", "--runtime", "runc", "--json")
    assert smoke.code == 1
    assert "nvidia-smi" in smoke.json["cause"]
    assert smoke.json["remedy"]["text"]


def test_a_daemon_that_is_silent_is_unknown_to_every_command(sim_host: NewHost, new_dockerd: NewDockerd) -> None:
    daemon = new_dockerd()
    host = sim_host("v100", dockerd=daemon)
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        argvs = (("doctor", "--only", "docker"), ("smoke",), ("install-runtime",))
        with ThreadPoolExecutor() as at_once:  # each waits for as long as it asks
            doctor, *others = at_once.map(lambda argv: host.gpuctl(*argv), argvs)
        assert [one.code for one in (doctor, *others)] == [3, 3, 3]
        assert doctor.out.count("????") == 2  # the finding, and the line of layers
        assert "no answer within 5 s  docker.reachable" in doctor.out
    finally:
        os.kill(daemon.pid, signal.SIGCONT)


def test_a_stale_docker_host_is_named_by_every_command(sim_host: NewHost, new_dockerd: NewDockerd) -> None:
    host = sim_host("v100", dockerd=new_dockerd(), env={"DOCKER_HOST": "unix:///nonexistent.sock"})
    for argv in (["doctor"], ["smoke"], ["install-runtime"]):
        done = host.gpuctl(*argv)
        assert done.code == 1
        assert "There is no Docker at unix:///nonexistent.sock, where DOCKER_HOST points." in done.out + done.err
        assert "$ unset DOCKER_HOST" in done.out + done.err


def test_podmans_docker_is_called_podman(sim_host: NewHost) -> None:
    podman = "#!/bin/sh\necho podman version 4.3.1\n"
    host = sim_host("v100", commands={"docker": podman, "podman": podman})
    doctor, smoke = (host.gpuctl(*argv) for argv in (("doctor", "--only", "docker"), ("smoke",)))
    assert (doctor.code, smoke.code) == (0, 1)
    assert "Podman 4.3.1" in doctor.out and "Podman 4.3.1" in smoke.out
    installed = host.gpuctl("install-runtime")
    assert "docker.io" not in doctor.out + installed.out + installed.err
    assert installed.code == 1 and "nvidia-ctk, which generates the CDI specification" in installed.err
