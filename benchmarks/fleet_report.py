"""Times `gpuctl fleet judge` over a made-up run, and reads how much memory it takes, its judging process included.

python benchmarks/fleet_report.py [--hosts N]

A host's snapshot is what gpuctl records of this machine, with a DGX A100's readings in it: as large as a real one.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import synthetic  # noqa: E402
from hosts import host as recorded  # noqa: E402

from gpuctl.fleet.run_folder import HostOutcome, Run, State, add_host, create_run  # noqa: E402
from gpuctl.host.look.reading import Outcome  # noqa: E402
from gpuctl.host.record.archive import Snapshot, decode, lines  # noqa: E402

GPUCTL = str(Path(sys.executable).parent / "gpuctl")
KINDS = 100
"""As many different snapshots are made; hosts of one kind differ in name, machine and GPUs alone."""
PROMISED = "10,000 hosts: 240 s of processor time, 300 MB; 15 ms a host"
DRIVERS = (("580.95.05", "13.0"),) * 18 + (("570.195.03", "12.8"), ("535.161.08", "12.2"))


def base(folder: Path) -> Snapshot:
    """What is recorded of this machine."""
    path = folder / "base.jsonl.gz"
    subprocess.run([GPUCTL, "collect", "-o", str(path)], check=True, capture_output=True)
    return decode(path.read_bytes())


def snapshot(here: Snapshot, number: int) -> str:
    """A host's: one in ten has another driver than most, some GPUs another VBIOS."""
    name, (version, cuda) = f"gpu{number:05d}", DRIVERS[number % len(DRIVERS)]
    driver = synthetic.driver(synthetic.UBUNTU_22[3], version, cuda, synthetic.A100, 8, is_open=True)
    first, *gpus = driver["nvml"]
    told = {"pcie_width": 16, "pcie_generation": 4, "ecc": True, "power_limit": 400_000, "nvlinks": 12}
    each = [
        {**one, **told, "uuid": f"GPU-{name}-{one['index']}", "vbios": f"92.00.{19 if number % 97 == 3 else 45}.00.03"}
        for one in gpus
    ]
    machine = synthetic.joined(
        synthetic.system(*synthetic.UBUNTU_22),
        synthetic.gpus(synthetic.A100, 8),
        {**driver, "nvml": [first, *each]},
        synthetic.toolkit(),
        synthetic.docker(),
        synthetic.nvswitches("1af1", 6),
        synthetic.services("active" if number % 7 else None),
        {"files": {"/proc/sys/kernel/hostname": f"{name}\n"}, "env": {"machine_id": f"{number:032x}"}},
    )
    return lines(Snapshot({**here.readings, **recorded(**machine).readings}, 1764000000.0, unrecorded=Outcome.ABSENT))


def write_run(folder: Path, hosts: int) -> int:
    """Writes the run. Returns the bytes of a snapshot."""
    here = base(folder)
    names = tuple(f"gpu{number:05d}" for number in range(hosts))
    run = str(folder / "RUN")
    create_run(run, Run("benchmark", 1764000000.0, ("doctor",), names))
    kinds = [snapshot(here, number) for number in range(min(KINDS, hosts))]
    for number, name in enumerate(names):
        kind = number % KINDS
        text = kinds[kind].replace(names[kind], name).replace(f"{kind:032x}", f"{number:032x}")
        add_host(run, HostOutcome(name, State.REPORTED, 1764000000.0), gzip.compress(text.encode(), 1))
    return len(kinds[0])


def high_water(pid: int) -> int:
    """The most memory that a process and its children have had, in bytes."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return 0
    own = next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
    return own + sum(map(high_water, map(int, children)))


def judged(folder: Path) -> tuple[float, int, int]:
    """Judges the run as text and HTML. Returns seconds of processor time, peak memory and the size of the page."""
    page = folder / "fleet.html"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [GPUCTL, "fleet", "judge", str(folder / "RUN"), "-o", f"html={page}"], stdout=subprocess.DEVNULL
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, high_water(process.pid))
        time.sleep(0.05)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, peak, page.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1000, 10_000])
    for hosts in parser.parse_args().hosts:
        with tempfile.TemporaryDirectory() as name:
            begun = time.process_time()
            size = write_run(Path(name), hosts)
            written = time.process_time() - begun
            seconds, peak, page = judged(Path(name))
        figures = {
            "hosts": hosts,
            "snapshot_kb": round(size / 1000, 1),
            "write_s": round(written, 1),
            "judge_s": round(seconds, 1),
            "ms_a_host": round(1000 * seconds / hosts, 2),
            "peak_mb": round(peak / 1e6),
            "html_mb": round(page / 1e6, 2),
        }
        print(json.dumps(figures), flush=True)
    print(f"Promised: {PROMISED}")


if __name__ == "__main__":
    main()
