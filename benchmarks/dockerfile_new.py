"""Times `gpuctl dockerfile new --app` on a folder of programs, some of them large, against the same without a folder.

python benchmarks/dockerfile_new.py [--files N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GPUCTL = str(Path(sys.executable).parent / "gpuctl")
HOST = ("--driver", "580.95.05", "--gpu", "A100")
PROMISED_FILES, PROMISED_MEBIBYTES = 400, 150
LARGE_EVERY, LARGE = 20, 1 << 30
"""One file in so many is padded to so many bytes, with a hole: headers lie where they did."""


def fill(folder: Path, files: int) -> None:
    """Puts so many copies of this machine's own libraries and programs into a folder, some of them made large."""
    sources = [path for path in _programs() if path.stat().st_size < 4 << 20]
    for number in range(files):
        source = sources[number % len(sources)]
        target = folder / f"{number // 500}" / f"{number}-{source.name}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
        if number % LARGE_EVERY == 0:
            os.truncate(target, LARGE)


def _programs() -> list[Path]:
    places = (Path("/usr/lib") / f"{os.uname().machine}-linux-gnu", Path("/usr/bin"))
    found = [path for place in places for path in sorted(place.iterdir()) if path.is_file() and not path.is_symlink()]
    return [path for path in found if path.open("rb").read(4) == b"\x7fELF"]


def measured(*argv: str) -> tuple[float, int]:
    """Returns a command's processor time in seconds, and the most memory that it took, in bytes."""
    began = time.process_time()
    process = subprocess.Popen(
        [GPUCTL, "dockerfile", "new", *HOST, *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        sys.exit(f"{' '.join(argv)} ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime + time.process_time() - began, used.ru_maxrss << 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=2000, help="programs in the folder (default: %(default)s)")
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), files)
        alone, _ = min(measured() for _ in range(3))
        seconds, memory = min(measured("--app", folder) for _ in range(3))
    print("| | measured | promised |\n| --- | --- | --- |")
    print(f"| ELF files a second | {files / (seconds - alone):.0f} | over {PROMISED_FILES} |")
    print(f"| MiB of memory | {memory / (1 << 20):.0f} | under {PROMISED_MEBIBYTES} |")


if __name__ == "__main__":
    main()
