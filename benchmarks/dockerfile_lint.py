"""Times `gpuctl dockerfile lint`: one file against `gpuctl --version`, and how many files a second come after that.

python benchmarks/dockerfile_lint.py [--runs N] [--files N]
"""

from __future__ import annotations

import argparse
import compileall
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import gpuctl

GPUCTL = str(Path(sys.executable).parent / "gpuctl")
FILES = sorted((Path(__file__).parents[1] / "tests" / "data" / "dockerfiles").glob("*.Dockerfile"))
MOST_TIMES, LEAST_A_SECOND = 1.5, 500


def seconds(*argv: str) -> float:
    """Returns the processor time of a command, which other work on the machine hardly changes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([GPUCTL, *argv], stdout=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=30, help="runs of each command (default: %(default)s)")
    parser.add_argument("--files", type=int, default=2000, help="files of the many (default: %(default)s)")
    asked = parser.parse_args()
    compileall.compile_dir(Path(gpuctl.__file__).parent, quiet=2)
    one = ("dockerfile", "lint", str(next(path for path in FILES if path.name.startswith("source"))))
    # By turns, and the best of each: what else the machine does falls on both alike.
    turns = [(seconds("--version"), seconds(*one)) for _ in range(asked.runs)]
    version, lint = min(turn[0] for turn in turns), min(turn[1] for turn in turns)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.Dockerfile" for number in range(asked.files)]
        for number, path in enumerate(paths):
            path.write_bytes(FILES[number % len(FILES)].read_bytes())
        many = min(seconds("dockerfile", "lint", "--json", *map(str, paths)) for _ in range(3)) - lint
    print("| what | measured | promised |\n| --- | --- | --- |")
    print(f"| `gpuctl --version` | {version * 1000:.0f} ms | |")
    print(f"| lint of one file | {lint * 1000:.0f} ms, {lint / version:.2f} times | {MOST_TIMES} times at most |")
    print(f"| lint of {asked.files} files | {asked.files / many:.0f} a second | {LEAST_A_SECOND} at least |")


if __name__ == "__main__":
    main()
