"""Times how answers of made-up hosts become a run, as Ansible's events of real ones do, and how `gpuctl fleet judge`
judges and tells it; and reads how much memory either takes, processes that it starts included.

python benchmarks/fleet_report.py [--hosts N ...]

A host's snapshot is what gpuctl records of this machine, with a DGX A100's readings in it: as large as a real one.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import synthetic  # noqa: E402
from hosts import host as recorded  # noqa: E402

from gpuctl.fleet.ansible import Answer, Named, RunnerEvent, merged  # noqa: E402
from gpuctl.fleet.asking import record  # noqa: E402
from gpuctl.fleet.payload import ANSWER  # noqa: E402
from gpuctl.fleet.run_folder import Run, create_run  # noqa: E402
from gpuctl.fleet.states import OK  # noqa: E402
from gpuctl.host.look.reading import Outcome  # noqa: E402
from gpuctl.host.record.archive import Snapshot, decode, lines  # noqa: E402

GPUCTL = (sys.executable, "-m", "gpuctl")
MOST_SECONDS, MOST_MEGABYTES, MILLISECONDS_A_HOST = 240, 300, 15
"""Of the controller's processor, for 10,000 hosts."""
KINDS = 100
"""As many different snapshots are made; hosts of one kind differ in name, machine and GPUs alone."""
DRIVERS = (("580.95.05", "13.0"),) * 18 + (("570.195.03", "12.8"), ("535.161.08", "12.2"))


def base(folder: Path) -> Snapshot:
    """What is recorded of this machine."""
    path = folder / "base.jsonl.gz"
    subprocess.run([*GPUCTL, "collect", "-o", str(path)], check=True, capture_output=True, cwd=ROOT)
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


def collect(folder: Path, hosts: int) -> None:
    """Makes a run of made-up hosts."""
    here = base(folder)
    names = tuple(f"gpu{number:05d}" for number in range(hosts))
    kinds = [snapshot(here, number) for number in range(min(KINDS, hosts))]

    def answer(number: int) -> str:
        kind = number % KINDS
        text = kinds[kind].replace(names[kind], names[number]).replace(f"{kind:032x}", f"{number:032x}")
        return base64.b64encode(gzip.compress(text.encode(), 1)).decode()

    def played(hand_on: Callable[[RunnerEvent], bool], is_over: Callable[[], bool]) -> int:
        for number, name in enumerate(names):
            result = {ANSWER: {"snapshot": answer(number)}}
            hand_on({"event": OK, "event_data": {"host": name, "res": result}})
        return 0

    def ask(hosts: Sequence[str], pipelining: bool) -> Iterator[Answer]:
        with merged([played], time.monotonic() + 3600) as coming:
            yield from (one for one in coming if not isinstance(one, Named))

    create_run(str(folder / "RUN"), Run("benchmark", 1764000000.0, ("doctor",), names))
    record(str(folder / "RUN"), names, ask, lambda outcome: None)


def high_water(pid: int) -> int:
    """The most memory that a process and its children have had, in bytes."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has ended
        return 0
    own = next((int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
    return own + sum(map(high_water, map(int, children)))


@dataclass(frozen=True)
class Cost:
    """Seconds of processor time, and megabytes at most at once."""

    seconds: float
    megabytes: float


def cost(*argv: str) -> Cost:
    """Returns what a command costs, with all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, cwd=ROOT)
    peak = 0
    while process.poll() is None:
        peak = max(peak, high_water(process.pid))
        time.sleep(0.05)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak / 1e6)


def measured(hosts: int) -> tuple[Cost, Cost]:
    """Returns what it costs to keep so many hosts' answers, and to judge and tell them as text and HTML."""
    with tempfile.TemporaryDirectory(prefix="bench-fleet-") as folder:
        kept = cost(sys.executable, __file__, "--into", folder, "--hosts", str(hosts))
        page = Path(folder, "fleet.html")
        told = cost(*GPUCTL, "fleet", "judge", f"{folder}/RUN", "-o", f"html={page}")
        page.stat()  # raises where nothing was told
    return kept, told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.into:
        collect(asked.into, *asked.hosts)
        return
    for hosts in asked.hosts:
        kept, told = measured(hosts)
        figures = {
            "hosts": hosts,
            "kept_s": round(kept.seconds, 1),
            "kept_mb": round(kept.megabytes),
            "judged_s": round(told.seconds, 1),
            "judged_mb": round(told.megabytes),
            "ms_a_host": round(1000 * told.seconds / hosts, 2),
        }
        print(json.dumps(figures), flush=True)
    print(
        f"Promised: 10,000 hosts in {MOST_SECONDS} s and {MOST_MEGABYTES} MB, judged in {MILLISECONDS_A_HOST} ms each"
    )


if __name__ == "__main__":
    main()
