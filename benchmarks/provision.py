"""Times install-runtime against the usual recipe for the same end, and counts the containers that each of them stops.

python benchmarks/provision.py [--rounds N] [--nvidia-ctk PATH]

Each round has a dockerd of its own with containers that run; needs what the tests need. The usual recipe is to edit
daemon.json, to restart dockerd and to ask `docker info`; that of nvidia-ctk is to let it edit the file, and to restart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from simhost import Bed, Dockerd, SimHost, Toolkit, build, import_image

CONTAINERS = 5
IMAGE = "busybox"
USUAL = "edit, restart dockerd, `docker info`"
LIVES_ON = "trap exit TERM; while :; do sleep 1; done"
Way = Callable[[SimHost, Dockerd, Toolkit], None]
"""Has Docker know the runtime, and says so; raises where it does not."""


def install_runtime(host: SimHost, daemon: Dockerd, toolkit: Toolkit) -> None:
    done = host.gpuctl("install-runtime", "--json")
    if not done.json["verified"]:
        raise RuntimeError(done.json["error"])


def usual_recipe(host: SimHost, daemon: Dockerd, toolkit: Toolkit) -> None:
    runtimes = {"nvidia": {"path": toolkit.runtime}}
    daemon.config.write_text(json.dumps({**json.loads(daemon.config.read_text()), "runtimes": runtimes}))
    restart_and_ask(daemon)


def nvidia_ctk(program: str, host: SimHost, daemon: Dockerd, toolkit: Toolkit) -> None:
    options = ("--runtime=docker", f"--config={daemon.config}", f"--nvidia-runtime-path={toolkit.runtime}")
    subprocess.run([program, "runtime", "configure", *options], check=True, capture_output=True)
    restart_and_ask(daemon)


def restart_and_ask(daemon: Dockerd) -> None:
    daemon.restart()
    if "nvidia" not in daemon.docker("info").out:
        raise RuntimeError("docker info does not list the runtime")


def once(bed: Bed, way: Way) -> tuple[float, int]:
    """Returns the wall time in seconds, and how many containers were stopped."""
    with tempfile.TemporaryDirectory() as folder:
        toolkit = Toolkit(bed, Path(folder))
        toolkit.install("v100")
        with closing(Dockerd(path=[toolkit.directory])) as daemon:
            daemon.start()
            import_image(daemon, IMAGE)
            for _ in range(CONTAINERS):
                daemon.docker("run", "--detach", "--network=none", IMAGE, "sh", "-c", LIVES_ON)
            with closing(SimHost(bed, "v100", toolkit=toolkit, dockerd=daemon)) as host:
                began = time.perf_counter()
                way(host, daemon, toolkit)
                seconds = time.perf_counter() - began
            return seconds, CONTAINERS - len(daemon.docker("ps", "--quiet").out.split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each way (default: %(default)s)")
    parser.add_argument("--nvidia-ctk", metavar="PATH", help="NVIDIA's program, to be timed as well")
    options = parser.parse_args()
    ways: dict[str, Way] = {USUAL: usual_recipe}
    if options.nvidia_ctk:
        ways["`nvidia-ctk runtime configure`, restart dockerd, `docker info`"] = partial(nvidia_ctk, options.nvidia_ctk)
    ways["`gpuctl install-runtime`"] = install_runtime
    with tempfile.TemporaryDirectory() as folder:
        bed = build(Path(folder))
        # The ways take turns: what else the machine does falls on all of them.
        rounds = [{name: once(bed, way) for name, way in ways.items()} for _ in range(options.rounds)]
    reference = min(row[USUAL][0] for row in rounds)
    print(f"| way | time | times the usual recipe | containers stopped, of {CONTAINERS} |\n| --- | --- | --- | --- |")
    for name in ways:
        seconds, stopped = min(row[name][0] for row in rounds), max(row[name][1] for row in rounds)
        print(f"| {name} | {seconds * 1000:.0f} ms | {seconds / reference:.2f} | {stopped} |")


if __name__ == "__main__":
    main()
