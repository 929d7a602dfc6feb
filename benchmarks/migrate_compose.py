"""Measures what `gpuctl migrate compose` costs for a Compose file of so many lines, beside gpuctl itself.

python benchmarks/migrate_compose.py [--lines N]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

GPUCTL = str(Path(sys.executable).parent / "gpuctl")
SERVICE = """\
  job{number}:
    image: nvidia/cuda:11.0-base   # number {number}
    runtime: nvidia
    environment:
      - NVIDIA_VISIBLE_DEVICES={number}
      - "NAME=job {number}"
    volumes:
      - ./data:/data
      - nvidia_driver_384.111:/usr/local/nvidia:ro
    devices: [/dev/nvidia{number}, /dev/nvidiactl]
    command: ["python", "train.py"]
"""


def compose_file(lines: int) -> str:
    """Returns a Compose file of about so many lines, each service of which is to be rewritten."""
    services = (SERVICE.format(number=number) for number in range(lines // SERVICE.count("\n")))
    return "version: '2.3'\nservices:\n" + "".join(services)


def processor_seconds(*argv: str) -> float:
    """Returns the processor time of a command, the best of ten."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(argv)} ended with {done.returncode}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=1000, help="of the Compose file (default: %(default)s)")
    lines = parser.parse_args().lines
    print("| command | processor seconds | promised |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "compose.yml"
        file.write_text(compose_file(lines))
        print(f"| gpuctl --version | {processor_seconds(GPUCTL, '--version'):.2f} | |")
        print(
            f"| migrate compose, {lines} lines | {processor_seconds(GPUCTL, 'migrate', 'compose', str(file)):.2f} | ",
            end="",
        )
        print("below 0.3 |" if lines == 1000 else "|")


if __name__ == "__main__":
    main()
