"""Probes of Docker: on real daemons, and on machines written by hand for the kinds that cannot be had here."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hosts import BOOTED, broken, denied, failed, host, hung
from simhost import Dockerd, SimHost

from gpuctl.facts.docker.daemon_json import ConfigFile
from gpuctl.facts.docker.docker import State, probe_docker
from gpuctl.facts.docker.endpoint import DEFAULT, Endpoint, probe_endpoint
from gpuctl.facts.docker.flags import KEYS, MERGED, keys_set, options
from gpuctl.facts.docker.unit import SHOW, SHOW_SOCKETS, expanded
from gpuctl.facts.machine.processes import parse_start
from gpuctl.facts.machine.systemd import BOOTED as SYSTEMD
from gpuctl.host.look.local import LocalHost

VERSION = {"Version": "20.10.24+dfsg1", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}
INFO = {
    "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "/usr/bin/nvidia-container-runtime"}},
    "DefaultRuntime": "runc",
    "CgroupDriver": "systemd",
    "CgroupVersion": "2",
    "SecurityOptions": ["name=seccomp,profile=default"],
    "DockerRootDir": "/var/lib/docker",
    "ContainersRunning": 3,
}
DOCKERD = "/usr/sbin/dockerd\0-H\0fd://\0"
SYSTEMCTL = " ".join(SHOW)
UNIT = """MainPID=812
ExecStart={ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS ; ignore_errors=no ; \
start_time=[Tue 2026-11-24 04:50:40 UTC] ; stop_time=[n/a] ; pid=812 ; code=(null) ; status=0/0 }
Environment=
EnvironmentFiles=/etc/default/docker (ignore_errors=yes)
Id=docker.service
LoadState=loaded
ActiveState=active
FragmentPath=/lib/systemd/system/docker.service
DropInPaths=/etc/systemd/system/docker.service.d/override.conf

