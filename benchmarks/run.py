"""Times commands against a reference in the same run, with hyperfine, and prints the ratios as a Markdown table.

python benchmarks/run.py [--runs N]
"""

from __future__ import annotations

import argparse
import compileall
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import gpuctl

REFERENCE = (sys.executable, "-c", "import typer")
GPUCTL = str(Path(sys.executable).parent / "gpuctl")
CASES = (
    ("gpuctl --version", 1.5),
    ("gpuctl check --cuda 10.1 --driver 418.87 --gpu V100", 2.0),
    ("gpuctl check --cuda 10.1 --driver 418.87 --gpu V100 --json", 2.0),
)
"""Each command with the most that it may cost, in times of the reference."""


def mean_seconds(commands: list[str], runs: int) -> list[float]:
    """Returns the mean wall time of each command, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "times.json"
        # Exit codes are part of the answer here, so they are not failures of the benchmark.
        options = ("-N", "--warmup", "3", "--runs", str(runs), "--ignore-failure", "--export-json", str(result))
        subprocess.run(["hyperfine", *options, *commands], check=True, stdout=subprocess.DEVNULL)
        return [row["mean"] for row in json.loads(result.read_text())["results"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=30, help="runs of each command (default: %(default)s)")
    runs = parser.parse_args().runs
    # As pip leaves an installed package: without this, a checkout pays for compiling where nobody may write bytecode.
    compileall.compile_dir(Path(gpuctl.__file__).parent, quiet=2)
    commands = [shlex.join(REFERENCE), *(GPUCTL + name.removeprefix("gpuctl") for name, _ in CASES)]
    reference, *times = mean_seconds(commands, runs)
    print("| command | time | times `import typer` | promised |\n| --- | --- | --- | --- |")
    print(f"| `python -c 'import typer'` | {reference * 1000:.0f} ms | 1.00 | |")
    for (name, most), seconds in zip(CASES, times, strict=True):
        print(f"| `{name}` | {seconds * 1000:.0f} ms | {seconds / reference:.2f} | under {most:g} |")


if __name__ == "__main__":
    main()
