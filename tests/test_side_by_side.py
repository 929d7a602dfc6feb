"""What lives beside gpuctl is not disturbed: a container that counts, and a program that edits the same file."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from simhost import Dockerd, SimHost, Toolkit, import_image, until
from simhost.held import TRACE, held, let_go, strace
from simhost.process import PATIENCE

IMAGE = "nvidia/cuda:10.1-base"
COUNT = "trap exit TERM; beat=0; while :; do echo $beat; beat=$((beat + 1)); sleep 0.2; done"
# Many runs in one process: what is tested takes place outside it.
CYCLES = """
import sys
from gpuctl.cli.frame.app import app
codes = []
for cycle in range(int(sys.argv[1])):
    for command in ("install-runtime", "rollback"):
        codes.append(app([command, "--json"], standalone_mode=False) or 0)
sys.exit(max(codes))
"""
RUNS = """
import sys
from gpuctl.cli.frame.app import app
for run in range(int(sys.argv[1])):
    app(["install-runtime", "--json", "--runtime-path=/bin/true", "--config", sys.argv[2]], standalone_mode=False)
"""


def test_a_container_never_misses_a_beat_in_a_hundred_cycles_of_install_and_rollback(
    toolkit: Toolkit, new_dockerd: Callable[..., Dockerd], sim_host: Callable[..., SimHost]
) -> None:
    toolkit.install("v100")
    daemon = new_dockerd(path=[toolkit.directory])
    import_image(daemon, IMAGE)
    daemon.docker("run", "-d", "--name=counter", "--network=none", IMAGE, "sh", "-c", COUNT)
    seen = "--format={{.State.Pid}} {{.State.StartedAt}} {{.RestartCount}}"
    before = daemon.docker("inspect", seen, "counter").out
    host = sim_host("v100", toolkit=toolkit, dockerd=daemon)
    done = host.run([sys.executable, "-c", CYCLES, "100"], timeout=300)
    assert done.code == 0, done.err[-2000:] + done.out[-2000:]
    assert daemon.log.read_text().count("Got signal to reload") == 200
    assert (daemon.config.read_text(), daemon.docker("inspect", seen, "counter").out) == ("{}\n", before)
    events = daemon.docker("events", "--since=0", f"--until={time.time():.9f}", "--format={{.Action}}").out.split()
    assert not {"die", "kill", "oom", "pause", "restart", "stop", "unpause"}.intersection(events)
    assert events.count("reload") == 200
    beats = [int(line) for line in daemon.docker("logs", "counter").out.split()]
    assert len(beats) > 5 and beats == list(range(len(beats)))


class Writer(threading.Thread):
    """Replaces the file over and over, each time with the next number; stops where its last one is gone."""

    def __init__(self, config: Path) -> None:
        super().__init__()
        self.config, self.number, self.stopped, self.lost = config, 0, threading.Event(), ""

    def run(self) -> None:
        while not self.stopped.wait(0.02 * (self.number % 4)):
            if not self._stands():
                self.lost = f"{self.number} is lost: {self.config.read_text()}"
                return
            self.number += 1
            new = self.config.with_suffix(".new")
            new.write_text(json.dumps({"number": self.number}))
            new.replace(self.config)

    def _stands(self) -> bool:
        """Whether its last number is there. What gpuctl exchanged for it is seen until it is put back, for a moment."""
        return until(lambda: json.loads(self.config.read_text())["number"] == self.number)


@pytest.fixture
def config() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "daemon.json")
        path.write_text('{"number": 0}')
        yield path


def test_nobodys_edit_is_lost_to_a_writer_that_is_always_at_it(sim_host: Callable[..., SimHost], config: Path) -> None:
    host, writer = sim_host(None), Writer(config)
    writer.start()
    done = host.run([sys.executable, "-c", RUNS, "60", str(config)])
    writer.stopped.set()
    writer.join()
    assert (done.code, writer.lost) == (0, ""), done.err
    told = list(documents(done.out))
    assert len(told) == 60 and any(result["changed"] for result in told)
    reasons = [result["error"] for result in told if result["error"]]
    assert reasons and all("was changed by another program" in reason for reason in reasons), reasons


def documents(text: str) -> Iterator[Any]:
    """Yields the JSON documents of a text, one after the other."""
    while text := text.lstrip():
        value, end = json.JSONDecoder().raw_decode(text)
        yield value
        text = text[end:]


@pytest.mark.parametrize("edit", ["replaces it", "writes into it", "removes it"])
def test_an_edit_in_the_very_moment_of_the_change_stays(
    sim_host: Callable[..., SimHost], config: Path, edit: str
) -> None:
    host, theirs = sim_host(None), '{"number": 1}'
    command = [sys.executable, "-m", "gpuctl", "install-runtime", "--runtime-path=/bin/true", f"--config={config}"]
    run = held(host, "renameat2", 1, command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert list(config.parent.glob("*.bak"))
    if edit == "replaces it":
        config.with_suffix(".new").write_text(theirs)
        config.with_suffix(".new").replace(config)
    elif edit == "writes into it":
        config.write_text(theirs)
    else:
        config.unlink()
    let_go(run)
    _, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 4 and b"was changed by another program" in err, err
    assert {path.name: path.read_text() for path in config.parent.iterdir()} == (
        {} if edit == "removes it" else {"daemon.json": theirs}
    )


OVERTAKEN = rf"""
{shlex.join(strace("flock"))} $GPUCTL $0 &
until grep -q 'flock(' {TRACE}; do sleep 0.02; done
$GPUCTL install-runtime --engine=containerd --runtime-path=/bin/true --set-default
grep default_runtime_name /etc/containerd/config.toml &&
    kill -KILL "$(sed -n 's/TracerPid:\t//p' /proc/$!/status)" && wait $!
"""
"""A run that has planned, and is overtaken by another one while it waits for the lock."""


@pytest.mark.parametrize("command", ["uninstall-runtime", "rollback"])
def test_a_run_that_waited_goes_by_what_the_others_left_meanwhile(
    sim_host: Callable[..., SimHost], command: str
) -> None:
    """Else a default runtime would stay of which nobody has a table any more: CRI does not start so."""
    config = "/etc/containerd/config.toml"
    host = sim_host(None, files={config: "version = 2\n"})
    assert host.gpuctl("install-runtime", "--engine=containerd", "--runtime-path=/bin/true").code == 0
    first = host.path(config).read_text()
    done = host.run(["sh", "-c", OVERTAKEN, command], env={"GPUCTL": f"{sys.executable} -m gpuctl"}, real_proc=True)
    left = "version = 2\n" if command == "uninstall-runtime" else first
    assert (done.code, host.path(config).read_text()) == (0, left), done.out + done.err
