"""What lives beside gpuctl is not disturbed: a container that counts, and a program that edits the same file."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from simhost import Dockerd, SimHost, Toolkit, import_image

IMAGE = "nvidia/cuda:10.1-base"
COUNT = "trap exit TERM; while :; do busybox date +%s; sleep 1; done"
# Many runs in one process: what is tested takes place outside it.
CYCLES = """
import sys
from gpuctl.cli.app import app
codes = []
for cycle in range(int(sys.argv[1])):
    for command in ("install-runtime", "rollback"):
        codes.append(app([command, "--json"], standalone_mode=False) or 0)
sys.exit(max(codes))
"""
RUNS = """
import sys
from gpuctl.cli.app import app
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
    beats = [int(line) for line in daemon.docker("logs", "counter").out.split()]
    assert len(beats) > 5 and max(later - earlier for earlier, later in pairwise(beats)) <= 2


class Writer(threading.Thread):
    """Replaces the file over and over, each time with the next number; stops where its last one is gone."""

    def __init__(self, config: Path) -> None:
        super().__init__()
        self.config, self.number, self.stopped, self.lost = config, 0, threading.Event(), ""

    def run(self) -> None:
        while not self.stopped.wait(0.02 * (self.number % 4)):
            there = self.config.read_text()
            if json.loads(there)["number"] != self.number:
                self.lost = f"{self.number} is lost: {there}"
                return
            self.number += 1
            new = self.config.with_suffix(".new")
            new.write_text(json.dumps({"number": self.number}))
            new.replace(self.config)


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
    results = [json.loads(text) for text in done.out.split("\n}\n") if text.strip()]
    print([r["changed"] for r in results], {r["error"] for r in results})
