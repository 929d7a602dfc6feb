"""Times `gpuctl explain` on a made-up log, and on hostile ones, against Python that only reads the same bytes as lines.

python benchmarks/explain.py [--megabytes N]
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GPUCTL = str(Path(sys.executable).parent / "gpuctl")
REFERENCE = "import sys\nfor line in open(sys.argv[1], 'rb'):\n    pass\n"
WORDS = (
    "level=info level=error msg= nvidia docker container runtime cuda device gpu kubelet pod ready probe http get 200 "
    "node volume mount attached health sync loop image pulled layer network bridge started stopped failed exit code"
)
FAULT = 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].\n'
HOSTILE = {
    "beginnings of core lines": b"unable to configure the Docker daemon with file ",
    "escape sequences": b"\x1b[0;",
    "backslashes": b"\\",
}


def write_log(path: Path, size: int) -> None:
    """Writes a log of about so many bytes, with a fault in its last line."""
    chance = random.Random(1)  # noqa: S311
    words = WORDS.split()
    lines = [
        f"2026-11-25T12:00:{number % 60:02} host app[{number}]: {' '.join(chance.choices(words, k=12))}\n"
        for number in range(10_000)
    ]
    block = "".join(lines)
    with path.open("w") as file:
        for _ in range(size // len(block)):
            file.write(block)
        file.write(FAULT)


def seconds(*argv: str) -> float:
    """Returns the wall time of a command, the best of three."""

    def once() -> float:
        began = time.perf_counter()
        done = subprocess.run(argv, stdout=subprocess.DEVNULL, check=False)
        if done.returncode not in (0, 1, 3):
            sys.exit(f"{' '.join(argv)} ended with {done.returncode}")
        return time.perf_counter() - began

    return min(once() for _ in range(3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=100, help="size of the log (default: %(default)s)")
    size = parser.parse_args().megabytes * 1_000_000
    print("| text | megabytes | seconds | megabytes a second | promised |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        write_log(log, size)
        reference = seconds(sys.executable, "-c", REFERENCE, str(log))
        print(
            f"| the log, read by Python alone | {size / 1e6:.0f} | {reference:.2f} | {size / 1e6 / reference:.1f} | |"
        )
        ours = seconds(GPUCTL, "explain", "--no-probe", "-f", str(log))
        print(f"| a log | {size / 1e6:.0f} | {ours:.2f} | {size / 1e6 / ours:.1f} | over 1 |")
        for name, piece in HOSTILE.items():
            log.write_bytes(piece * (size // 10 // len(piece)))
            ours = seconds(GPUCTL, "explain", "--no-probe", "-f", str(log))
            print(f"| hostile: {name} | {size / 1e7:.0f} | {ours:.2f} | {size / 1e7 / ours:.1f} | over 1 |")


if __name__ == "__main__":
    main()
