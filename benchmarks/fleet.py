"""Times `gpuctl fleet collect` on real hosts against Ansible's bare `ping` module in the same run: what asking a host
costs the controller, what it holds in memory, and when the first host of a large inventory has answered; and what as
many answers cost as no machine has hosts for (fleet_report.py). Needs root: tests/fleet_hosts.py.

python benchmarks/fleet.py [--hosts N] [--answers N]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import fleet_report  # noqa: E402
from fleet_hosts import Hosts, hosts  # noqa: E402

from gpuctl.fleet.ansible import forks  # noqa: E402
from gpuctl.host.act.process import ansible_words  # noqa: E402
from gpuctl.host.look.capacity import capacity  # noqa: E402

MOST_TIMES, MEGABYTES_A_FORK, MEGABYTES_BESIDES, FIRST = 1.5, 20, 150, 5.0
LOOK = 0.2
"""Seconds between two looks at the memory."""
TRIES = 3
"""Of one host alone, as on one machine they are in each other's way."""
LARGE = 1000
"""Hosts of an inventory that names more than there are."""
FEWER = 10
"""As many times fewer answers show whether memory grows with them."""


@dataclass(frozen=True)
class Cost:
    """Seconds of processor time, megabytes at most at once, seconds until the first host's line."""

    seconds: float
    megabytes: float
    first: float


def cost(argv: list[str], env: dict[str, str], lines: Path | None = None) -> Cost:
    """Returns what a command and all that it starts costs; of the hosts, which are nobody's children here, nothing."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **env})
    most, first = 0.0, 0.0
    while process.poll() is None:
        most = max(most, sum(map(megabytes, below(process.pid))))
        if not first and lines and lines.exists() and lines.stat().st_size:
            first = time.monotonic() - began
        time.sleep(LOOK)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, most, first)


def below(pid: int) -> list[int]:
    """The process and all that it has started."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            for thread in Path("/proc", str(one), "task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found


def megabytes(pid: int) -> float:
    """The memory of a process, what it shares counted in parts (proc(5), smaps_rollup)."""
    with suppress(OSError):
        for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def large(up: Hosts) -> Path:
    """An inventory of many names, all of which mean the same few hosts."""
    inventory = up.inventory(ansible_python_interpreter="/usr/bin/python3")
    _, variables = inventory.read_text().split("[all:vars]")
    addresses = [one.address for one in up.hosts.values()]
    lines = [f"gpu{number} ansible_host={addresses[number % len(addresses)]}" for number in range(LARGE)]
    inventory.write_text("\n".join([*lines, f"[all:vars]{variables}"]))
    return inventory


def words(one: fleet_report.Cost) -> str:
    """What a step cost."""
    return f"{one.seconds:.0f} s, {one.megabytes:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--hosts", type=int, default=40, help="how many (default: %(default)s)")
    parser.add_argument("--answers", type=int, default=10_000, help="made-up ones (default: %(default)s)")
    asked = parser.parse_args()
    began = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-fleet-") as name:
        folder = Path(name)
        with hosts(folder, {f"gpu{number}": "" for number in range(asked.hosts)}) as up:
            inventory = up.inventory(ansible_python_interpreter="/usr/bin/python3")
            width = forks(asked.hosts, capacity())
            (folder / "ping.yml").write_text(
                json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [{"ping": {}}]}])
            )
            settings = {"ANSIBLE_PIPELINING": "True", "ANSIBLE_FORKS": str(width), "LC_ALL": "C.UTF-8"}
            ping = cost(ansible_words("playbook", ["-i", str(inventory), str(folder / "ping.yml")]), settings)
            run = folder / "run"
            collect = [sys.executable, "-m", "gpuctl", "fleet", "collect", "-i"]
            one = [*collect, str(large(up)), "--limit", "gpu0", "--run"]
            alone = [folder / f"one-{number}" for number in range(TRIES)]
            first = min(
                (cost([*one, str(into)], {"PYTHONPATH": str(ROOT)}, into / "hosts.jsonl") for into in alone),
                key=lambda one: one.first,
            )
            collect += [str(inventory), "--run", str(run)]
            ours = cost(collect, {"PYTHONPATH": str(ROOT)})
            reported = (run / "hosts.jsonl").read_text().count('"reported"')
    print(f"{reported} of {asked.hosts} hosts reported, {width} asked at once.\n")
    print("| what | measured | promised |\n| --- | --- | --- |")
    print(f"| ping, a host | {ping.seconds / asked.hosts:.3f} s, {ping.megabytes:.0f} MB in all | |")
    print(f"| collect, a host | {ours.seconds / asked.hosts:.3f} s | |")
    print(f"| relative | {ours.seconds / ping.seconds:.2f} times | {MOST_TIMES} times at most |")
    promised = MEGABYTES_A_FORK * width + MEGABYTES_BESIDES
    print(f"| memory | {ours.megabytes:.0f} MB | {promised} MB at most |")
    load = f"{first.seconds:.1f} s of the controller's processor time"
    print(f"| first of {LARGE}, alone, the best of {TRIES} | {first.first:.1f} s ({load}) | {FIRST:g} s at most |")
    for answers in (asked.answers // FEWER, asked.answers):
        kept, told = fleet_report.measured(answers)
        print(f"| {answers} answers kept, judged | {words(kept)}; {words(told)} | |", flush=True)
    bound = f"{fleet_report.MOST_SECONDS} s, {fleet_report.MOST_MEGABYTES} MB for 10,000"
    print(f"| {asked.answers} in all | {kept.seconds + told.seconds:.0f} s | {bound} |")
    each = 1000 * told.seconds / asked.answers
    print(f"| `fleet judge`, a host | {each:.1f} ms | {fleet_report.MILLISECONDS_A_HOST} ms at most |")
    print(f"\nWaiting for a processor: {began:.1f} at the beginning, {os.getloadavg()[0]:.1f} at the end (load).")


if __name__ == "__main__":
    main()
