"""Every call with which a run touches an engine's file or gpuctl's records fails once, or is the last that it made."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from newer import rows_of, write
from realhost import FORKY, build_root
from simhost import Bed, Dockerd, SimHost, Toolkit
from simhost.host import SYSTEM_PATH

CONFIG = "/etc/docker/daemon.json"
OURS = ("/etc/docker", "/etc/containerd", "/etc/crio", "/etc/cdi", "/var/lib/gpuctl")
OLD = '{"debug": true}\n'
NEW = '{"debug": true, "runtimes": {"nvidia": {"path": "/bin/true"}}}\n'
CALLS = ("openat", "write", "fsync", "rename", "renameat", "renameat2", "unlink")
INSTALL = ("install-runtime", f"--config={CONFIG}", "--runtime-path=/bin/true")
ROLLBACK = ("rollback", f"--config={CONFIG}")
BY_CODE = {0: (NEW,), 1: (OLD,), 3: (OLD,), 4: (OLD,), 5: (OLD, NEW), -signal.SIGKILL: (OLD, NEW)}
"""What the file may be when gpuctl has ended so."""
STRACE = ("-qq",)
"""Not -f: strace counts the calls of each thread by themselves, so the number of one that another thread makes strikes
whatever is the main thread's of that number."""
_CALL = re.compile(r'^(\w+)\((?:AT_FDCWD, )?(?:"([^"]*)"|(\d+))(?:.* = (\d+)$)?', re.MULTILINE)


@dataclass(frozen=True, order=True)
class Site:
    """The `number`th call of that name that the main thread makes, and the file that it was about when measured."""

    call: str
    number: int
    path: str

    def strace(self, fault: str) -> list[str]:
        """What makes it fail, `fault` being strace's words."""
        inject = f"-einject={self.call}:{fault}:when={self.number}"
        return [*STRACE, "-o/dev/null", f"-etrace={self.call}", inject]


def sites(trace: str) -> Iterator[Site]:
    """Yields the calls that are about our files, of what strace wrote."""
    made: Counter[str] = Counter()
    opened: dict[str, str] = {}
    for call, path, descriptor, result in _CALL.findall(trace):
        made[call] += 1
        if call == "openat":
            opened[result] = path
        about = path or opened.get(descriptor, "")
        if about.startswith(OURS):
            yield Site(call, made[call], about)


def measured(host: SimHost, command: Sequence[str]) -> list[Site]:
    """Runs a command, which must succeed. Returns all its sites."""
    with tempfile.NamedTemporaryFile() as log:
        done = host.gpuctl(*command, strace=[*STRACE, f"-o{log.name}", f"-etrace={','.join(CALLS)}"])
        assert done.code == 0, done.err
        found = sorted(set(sites(Path(log.name).read_text())))
    assert {"openat", "write", "fsync"} < {site.call for site in found}
    return found


@pytest.fixture(scope="module")
def install_sites(bed: Bed) -> list[Site]:
    with closing(new_host(bed)) as host:
        return measured(host, INSTALL)


def new_host(bed: Bed) -> SimHost:
    """Without Docker: it is the files that count here."""
    return SimHost(bed, None, files={CONFIG: OLD}, absent=without("docker", "runc"))


def without(*programs: str) -> list[str]:
    """The places of programs that this machine may have: each of a thousand runs would ask them for their versions."""
    return [f"{folder}/{one}" for folder in SYSTEM_PATH.split(":") for one in programs]


def content(host: SimHost) -> str:
    return host.path(CONFIG).read_text()


def at_each(sites: list[Site], strike: Callable[[Site], None]) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(strike, sites))


def twin(bed: Bed, host: SimHost, new: Callable[[Bed], SimHost] = new_host) -> SimHost:
    """A host of its own that is as another one has become, which `new` made."""
    made = new(bed)
    subprocess.run(["cp", "-a", f"{host.root}/upper/.", f"{made.root}/upper"], check=True)
    return made


def assert_whole_when_struck(host: SimHost, site: Site, fault: str) -> None:
    """A run in which one call fails, or is the last that it made; then the file is whole and the exit code true."""
    done = host.gpuctl(*INSTALL, strace=site.strace(fault))
    assert content(host) in BY_CODE[done.code], (site, done)
    assert "Traceback" not in done.err, (site, done)


