"""Every call with which a run touches Docker's file or gpuctl's own records fails once, or is the last that it made."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from realhost import DOCKER_28, build_root
from simhost import Bed, Dockerd, SimHost

CONFIG = "/etc/docker/daemon.json"
OURS = ("/etc/docker", "/var/lib/gpuctl")
OLD = '{"debug": true}\n'
NEW = '{"debug": true, "runtimes": {"nvidia": {"path": "/bin/true"}}}\n'
CALLS = ("openat", "write", "fsync", "rename", "renameat", "renameat2", "unlink")
INSTALL = (sys.executable, "-m", "gpuctl", "install-runtime", f"--config={CONFIG}", "--runtime-path=/bin/true")
STEADY = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
"""Has each run make the same calls."""
BY_CODE = {0: (NEW,), 1: (OLD,), 3: (OLD,), 4: (OLD,), 5: (OLD, NEW), -signal.SIGKILL: (OLD, NEW)}
"""What the file may be when gpuctl has ended so."""
_CALL = re.compile(r'^(\d+) +(\w+)\((?:AT_FDCWD, )?(?:"([^"]*)"|(\d+))(?:.* = (\d+)$)?', re.MULTILINE)


@dataclass(frozen=True, order=True)
class Site:
    """The `number`th call of that name that a thread makes, and the file that it was about when measured."""

    call: str
    number: int
    path: str

    def strace(self, fault: str) -> list[str]:
        """What makes it fail, `fault` being strace's words."""
        inject = f"inject={self.call}:{fault}:when={self.number}"
        return ["strace", "-f", "-qq", "-o/dev/null", f"-etrace={self.call}", f"-e{inject}"]


def sites(trace: str) -> Iterator[Site]:
    """Yields the calls that are about our files, of what strace wrote."""
    made: Counter[tuple[str, str]] = Counter()
    opened: dict[str, str] = {}
    for thread, call, path, descriptor, result in _CALL.findall(trace):
        made[thread, call] += 1
        if call == "openat":
            opened[result] = path
        about = path or opened.get(descriptor, "")
        if about.startswith(OURS):
            yield Site(call, made[thread, call], about)


@pytest.fixture(scope="module")
def measured(bed: Bed) -> list[Site]:
    """All sites of a run that succeeds."""
    with tempfile.NamedTemporaryFile() as log, closing(new_host(bed)) as host:
        traced = ["strace", "-f", "-qq", f"-o{log.name}", f"-etrace={','.join(CALLS)}"]
        done = host.run([*traced, *INSTALL])
        assert (done.code, content(host)) == (0, NEW), done.err
        found = sorted(set(sites(Path(log.name).read_text())))
    assert {"openat", "write", "fsync"} < {site.call for site in found}
    return found


def new_host(bed: Bed) -> SimHost:
    """Without Docker: it is the files that count here."""
    return SimHost(bed, None, files={CONFIG: OLD}, env=STEADY)


def content(host: SimHost) -> str:
    return host.path(CONFIG).read_text()


@pytest.mark.parametrize("fault", ["error=EIO", "error=ENOSPC", "error=EROFS", "signal=KILL"])
def test_a_fault_at_any_call_leaves_a_whole_file_the_truth_and_a_host_that_can_be_set_up(
    bed: Bed, measured: list[Site], fault: str
) -> None:
    def strike(site: Site) -> None:
        with closing(new_host(bed)) as host:
            done = host.run([*site.strace(fault), *INSTALL])
            assert content(host) in BY_CODE[done.code], (site, done)
            assert "Traceback" not in done.err, (site, done)
            again = host.run(INSTALL)
            assert (again.code, content(host)) == (0, NEW), (site, done, again)
            assert not list(host.path("/etc/docker").glob("*.tmp")), site

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(strike, measured))


def test_docker_28_starts_with_the_old_file_and_with_the_new_one(new_dockerd: Callable[..., Dockerd]) -> None:
    for text in (OLD, NEW):
        assert new_dockerd(config=text, system=build_root(DOCKER_28)).answers()
