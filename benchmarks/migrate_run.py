"""Times `gpuctl migrate run` against `gpuctl --version` in the same run, and on a long script, as a Markdown table.

python benchmarks/migrate_run.py [--runs N]
"""

from __future__ import annotations

import argparse
import compileall
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from run import GPUCTL, mean_seconds

import gpuctl

COMMAND = "nvidia-docker run -v /usr/lib/nvidia-384:/usr/lib/nvidia --device /dev/nvidia0 app"
MOST = 1.5
"""Times `gpuctl --version` that a single command may take."""


def seconds_of_script(commands: int) -> float:
    """Returns the wall time for a script of so many commands."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "start.sh"
        script.write_text(f'{COMMAND} \\\n  --port "$PORT"\n' * commands)
        began = time.perf_counter()
        subprocess.run([GPUCTL, "migrate", "run", "--target", "docker", str(script)], capture_output=True, check=True)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=30, help="runs of each command (default: %(default)s)")
    runs = parser.parse_args().runs
    compileall.compile_dir(Path(gpuctl.__file__).parent, quiet=2)
    cases = [f"{GPUCTL} migrate run -- {COMMAND}", f"{GPUCTL} migrate run --target docker -- {COMMAND}"]
    reference, *times = mean_seconds([f"{GPUCTL} --version", *cases], runs)
    print("| command | time | times `--version` | promised |\n| --- | --- | --- | --- |")
    print(f"| `gpuctl --version` | {reference * 1000:.0f} ms | 1.00 | |")
    for name, seconds in zip(("migrate run", "migrate run --target docker"), times, strict=True):
        print(f"| `gpuctl {name}` | {seconds * 1000:.0f} ms | {seconds / reference:.2f} | under {MOST:g} |")
    for commands in (100, 1000):
        print(f"| a script of {commands} commands | {seconds_of_script(commands) * 1000:.0f} ms | | |")


if __name__ == "__main__":
    sys.exit(main())