def assert_can_be_set_up(host: SimHost, site: Site) -> None:
    again = host.gpuctl(*INSTALL)
    assert (again.code, content(host)) == (0, NEW), (site, again)
    # What could not be removed then, the next run that writes the file removes.
    assert site.call == "unlink" or not list(host.path("/etc/docker").glob("*.tmp")), site


def test_an_error_at_any_call_leaves_a_whole_file_the_truth_and_a_host_that_can_be_set_up(
    bed: Bed, install_sites: list[Site]
) -> None:
    errors = dict(zip(install_sites, cycle(("EIO", "ENOSPC", "EROFS")), strict=False))

    def strike(site: Site) -> None:
        with closing(new_host(bed)) as host:
            assert_whole_when_struck(host, site, f"error={errors[site]}")
            assert_can_be_set_up(host, site)

    at_each(install_sites, strike)


def test_a_kill_at_any_call_leaves_a_host_that_can_be_set_up_and_one_that_rollback_puts_right(
    bed: Bed, install_sites: list[Site]
) -> None:
    def strike(site: Site) -> None:
        with closing(new_host(bed)) as host:
            assert_whole_when_struck(host, site, "signal=KILL")
            with closing(twin(bed, host)) as other:
                undone = other.gpuctl(*ROLLBACK)
                assert (undone.code, content(other)) == (0, OLD), (site, undone)
            assert_can_be_set_up(host, site)

    at_each(install_sites, strike)


def test_rollback_finishes_a_rollback_that_was_killed_at_any_call(bed: Bed) -> None:
    with closing(new_host(bed)) as installed:
        installed.gpuctl(*INSTALL)
        with closing(twin(bed, installed)) as host:
            rollback_sites = measured(host, ROLLBACK)

        def strike(site: Site) -> None:
            with closing(twin(bed, installed)) as host:
                host.gpuctl(*ROLLBACK, strace=site.strace("signal=KILL"))
                assert content(host) in (OLD, NEW), site
                undone = host.gpuctl(*ROLLBACK)
                assert (undone.code, content(host)) == (0, OLD), (site, undone)

        at_each(rollback_sites, strike)


@dataclass(frozen=True)
class Peer:
    """An engine whose file at `path` changes. `files` is what lies there before."""

    engine: str
    path: str
    files: Mapping[str, str]
    options: tuple[str, ...] = ("--runtime-path=/bin/true", "--set-default")
    profile: str | None = None

    def host(self, bed: Bed, toolkit: Toolkit) -> SimHost:
        """A host on which it is installed."""
        options = {"commands": {"podman": PODMAN}, "absent": without("docker", "runc")}
        return SimHost(bed, self.profile, files=self.files, toolkit=toolkit, **options)

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """The first puts something there, each other one takes it out again."""
        install = ("install-runtime", f"--engine={self.engine}", *self.options)
        return install, ("uninstall-runtime",), ("rollback",)

    def seen(self, host: SimHost) -> dict[str, str]:
        """What the engine reads: CRI-O every file of the folder, the others the one."""
        folder = host.path(self.path).parent
        read = folder.iterdir() if self.engine == "crio" else [host.path(self.path)]
        return {place.name: place.read_text() for place in read if place.is_file()}


CRUN = '[crio.runtime]\ndefault_runtime = "crun"\n[crio.runtime.runtimes.crun]\nruntime_path = "/bin/true"\n'
FOLDER = "/etc/crio/crio.conf.d"
PODMAN = "#!/bin/sh\ncase $1 in --version) echo podman version 5.4.2;; *) echo {};; esac\n"
"""It is not Podman whose calls are to fail."""
PEERS = [
    Peer("containerd", "/etc/containerd/config.toml", {"/etc/containerd/config.toml": "version = 2\n"}),
    Peer("crio", f"{FOLDER}/99-nvidia.conf", {f"{FOLDER}/10-crio.conf": CRUN}),
    Peer("podman", "/etc/cdi/nvidia.yaml", {}, (), "v100"),
]


def assert_done_again_wherever_struck(
    sites: list[Site],
    command: Sequence[str],
    new: Callable[[], SimHost],
    seen: Callable[[SimHost], Any],
    known: Sequence[Any],
) -> None:
    """`known` is what is seen before the command and after it; `new` makes a host on which it has not run."""

    def strike(site: Site) -> None:
        fault = "signal=KILL" if site.number % 2 else "error=EIO"
        with closing(new()) as host:
            done = host.gpuctl(*command, strace=site.strace(fault))
            may_be = {0: known[1:], 1: known[:1], 3: known[:1], 4: known[:1]}.get(done.code, known)
            assert seen(host) in may_be and done.code != 70 and "Traceback" not in done.err, (site, done)
            again = host.gpuctl(*command)
            assert (again.code, seen(host)) == (0, known[1]), (site, again)

    at_each(sites, strike)