MainPID=0
Environment=
Id=snap.docker.dockerd.service
LoadState=not-found
ActiveState=inactive
FragmentPath=
DropInPaths=
"""


def answers(version: Mapping[str, Any] = VERSION, **info: Any) -> dict[str, Any]:
    images = [{"RepoTags": ["nvidia/cuda:10.1-base", "<none>:<none>"]}, {"RepoTags": None}]
    return {"/version": version, "/info": {**INFO, **info}, "/images/json": images}


def process(pid: int, cmdline: str, environ: str = "PATH=/usr/bin\0") -> dict[str, str]:
    folder = f"/proc/{pid}"
    stat = f"{pid} (dockerd) S 1 812 812 0 -1 4194560 22371 29406 98 34 260 133 18 16 20 0 12 0 1503 1873190912 19012"
    texts = {"comm": "dockerd\n", "cmdline": cmdline, "environ": environ, "stat": stat}
    return {f"{folder}/{name}": text for name, text in texts.items()}


def test_a_real_daemon_is_described_from_its_socket_its_process_and_its_file(
    dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", dockerd.host)
    found = probe_docker(LocalHost())
    daemon, running, config = found.daemon.get(), found.process.get(), found.config.get()
    assert daemon and running and config
    assert found.endpoint.value == Endpoint(dockerd.host, "DOCKER_HOST")
    assert (found.kind.value, daemon.default_runtime, daemon.live_restore) == ("engine", "runc", False)
    assert daemon.version == dockerd.docker("version", "--format", "{{.Server.Version}}").out.strip()
    assert "nvidia/cuda:10.1-base" in daemon.images
    assert (running.pid, running.argv[0]) == (dockerd.pid, "/usr/sbin/dockerd")
    assert running.path and running.path.endswith("/usr/sbin:/usr/bin:/sbin:/bin")
    written, listening = dockerd.config.stat().st_mtime, (dockerd.root / "docker.pid").stat().st_mtime
    assert written - 0.05 < running.started < listening
    assert (config.path, config.error, set(config.runtimes)) == (str(dockerd.config), None, {"nvidia"})
    assert {"hosts", "data-root", "iptables", "bridge"} <= (found.flags.value or set())
    assert "config-file" not in (found.flags.value or ())
    assert found.runtime_file.value == daemon.runtimes["nvidia"]
    assert found.hook_file.value == str(Path(running.path.split(":")[0]) / "nvidia-container-runtime-hook")
    assert found.unit.value is None


def test_a_user_who_may_not_open_the_socket_cannot_tell_instead_of_seeing_no_docker(
    dockerd: Dockerd, sim_host: Callable[..., SimHost]
) -> None:
    code = (
        "from gpuctl.facts.docker.docker import probe_docker;"
        "from gpuctl.host.look.local import LocalHost; import json;"
        "found = probe_docker(LocalHost());"
        "print(json.dumps([found.daemon.value, found.daemon.unknown, found.kind.value, found.kind.unknown]))"
    )
    done = sim_host("none", dockerd=dockerd).run([sys.executable, "-c", code], uid=65534)
    assert done.code == 0, done.err
    assert done.json == [None, "Permission denied", None, "Permission denied"]


def test_the_default_socket_under_systemd_is_matched_to_its_dockerd_and_unit() -> None:
    options_file = '# Use DOCKER_OPTS …\nDOCKER_OPTS="--default-runtime nvidia --dns=8.8.8.8"\n'
    found = probe_docker(
        host(
            sockets={DEFAULT: answers()},
            peers={DEFAULT: 1},
            files={
                "/proc/1/comm": "systemd\n",
                **process(700, "dockerd\0--host=unix:///tmp/private.sock\0"),
                **process(812, DOCKERD, "PATH=/usr/sbin:/usr/bin\0"),
                "/etc/default/docker": options_file,
                "/etc/docker/daemon.json": '{"runtimes": {"nvidia": {"path": "nvidia-container-runtime"}}}',
            },
            stats={SYSTEMD: {"type": "dir"}, "/usr/bin/nvidia-container-runtime-hook": {"mode": 0o755}},
            commands={SYSTEMCTL: UNIT, "docker --version": "Docker version 24.0.7, build afdd53b\n"},
        )
    )
    unit, running, daemon = found.unit.get(), found.process.get(), found.daemon.get()
    assert unit and running and daemon
    assert (running.pid, running.started) == (812, BOOTED + 15.03)
    assert unit.argv == ("/usr/sbin/dockerd", "-H", "fd://", "--default-runtime", "nvidia", "--dns=8.8.8.8")
    assert (unit.active, len(unit.files), daemon.images) == (True, 2, ("nvidia/cuda:10.1-base",))
    assert found.flags.value == {"hosts", "default-runtime", "dns"}
    assert (found.kind.value, found.client_version.value) == ("engine", "24.0.7")
    assert found.hook_file.value == "/usr/bin/nvidia-container-runtime-hook"
    assert (found.runtime_file.value, found.runtime_file.unknown) == (None, None)


def test_the_systems_unit_is_not_that_of_a_private_daemon() -> None:
    private = "unix:///tmp/private.sock"
    found = probe_docker(
        host(
            env={"DOCKER_HOST": private},
            sockets={private: answers()},
            peers={private: 700},
            files={**process(700, f"dockerd\0--host\0{private}\0--config-file=own.json\0"), "/w/own.json": " "},
            links={"/proc/700/cwd": "/w"},
            stats={SYSTEMD: {"type": "dir"}},
            commands={SYSTEMCTL: UNIT},
        )
    )
    assert (found.unit.value, found.unit.unknown) == (None, None)
    assert found.config.value == ConfigFile("/w/own.json", {}, {}, None)
    assert found.flags.value == {"hosts"}


@pytest.mark.parametrize(
    ("url", "version", "info", "kind", "config"),
    [
        (DEFAULT, VERSION, {"DockerRootDir": "/var/snap/docker/common/var-lib-docker"}, "snap",
         "/var/snap/docker/current/config/daemon.json"),
        ("unix:///run/user/0/docker.sock", VERSION, {"SecurityOptions": ["name=rootless"]}, "rootless",
         "/home/u/.config/docker/daemon.json"),
        ("unix:///home/u/.docker/desktop/docker.sock", VERSION, {"OperatingSystem": "Docker Desktop"}, "desktop",
         "/home/u/.docker/daemon.json"),
        ("unix:///run/podman/podman.sock", {**VERSION, "Components": [{"Name": "Podman Engine"}]}, {}, "podman",
         "Podman reads no daemon.json"),
        ("tcp://10.0.0.7:2375", VERSION, {}, "remote", "DOCKER_HOST"),
        ("tcp://127.0.0.1:2375", VERSION, {}, "engine", "/etc/docker/daemon.json"),
    ],
)  # fmt: skip
def test_every_kind_of_docker_is_told_apart(
    url: str, version: dict[str, Any], info: dict[str, Any], kind: str, config: str
) -> None:
    found = probe_docker(host(env={"DOCKER_HOST": url, "HOME": "/home/u"}, sockets={url: answers(version, **info)}))
    assert (found.kind.value, found.config.source) == (kind, config)


@pytest.mark.parametrize(
    ("given", "state", "kind", "daemon_unknown"),
    [
        ({}, State.ABSENT, None, None),
        ({"commands": {"docker --version": "podman version 4.3.1\n"}}, State.ABSENT, "podman", None),
        ({"env": {"DOCKER_HOST": "ssh://gpu1"}}, State.ELSEWHERE, "remote",
         "the daemon is on another host (ssh://gpu1)"),
        ({"sockets": {DEFAULT: broken("Connection refused")}}, State.ABSENT, None, None),
        ({"sockets": {DEFAULT: broken("Connection refused")}, "which": {"dockerd": "/usr/sbin/dockerd"}},
         State.STOPPED, None, "the daemon is not running (Connection refused)"),
        ({"sockets": {DEFAULT: denied()}}, State.DENIED, None, "Permission denied"),
        ({"sockets": {DEFAULT: hung()}}, State.UNCLEAR, None, "no answer within 5 s"),
        ({"sockets": {DEFAULT: failed(500)}}, State.UNCLEAR, None, "HTTP status 500"),
        ({"sockets": {DEFAULT: {"/version": "<html>", "/info": "{}"}}}, State.UNCLEAR, None,
         "the answer is not Docker's: "),
    ],
)  # fmt: skip
def test_a_daemon_that_does_not_answer_is_absent_or_unknown_with_the_reason(
    given: dict[str, Any], state: State, kind: str | None, daemon_unknown: str | None
) -> None:
    found = probe_docker(host(**given))
    assert (found.daemon.value, found.state.value, found.kind.value) == (None, state, kind)
    assert (found.daemon.unknown or "")[: len(daemon_unknown or "")] == (daemon_unknown or "")
    assert bool(found.daemon.unknown) == bool(daemon_unknown)


def sockets_of_systemd(listen: str, state: str) -> dict[str, str]:
    """What systemd says of a socket, as systemctl 252 prints it."""
    shown = f"{listen}\nId=docker.socket\nSubState={state}\n\nListen=/run/x\nId=x.socket\nSubState=listening\n"
    return {"systemctl " + " ".join(SHOW_SOCKETS): shown, SYSTEMCTL: UNIT.replace("=active", "=inactive")}


@pytest.mark.parametrize("listen", ["Listen=/run/docker.sock (Stream)", "ListenStream=/run/docker.sock"])
def test_a_daemon_that_the_first_request_would_start_is_not_asked(listen: str) -> None:
    answering: dict[str, Any] = {"sockets": {DEFAULT: answers()}, "stats": {SYSTEMD: {"type": "dir"}}}
    asleep = probe_docker(host(commands=sockets_of_systemd(listen, "listening"), **answering))
    assert (asleep.state.value, asleep.daemon.value, asleep.daemon.source) == (State.ASLEEP, None, "docker.socket")
    assert "starts by itself" in (asleep.daemon.unknown or "")
    assert (asleep.unit.value and asleep.unit.value.name, asleep.installed) == ("docker.service", True)
    awake = probe_docker(host(commands=sockets_of_systemd(listen, "running"), **answering))
    assert (awake.state.value, awake.daemon.value and awake.daemon.value.version) == (State.ANSWERS, "20.10.24+dfsg1")


def test_nobody_connects_to_a_socket_at_which_systemd_waits(sim_host: Callable[..., SimHost], tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "docker.sock"))
        listener.listen()
        listener.setblocking(False)
        shown = f"Listen={tmp_path}/docker.sock (Stream)\nId=docker.socket\nSubState=listening\n"
        machine = sim_host(
            "v100",
            env={"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"},
            files={f"{SYSTEMD}/x": ""},
            commands={"systemctl": f"#!/bin/sh\ncase \"$*\" in *socket*) printf '{shown}' ;; esac\n"},
        )
        for argv in (["doctor"], ["install-runtime", "--dry-run"], ["smoke", "--dry-run"]):
            machine.gpuctl(*argv)
            with pytest.raises(BlockingIOError):
                listener.accept()
        finding = machine.gpuctl("doctor", "--only", "docker.reachable", "--json").json["findings"][0]
        assert (finding["status"], "starts by itself" in finding["message"]) == ("unknown", True)


def context(name: str, address: str) -> dict[str, str]:
    folder = f"/home/u/.docker/contexts/meta/{hashlib.sha256(name.encode()).hexdigest()}"
    return {f"{folder}/meta.json": json.dumps({"Name": name, "Endpoints": {"docker": {"Host": address}}})}


def test_the_endpoint_is_chosen_in_the_clients_order() -> None:
    chosen = {"/home/u/.docker/config.json": '{"currentContext": "away"}'}
    files = {**chosen, **context("away", "ssh://gpu1"), **context("lab", "tcp://lab:2375")}
    home = {"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/1000"}
    rootless = {"/run/user/1000/docker.sock": {"type": "socket"}}
    seen = [
        probe_endpoint(host(files=files, env={**home, "DOCKER_HOST": "10.0.0.7:2375", "DOCKER_CONTEXT": "lab"})),
        probe_endpoint(host(files=files, env={**home, "DOCKER_CONTEXT": "lab"})),
        probe_endpoint(host(files=files, env=home)),
        probe_endpoint(host(files=files, env={**home, "DOCKER_CONTEXT": "default"})),
        probe_endpoint(host(env=home, stats=rootless)),
        probe_endpoint(host(env=home, stats=rootless, sockets={DEFAULT: {}})),
        probe_endpoint(host(files={"/home/u/.docker/config.json": "{broken"}, env=home)),
        probe_endpoint(host(files={"/home/u/.docker/config.json": "[" * 100_000}, env=home)),
    ]
    assert [endpoint.value for endpoint in seen] == [
        Endpoint("tcp://10.0.0.7:2375", "DOCKER_HOST"),
        Endpoint("tcp://lab:2375", "context lab (DOCKER_CONTEXT)"),
        Endpoint("ssh://gpu1", "context away"),
        Endpoint(DEFAULT, "default"),
        Endpoint("unix:///run/user/1000/docker.sock", "default (rootless)"),
        Endpoint(DEFAULT, "default"),
        Endpoint(DEFAULT, "default"),
        Endpoint(DEFAULT, "default"),
    ]


def test_an_endpoint_that_makes_no_sense_is_unknown_and_named() -> None:
    assert (
        probe_endpoint(host(env={"DOCKER_HOST": "tcp://[::1"})).unknown == "not understood: 'tcp://[::1' is no address"
    )
    meta = dict.fromkeys(context("lab", ""), "[" * 100_000)
    deep = host(files=meta, env={"DOCKER_CONTEXT": "lab", "HOME": "/home/u"})
    assert probe_endpoint(deep).unknown == "not understood: it is nested more than 100 levels deep"


def test_a_chosen_context_that_is_gone_leaves_everything_about_the_daemon_unknown() -> None:
    found = probe_docker(host(files={"/u/.docker/config.json": '{"currentContext": "gone"}'}, env={"HOME": "/u"}))
    assert {found.endpoint.unknown, found.daemon.unknown, found.config.unknown} == {"the context gone does not exist"}


def test_a_fifo_in_place_of_the_clients_file_does_not_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "config.json")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    # A look that hung would have no answer.
    assert LocalHost().read(str(tmp_path / "config.json")).detail == "not a regular file"
    assert probe_endpoint(LocalHost()).value == Endpoint(DEFAULT, "default")


def test_flags_are_read_in_every_form_that_dockerd_takes() -> None:
    argv = shlex.split("dockerd -H fd:// -Hunix:///x -Dl warn --label a=b --add-runtime=n=/x --debug=false --icc")
    assert options(argv)[:2] == [("host", "fd://"), ("host", "unix:///x")]
    assert options(argv)[3:7] == [("log-level", "warn"), ("label", "a=b"), ("add-runtime", "n=/x"), ("debug", "false")]
    assert keys_set(argv) == {"hosts", "debug", "log-level", "labels", "runtimes", "icc"}


def test_dockerd_itself_names_the_keys_that_its_flags_collide_with(tmp_path: Path) -> None:
    usage = subprocess.run(["dockerd", "--help"], capture_output=True, text=True, check=True).stdout
    known = {flag: key for flag, key in KEYS.items() if f"--{flag} " in usage}
    taken = {
        "add-runtime": "n=/x",
        "default-address-pool": "base=10.0.0.0/8,size=24",
        "default-ulimit": "nofile=1:1",
        "host": f"unix://{tmp_path}/docker.sock",
        "registry-mirror": "https://example.org",
    }
    flags = [f"--{flag}={taken.get(flag, 'example.org=1')}" for flag in known]
    config = tmp_path / "daemon.json"
    config.write_text(json.dumps(dict.fromkeys(known.values(), "x")))
    command = ["dockerd", *flags, f"--config-file={config}", f"--data-root={tmp_path}", f"--exec-root={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert "specified both as a flag and in the configuration file" in done.stderr
    assert {key for key in known.values() if f"{key}: (from flag" not in done.stderr} == MERGED
    assert keys_set(["dockerd", *flags]) == set(known.values())


def test_systemds_variables_are_filled_in_as_systemd_does() -> None:
    environment = {"OPTIONS": "-D --dns 8.8.8.8", "B": "x y"}
    words = list(expanded(["dockerd", "$OPTIONS", "--label=a${B}c", "$NONE"], environment))
    assert words == ["dockerd", "-D", "--dns", "8.8.8.8", "--label=ax yc"]


def test_a_process_name_with_parentheses_and_blanks_does_not_shift_the_fields() -> None:
    assert parse_start("812 (a) b (c) S 1 1 1 0 -1 4 2 2 9 3 2 1 1 1 20 0 12 0 1503 187 190") == 15.03


@pytest.mark.parametrize("option", ["--validate", "--version", "--help"])
def test_a_dockerd_that_ends_at_once_is_not_taken_for_the_hosts(option: str) -> None:
    files = {
        "/proc/700/comm": "dockerd\n",
        "/proc/700/cmdline": f"dockerd\0{option}\0--config-file=/x.json\0",
        "/proc/700/stat": "700 (dockerd) S 1 " + "0 " * 17 + "1000 0 0\n",
    }
    assert probe_docker(host(files=files)).process.value is None
