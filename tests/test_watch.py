"""`gpuctl doctor --watch`: one process that shows what changes, and ends as the last state says."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hosts import host
from jsonschema import Draft202012Validator
from simhost import SimHost, until
from simhost.process import PATIENCE
from test_cli import asking_nvml

from gpuctl.facts.docker.docker import Docker
from gpuctl.facts.every import EVERY_SUBJECT
from gpuctl.facts.gpu.driver import Driver
from gpuctl.facts.gpu.pci import Pci
from gpuctl.facts.machine.kernel import Kernel
from gpuctl.facts.machine.system import System
from gpuctl.facts.pace import REST, SELDOM, SELDOM_REST, look_again
from gpuctl.host.record.snapshot import SnapshotHost

ROOT = Path(__file__).parents[1]
WATCH = [sys.executable, "-m", "gpuctl", "doctor", "--only", "kernel", "--watch", "0.2"]
SCHEMA = json.loads((ROOT / "data" / "schemas" / "doctor-watch.schema.json").read_text())


@contextmanager
def watching(sim: SimHost, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    process = sim.popen([*WATCH, *argv], stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[bytes]) -> str:
    """The next line, without waiting for more than PATIENCE."""
    assert process.stdout
    assert select.select([process.stdout], [], [], PATIENCE)[0], "no line came"
    return process.stdout.readline().decode()


def without_uvm(sim: SimHost) -> None:
    modules = sim.root / "proc/modules"
    lines = modules.read_text().splitlines(keepends=True)
    modules.write_text("".join(one for one in lines if "nvidia_uvm" not in one.split()[0]))


def end(process: subprocess.Popen[bytes], number: int) -> tuple[int, str]:
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=300)
    return process.returncode, err.decode()


@pytest.fixture
def sick(sim_host: Callable[..., SimHost]) -> SimHost:
    """Without modinfo: the longer a look takes, the longer is the rest after it."""
    sim = sim_host("v100", absent=["/usr/sbin/modinfo"])
    without_uvm(sim)
    return sim


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_change_is_a_line_of_json_and_a_signal_ends_it_with_the_last_states_code(
    sim_host: Callable[..., SimHost], sick: SimHost, number: int
) -> None:
    modules = (sim_host("v100").root / "proc/modules").read_text()
    with watching(sick, "--json", "--strict") as process:
        first = json.loads(line(process))
        (sick.root / "proc/modules").write_text(modules)
        second = json.loads(line(process))
        code, err = end(process, number)
    for document in (first, second):
        Draft202012Validator(SCHEMA).validate(document)
        assert document["finding"]["id"] == "kernel.uvm-loaded"
    assert (first["was"], first["finding"]["status"]) == (None, "warn")
    assert (second["was"], second["finding"]["status"]) == ("warn", "pass")
    assert (code, err) == (0, "")


def test_lines_have_a_time_and_the_exit_code_is_that_of_what_is_wrong(sick: SimHost, tmp_path: Path) -> None:
    with watching(sick, "--strict") as process:
        first = line(process)
        code, err = end(process, signal.SIGTERM)
    stamp, mark, id = first.split()[:3]
    assert (time.strptime(stamp, "%Y-%m-%dT%H:%M:%S%z") is not None, mark, id) == (True, "WARN", "kernel.uvm-loaded:")
    assert (code, err) == (1, "")


def test_what_is_ended_before_its_first_look_has_no_state_to_tell(sim_host: Callable[..., SimHost]) -> None:
    with watching(sim_host("hang")) as process:
        assert until(lambda: bool(asking_nvml(process.pid)))
        code, err = end(process, signal.SIGTERM)
    assert (code, err) == (128 + signal.SIGTERM, "gpuctl: interrupted.\n")


def test_files_are_written_anew_at_every_look(sim_host: Callable[..., SimHost]) -> None:
    sim = sim_host("v100")
    file = sim.path("/home/sim/gpuctl.prom")
    with watching(sim, "-o", "prometheus=/home/sim/gpuctl.prom") as process:
        assert until(file.exists)
        first = file.stat().st_ino
        assert until(lambda: file.stat().st_ino != first)
        assert end(process, signal.SIGINT) == (0, "")
    assert file.read_text().startswith("# HELP gpuctl_build_info ")


def test_a_reader_that_goes_away_ends_it(sick: SimHost) -> None:
    with watching(sick) as process:
        line(process)
        assert process.stdout
        process.stdout.close()
        assert process.wait(PATIENCE) == 0


def test_on_a_terminal_the_view_is_kept_current(sick: SimHost) -> None:
    ours, theirs = os.openpty()
    env = {"TERM": "xterm-256color"}
    process = sick.popen([*WATCH], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    try:
        shown = b""
        while b"kernel.uvm-loaded" not in shown:
            assert select.select([ours], [], [], PATIENCE)[0]
            shown += os.read(ours, 65536)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        while select.select([ours], [], [], 0.2)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end has been closed
                break
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"Looked at 20" in shown and b"\x1b[" in shown and b"Traceback" not in shown
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") > 0  # the cursor is there again


class Slow:
    """A machine that takes its time for every look."""

    def __init__(self, machine: SnapshotHost) -> None:
        self._machine = machine

    def __getattr__(self, name: str) -> Any:
        time.sleep(0.01)
        return getattr(self._machine, name)


def test_what_takes_long_to_look_up_is_looked_up_less_often() -> None:
    machine: Any = Slow(host(files={"/etc/os-release": "ID=debian\n"}))
    start = time.monotonic()
    looks = look_again(machine, [System], {})
    took = time.monotonic() - start
    assert looks[System].due > start + REST * 0.05
    again = look_again(machine, [System], looks)
    assert again[System] is looks[System]
    time.sleep(0.01)
    assert looks[System].due < time.monotonic() + REST * took


def test_what_only_somebody_changes_is_looked_up_once_a_minute_and_the_driver_every_time() -> None:
    machine = host(files={"/etc/os-release": "ID=debian\n"})

    def later() -> set[type]:
        looks, end = look_again(machine, EVERY_SUBJECT, {}), time.monotonic()
        return {subject for subject, look in looks.items() if look.due > end + SELDOM_REST / 2}

    assert later() >= set(SELDOM)
    assert until(lambda: later().isdisjoint((Driver, Docker, Kernel, Pci)))  # a busy machine may be long about a look


def test_a_script_waits_until_the_host_is_ready_and_goes_on_at_once(sim_host: Callable[..., SimHost]) -> None:
    sim = sim_host("v100")
    modules = (sim.root / "proc/modules").read_text()
    without_uvm(sim)
    waiting = [sys.executable, "-m", "gpuctl", "doctor", "--only", "kernel", "-q", "--strict", "--until-ready"]
    ended = sim.popen([*waiting, "0.1"], stdout=subprocess.PIPE, text=True)
    told, _ = ended.communicate(timeout=PATIENCE)
    assert ended.returncode == 1
    assert told.startswith("WARN") and told.count("WARN") == 1
    process = sim.popen([*waiting, "600"], stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(4)
    (sim.root / "proc/modules").write_text(modules)
    assert process.communicate(timeout=PATIENCE) == ("", None)
    assert process.returncode == 0