@pytest.mark.slow
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.engine)
def test_a_run_that_is_struck_leaves_what_the_engine_reads_whole_and_can_be_done_again(
    bed: Bed, toolkit: Toolkit, peer: Peer
) -> None:
    toolkit.install("v100")

    def new(bed: Bed) -> SimHost:
        return peer.host(bed, toolkit)

    with ExitStack() as stack:
        bare = stack.enter_context(closing(new(bed)))
        installed = stack.enter_context(closing(twin(bed, bare, new)))
        for number, command in enumerate(peer.commands):
            start = installed if number else bare
            before = peer.seen(start)
            with closing(twin(bed, start, new)) as host:
                found = measured(host, command)
                after = peer.seen(host)
            if not number:
                assert installed.gpuctl(*command).code == 0 and peer.seen(installed) == after != before

            known = (before, after)
            assert_done_again_wherever_struck(found, command, partial(twin, bed, start, new), peer.seen, known)


OUT_OF_DATE = """cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices: [{name: all, containerEdits: {deviceNodes: [{path: /dev/nvidiactl, major: 9, minor: 255}]}}]
"""
SPEC = "/etc/cdi/nvidia.yaml"
FIX = ("doctor", "--fix", "--yes", "--only", "cdi")


@pytest.mark.slow
def test_doctor_fix_that_is_struck_leaves_what_engines_read_whole_and_can_be_done_again(
    bed: Bed, toolkit: Toolkit
) -> None:
    toolkit.install("v100")

    def new(bed: Bed) -> SimHost:
        options = {"commands": {"podman": PODMAN}, "absent": without("docker", "runc", "containerd")}
        return SimHost(bed, "v100", files={SPEC: OUT_OF_DATE}, toolkit=toolkit, **options)

    def seen(host: SimHost) -> str:
        return host.path(SPEC).read_text()

    with closing(new(bed)) as host:
        found = measured(host, FIX)
        after = seen(host)
    assert "/dev/nvidia0" in after
    assert_done_again_wherever_struck(found, FIX, partial(new, bed), seen, (OUT_OF_DATE, after))


@pytest.mark.slow
def test_data_use_that_is_struck_leaves_whole_tables_and_can_be_done_again(bed: Bed) -> None:
    table = "minor_versions"
    with tempfile.TemporaryDirectory(prefix="gpuctl-tables-") as name:
        folder = write(Path(name), **{table: [{**row, "source": "ours"} for row in rows_of(table)]})
        use = ("data", "use", str(folder))

        def seen(host: SimHost) -> str:
            return host.run(["cat", f"/var/lib/gpuctl/data/{table}.jsonl"]).out

        with closing(new_host(bed)) as host:
            found = measured(host, use)
            after = seen(host)
        assert after == (folder / f"{table}.jsonl").read_text()
        assert_done_again_wherever_struck(found, use, partial(new_host, bed), seen, ("", after))


@pytest.mark.parametrize(
    "fault", ["fsync:signal=KILL:when=7", "renameat2:signal=KILL", "kill:signal=KILL", "kill:error=EPERM"]
)
def test_docker_28_starts_with_what_a_run_left_and_the_next_run_is_verified(
    toolkit: Toolkit, sim_host: Callable[..., SimHost], new_dockerd: Callable[..., Dockerd], fault: str
) -> None:
    toolkit.install("v100")
    daemon = new_dockerd(config=OLD, path=[toolkit.directory], system=build_root(FORKY))
    host = sim_host("v100", toolkit=toolkit, dockerd=daemon)
    command = ("install-runtime", "--json")
    strace = [*STRACE, "-o/dev/null", f"-etrace={fault.partition(':')[0]}", f"-einject={fault}"]
    done = host.gpuctl(*command, strace=strace)
    assert done.code == (-signal.SIGKILL if "KILL" in fault else 4), done.out
    assert done.code < 0 or daemon.config.read_text() == OLD
    daemon.restart()
    again = host.gpuctl(*command)
    assert (again.code, again.json["verified"]) == (0, True), again.out
    assert "nvidia" in daemon.docker("info", "--format={{json .Runtimes}}").out
