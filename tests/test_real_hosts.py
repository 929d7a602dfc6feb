"""Docker as a package installs it, on a machine that systemd booted: what tells it is the real systemctl."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest
from realhost import BOOKWORM, BootedHost, build_root
from simhost import Bed, Done, Toolkit
from simhost.toolkit import NAMES

from gpuctl.checks.engine import ask
from gpuctl.checks.every import CHECKS
from gpuctl.facts.gather import gather
from gpuctl.host.record.archive import decode
from gpuctl.host.record.snapshot import SnapshotHost
from gpuctl.model import Finding, Status

HOOK = "/usr/bin/nvidia-container-runtime-hook"
CONFIG = "/etc/docker/daemon.json"
DROP_IN = "/etc/systemd/system/docker.service.d/test.conf"
OLD = '{"debug": true}\n'
COUNT = ("sh", "-c", "trap exit TERM; while :; do sleep 1; done")


@pytest.fixture(scope="module")
def machine(bed: Bed) -> Iterator[BootedHost]:
    """One for all tests here: it boots in a second, and is brought back to what it was between them."""
    machine = BootedHost(build_root(BOOKWORM), bed)
    machine.import_image("busybox")
    yield machine
    machine.close()


@pytest.fixture
def host(machine: BootedHost, toolkit: Toolkit) -> Iterator[BootedHost]:
    """Docker runs with `debug`, and the toolkit was installed after it started."""
    machine.write(CONFIG, OLD)
    restart(machine)
    machine.run("sh", "-c", "docker rm -f $(docker ps -aq)")
    toolkit.install("v100")
    machine.install(toolkit)
    yield machine
    machine.run("rm", "-rf", "/etc/docker", DROP_IN, "/run/dead", *(f"/usr/bin/{name}" for name in NAMES))


def restart(machine: BootedHost, drop_in: str | None = None) -> None:
    """Starts Docker anew, with a drop-in of its unit."""
    if drop_in is not None:
        machine.write(DROP_IN, drop_in)
    for words in (("daemon-reload",), ("reset-failed",), ("restart", "docker")):
        done = machine.run("systemctl", *words)
        assert done.code == 0, done.err


def install(host: BootedHost, *options: str) -> Done:
    done = host.gpuctl("install-runtime", "--json", *options)
    assert "Traceback" not in done.err and done.json["schema"] == "gpuctl.install-runtime/1"
    return done


def count_on(host: BootedHost, name: str) -> str:
    """Starts a container that does not end by itself. Returns its PID and when it was started."""
    host.docker("run", "--detach", "--network=none", f"--name={name}", "busybox", *COUNT)
    return life(host, name)


def life(host: BootedHost, name: str) -> str:
    return host.docker("inspect", "--format={{.State.Pid}} {{.State.StartedAt}} {{.State.Running}}", name)


def runtimes(host: BootedHost) -> list[str]:
    return sorted(json.loads(host.docker("info", "--format={{json .Runtimes}}")))


def everything(host: BootedHost) -> dict[str, bytes]:
    """daemon.json and all that stands beside it, but what dockerd itself keeps there."""
    return {place.name: place.read_bytes() for place in host.path("/etc/docker").glob("*daemon.json*")}


def test_systemd_reloads_docker_and_a_gpu_container_runs_beside_the_one_that_lives_on(host: BootedHost) -> None:
    before = count_on(host, "old")
    assert "systemctl reload docker.service" in install(host, "--dry-run").out
    done = install(host)
    told = ("changed", "reloaded", "verified", "restarted", "restart_needed")
    assert [done.code, *(done.json[key] for key in told)] == [0, True, True, True, False, True], done.err
    assert "Reloaded docker.service" in host.run("journalctl", "--unit=docker", "--no-pager").out
    assert life(host, "old") == before
    gpu = ("run", "--rm", "--network=none", "--runtime=nvidia", "--env=NVIDIA_VISIBLE_DEVICES=all", "busybox")
    assert "Tesla V100" in host.docker(*gpu, "nvidia-smi", "-L")

    undone = host.gpuctl("rollback", "--json")
    assert (undone.code, host.path(CONFIG).read_text()) == (0, OLD)
    assert life(host, "old") == before


@pytest.mark.parametrize("restarted", [True, False], ids=["running", "at-next-start"])
@pytest.mark.parametrize(
    ("path", "text"),
    [
        (DROP_IN, "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --add-runtime=other=/bin/true\n"),
        ("/etc/default/docker", 'DOCKER_OPTS="--add-runtime=other=/bin/true"\n'),
    ],
    ids=["drop-in", "default"],
)
def test_an_option_of_the_unit_that_would_clash_is_seen_before_writing(
    host: BootedHost, path: str, text: str, restarted: bool
) -> None:
    original = host.path(path).read_text() if host.path(path).exists() else ""
    host.write(path, text)
    host.run("systemctl", "daemon-reload")
    if restarted:
        host.run("systemctl", "restart", "docker")
    seen = everything(host)
    done = install(host)
    host.write(path, original)
    assert (done.code, everything(host)) == (1, seen)
    assert "dockerd gets runtimes on its command line" in done.json["error"]


def test_a_restart_stops_as_many_containers_as_it_said(host: BootedHost) -> None:
    for name in ("one", "two"):
        count_on(host, name)
    host.docker("run", "--network=none", "--name=ended", "busybox", "true")
    planned = install(host, "--restart", "--dry-run").json["steps"][-1]
    assert (planned["disturbs"], re.findall(r"stops (\d+) ", planned["text"])) == ("running containers", ["2"])
    done = install(host, "--restart")
    assert [done.code, done.json["restarted"], done.json["restart_needed"]] == [0, True, False], done.err
    assert host.docker("ps", "--quiet") == ""
    assert "nvidia" in runtimes(host)


def test_a_restart_stops_none_with_live_restore(host: BootedHost) -> None:
    host.write(CONFIG, '{"live-restore": true}\n')
    restart(host)
    host.run("touch", "/usr/bin/nvidia-container-runtime-hook")  # newer than dockerd once more
    before = count_on(host, "old")
    planned = install(host, "--restart", "--dry-run").json["steps"][-1]
    assert (planned["disturbs"], re.findall(r"stops (\d+) ", planned["text"])) == ("nothing", ["0"])
    done = install(host, "--restart")
    assert [done.code, done.json["restarted"]] == [0, True], done.err
    assert life(host, "old") == before


BAD_RELOADS = {
    "ignores": ("ExecReload=/bin/true", "Docker has not taken the file up"),
    "fails": ("ExecReload=/bin/false", "systemctl"),
    "dies and is started anew by its socket": ("ExecReload=/bin/kill -KILL $MAINPID", "Docker"),
    "dies for good": (
        "ExecReload=/bin/sh -c 'touch /run/dead; kill -KILL $MAINPID'\nExecStartPre=/bin/sh -c '! test -e /run/dead'",
        "Docker",
    ),
}


@pytest.mark.parametrize("how", BAD_RELOADS)
def test_a_daemon_that_does_not_survive_or_heed_its_reload_gets_its_old_file_back(host: BootedHost, how: str) -> None:
    lines, words = BAD_RELOADS[how]
    restart(host, f"[Service]\nRestart=no\nExecReload=\n{lines}\n")
    done = install(host, "--timeout=2")
    assert done.code == (5 if how == "dies for good" else 4), done.out
    assert words in done.json["error"] and f"{CONFIG} is as it was before." in done.json["error"]
    assert [done.json[key] for key in ("changed", "verified", "backup")] == [False, False, None]
    assert everything(host) == {"daemon.json": OLD.encode()}
    if how != "dies for good":
        assert "nvidia" not in runtimes(host)


def test_an_error_in_another_key_is_the_end_of_nothing(host: BootedHost) -> None:
    before = count_on(host, "old")
    host.write(CONFIG, '{"debug": true, "mtu": 1.5e3}\n')
    done = install(host, "--timeout=2")
    assert (done.code, host.path(CONFIG).read_text()) == (4, '{"debug": true, "mtu": 1.5e3}\n')
    assert life(host, "old") == before


def said(host: BootedHost, id: str) -> Finding:
    """What a check says of it, by what was recorded of it."""
    done = host.gpuctl("collect", "--output", "/root/seen.gz")
    assert done.code == 0, done.err
    seen = decode(host.path("/root/seen.gz").read_bytes())
    host.run("rm", "/root/seen.gz")
    return ask(CHECKS[id], gather(SnapshotHost(seen.readings)))


def test_a_gpu_container_that_failed_is_told_of_until_one_has_started(host: BootedHost, toolkit: Toolkit) -> None:
    restart(host)
    core = "nvidia-container-cli: initialization error: nvml error: driver not loaded"
    host.docker("run", "--rm", "--network=none", "--log-driver=journald", "--name=quotes", "busybox", "echo", core)
    assert "No GPU container failed" in said(host, "registration.log").message

    gpu = ("run", "--detach", "--network=none", "--gpus=all", "busybox", *COUNT)
    toolkit.configure("v100", error="initialization error: nvml error: driver not loaded")
    host.install(toolkit)
    assert core in host.run("docker", *gpu).err
    failed = said(host, "registration.log")
    assert (failed.status, "driver not loaded" in failed.message) == (Status.WARN, True), failed.message

    time.sleep(1)  # the journal's times are cut to the second
    toolkit.configure("v100")
    host.install(toolkit)
    host.docker(*gpu, "--secret=hunter2")
    mended = said(host, "registration.log")
    assert (mended.status, "since the container " in mended.message) == (Status.PASS, True), mended.message


def test_a_hook_that_a_package_upgrade_replaces_needs_no_restart(host: BootedHost) -> None:
    package, needed = "nvidia-container-toolkit", "registration.restart-needed"
    hook = host.path(HOOK).read_bytes()

    def upgrade(version: str) -> None:
        control = f"Package: {package}\nVersion: {version}\nArchitecture: all\nMaintainer: us\nDescription: hook\n"
        host.write("/root/deb/DEBIAN/control", control)
        host.write(f"/root/deb{HOOK}", hook.decode())
        for argv in (("chmod", "755", f"/root/deb{HOOK}"), ("dpkg-deb", "--build", "/root/deb", "/root/x.deb"),
                     ("dpkg", "--install", "/root/x.deb")):  # fmt: skip
            done = host.run(*argv)
            assert done.code == 0, done.err

    host.run("rm", HOOK)
    upgrade("1.17.7")
    assert said(host, needed).status is Status.WARN
    restart(host)
    assert said(host, needed).status is Status.PASS
    host.run("sed", "-i", "s/^20[0-9-]*/2020-01-01/", "/var/log/dpkg.log")  # its times are told to the minute
    upgrade("1.17.8")
    replaced = said(host, needed)
    assert (replaced.status, "which was replaced since" in replaced.message) == (Status.PASS, True), replaced.message
    assert host.run("docker", "run", "--rm", "--network=none", "--gpus=all", "busybox", "nvidia-smi", "-L").code == 0
    host.run("dpkg", "--purge", package)
