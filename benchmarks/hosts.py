"""Times `gpuctl check --hosts` over made-up fleets against Python that only reads and writes the same rows.

In one fleet rows repeat, as in real ones; in the other nearly every host has a driver of its own.

python benchmarks/hosts.py [--rows N]
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

GPUCTL = str(Path(sys.executable).parent / "gpuctl")
REFERENCE = (
    "import csv, json, sys\n"
    "for row in csv.DictReader(open(sys.argv[1])):\n"
    "    sys.stdout.write(json.dumps(row) + chr(10))\n"
)
DRIVERS = ("418.87.00", "450.119.04", "470.256.02", "525.60.13", "535.104.05", "550.54.15", "570.26", "580.95.05")
GPUS = ("Tesla V100-SXM2-32GB", "Tesla T4", "NVIDIA A100-SXM4-80GB", "NVIDIA L40S", "NVIDIA GeForce RTX 3090", "8.6")
IMAGES = ("nvidia/cuda:11.8.0-base-ubuntu22.04", "nvidia/cuda:12.4.1-runtime-ubuntu22.04", "")
CUDAS = ("11.8", "12.2", "12.4.1", "12.8", "13.0", "")
REQUIRES = ("", "cuda>=12.0", "cuda>=12.8 brand=tesla,driver>=535,driver<536")


Drivers = Callable[[random.Random], str]


def repeated(chance: random.Random) -> str:
    return chance.choice(DRIVERS)


def of_its_own(chance: random.Random) -> str:
    branch = chance.choice(DRIVERS).partition(".")[0]
    return f"{branch}.{chance.randrange(10, 300)}.{chance.randrange(100):02}"


FLEETS: tuple[tuple[str, Drivers, int], ...] = (
    ("rows that repeat", repeated, 120_000),
    ("nearly every row new", of_its_own, 40_000),
)
"""What a fleet is like, how its drivers are chosen, and how many of its rows a second are promised."""


def write_fleet(path: Path, rows: int, driver: Drivers) -> None:
    """Writes a fleet in which `cuda` or `image` is always given."""
    chance = random.Random(1)  # noqa: S311
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("host", "driver", "gpu", "cuda", "image", "require"))
        for number in range(rows):
            cuda = chance.choice(CUDAS)
            image = chance.choice(IMAGES) if cuda else IMAGES[0]
            told = (driver(chance), chance.choice(GPUS), cuda, image, chance.choice(REQUIRES))
            writer.writerow((f"node{number}", *told))


def seconds(*argv: str) -> float:
    """Returns the processor time of a command, the best of three."""

    def once() -> float:
        before = used()
        subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return used() - before

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime

    return min(once() for _ in range(3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the fleet (default: %(default)s)")
    rows = parser.parse_args().rows
    print("| command | rows a second | times the reference | promised |\n| --- | --- | --- | --- |")
    for name, driver, promised in FLEETS:
        with tempfile.TemporaryDirectory() as folder:
            fleet = Path(folder) / "fleet.csv"
            write_fleet(fleet, rows, driver)
            reference = seconds(sys.executable, "-c", REFERENCE, str(fleet))
            ours = seconds(GPUCTL, "check", "--hosts", str(fleet), "--json")
        print(f"| Python's csv and json alone, {name} | {rows / reference:,.0f} | 1.00 | |")
        print(f"| `gpuctl check --hosts`, {name} | {rows / ours:,.0f} | {ours / reference:.2f} | {promised:,} |")


if __name__ == "__main__":
    main()
