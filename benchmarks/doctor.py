"""Times `gpuctl doctor` and its like on a host with 8 GPUs, Docker, apt and the toolkit, against `import typer`.

python benchmarks/doctor.py [--old CHECKOUT] [--rounds N] [--cold-rounds N]

The GPUs are simulated, dockerd and apt's lists are real: needs what the tests need. `--old` times another build beside.
Processor time is that of the command with all that it started. Warm: the files that it needs are in memory. Cold: none
is, as the machine's file cache is emptied before each command, or where that is not allowed, rid of Python and gpuctl.
"""

from __future__ import annotations

import argparse
import compileall
import json
import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from simhost import Bed, Dockerd, SimHost, Toolkit, build

from gpuctl.facts.packages.packages import TOOLKIT

ROOT = Path(__file__).parents[1]
PROFILE = "a100x8"
REFERENCE = "import typer"
SNAPSHOT = "SNAPSHOT"
DESCRIBED = ("check", "--cuda", "12.4", "--driver", "550.54.14", "--gpu", "A100")
CASES = (
    (("doctor",), 5.0),
    (("doctor", "--only", "driver"), 3.0),
    (("install-runtime", "--no-reload"), 3.0),
    (("doctor", "--from", SNAPSHOT), 2.5),
    (DESCRIBED, 1.5),
)
"""Each command with the most processor time that it may take, in times of the reference."""
TELLS = {"nvidia-ctk": "NVIDIA Container Toolkit CLI version 1.17.8", "nvidia-container-cli": "cli-version: 1.17.8"}
"""What the toolkit's compiled programs say of their version. Those of the tests are Python, of which each takes longer
to start than half of gpuctl."""
APT = ("/etc/apt", "/var/lib/apt/lists", "/var/lib/dpkg", "/var/cache/apt")
SOURCE = "deb [trusted=yes] https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /\n"
INSTALLED = """
Package: {}
Status: install ok installed
Architecture: all
Maintainer: none
Version: 1.17.8-1
Description: none
"""
TIMER = """
import json, os, sys, time
commands, rounds, cold_rounds = json.loads(sys.argv[1])
nothing = os.open("/dev/null", os.O_RDWR)
streams = [(os.POSIX_SPAWN_DUP2, nothing, number) for number in (0, 1, 2)]
def put_out(folder):
    for place, _, names in os.walk(folder):
        for path in (os.path.join(place, name) for name in names):
            if os.path.isfile(path):
                file = os.open(path, os.O_RDONLY)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)
def empty_cache(path):
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")
    except OSError:
        for folder in {*sys.path, sys.prefix, path} - {""}:
            put_out(folder)
def once(argv, path, cold):
    if cold:
        empty_cache(path)
    began = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, {**os.environ, "PYTHONPATH": path}, file_actions=streams)
    _, status, used = os.wait4(pid, 0)
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss, os.waitstatus_to_exitcode(status)
kinds = [False] * rounds + [True] * cold_rounds
print(json.dumps([[once(argv, path, cold) for argv, path in commands] for cold in kinds]))
"""


def simulated(bed: Bed, toolkit: Toolkit, daemon: Dockerd) -> SimHost:
    """Returns the host: with apt's real lists, in which NVIDIA's source is, and the toolkit's packages installed."""
    host = SimHost(bed, PROFILE, toolkit=toolkit, dockerd=daemon)
    for folder in APT:
        shutil.copytree(folder, host.path(folder), dirs_exist_ok=True)
    host.path("/etc/apt/sources.list.d/nvidia-container-toolkit.list").write_text(SOURCE)
    with host.path("/var/lib/dpkg/status").open("a") as status:
        status.writelines(INSTALLED.format(name) for name in TOOLKIT)
    for name in TOOLKIT:
        host.path(f"/var/lib/dpkg/info/{name}.list").touch()
        host.path(f"/var/lib/dpkg/info/{name}.md5sums").touch()
    return host


def timed(host: SimHost, commands: list[tuple[list[str], str]], rounds: int, cold_rounds: int) -> Any:
    """Returns of each round each command's wall time, processor time (s), peak of memory (KiB) and exit code.

    The cold rounds come behind the others.
    """
    done = host.run([sys.executable, "-c", TIMER, json.dumps([commands, rounds, cold_rounds])], timeout=3600)
    if done.code:
        sys.exit(done.err)
    return done.json


def measured(bed: Bed, toolkit: Toolkit, builds: list[Path], rounds: int, cold_rounds: int) -> Any:
    """Returns the rounds: of each the reference, then each command by each build."""
    snapshot = str(toolkit.directory / "snapshot")
    with closing(Dockerd(path=[toolkit.directory])) as daemon:
        daemon.start()
        with closing(simulated(bed, toolkit, daemon)) as host:
            host.gpuctl("install-runtime")
            host.gpuctl("collect", "-o", snapshot)
            cases = [[snapshot if word == SNAPSHOT else word for word in words] for words, _ in CASES]
            argvs = [[str(Path(sys.executable).parent / "gpuctl"), *words] for words in cases]
            ours = [(argv, str(build.resolve())) for argv in argvs for build in builds]
            return timed(host, [([sys.executable, "-c", REFERENCE], ""), *ours], rounds, cold_rounds)


def line(name: str, build: str, files: str, most: str, column: Any, base: float) -> str:
    """Returns a line of the table; `base` is the reference's processor time in seconds."""
    wall, processor, peak, code = zip(*column, strict=True)
    cells = (
        f"`{name}`",
        build,
        files,
        f"{median(wall) * 1000:.0f} ms",
        f"{median(processor) * 1000:.0f} ms",
        f"{median(processor) / base:.2f}",
        most,
        f"{max(peak) / 1024:.0f} MiB",
        str(max(code)),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--old", type=Path, help="a checkout of the build to compare with")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of each command (default: %(default)s)")
    parser.add_argument(
        "--cold-rounds", type=int, default=3, help="as many with no file in memory (default: %(default)s)"
    )
    options = parser.parse_args()
    builds = {"this": ROOT, **({"old": options.old} if options.old else {})}
    for checkout in builds.values():
        # As pip leaves an installed package: without this, a checkout pays for compiling where nobody writes bytecode.
        compileall.compile_dir(checkout / "gpuctl", quiet=2)
    with tempfile.TemporaryDirectory() as folder:
        bed = build(Path(folder))
        toolkit = Toolkit(bed, Path(folder))
        toolkit.install(PROFILE)
        for name, words in TELLS.items():
            (toolkit.directory / name).write_text(f"#!/bin/sh\necho '{words}'\n")
        rounds = measured(bed, toolkit, list(builds.values()), options.rounds, options.cold_rounds)
    print("| command | build | files | wall | processor | times `import typer` | promised | peak | exit |")
    print("| --- " * 9 + "|")
    for files, some in (("warm", rounds[: options.rounds]), ("cold", rounds[options.rounds :])):
        if some:
            show(files, some, list(builds))


def show(files: str, rounds: Any, builds: list[str]) -> None:
    """Prints the lines of some rounds."""
    base, *columns = zip(*rounds, strict=True)
    reference = median(one[1] for one in base)
    print(line(f"python -c '{REFERENCE}'", "", files, "", base, reference))
    names = [(" ".join(("gpuctl", *words)), name, f"at most {most:g}") for words, most in CASES for name in builds]
    for (name, which, most), column in zip(names, columns, strict=True):
        print(line(name, which, files, most if which == "this" else "", column, reference))


if __name__ == "__main__":
    main()
