"""A Debian machine that boots: systemd as pid 1 in systemd-nspawn, with its own files, processes, network and Docker.

What it writes goes to memory. It is in a process namespace whose first process dies with the test run, so that
however a run ends, nothing of the machine is left but empty control groups, which the next boot removes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from simhost.bed import Bed
from simhost.dockerd import busybox_tar
from simhost.host import REPOSITORY
from simhost.process import PATIENCE, Done, run, until
from simhost.toolkit import NAMES, Toolkit

CGROUPS = Path("/sys/fs/cgroup")
PREFIX = "gpuctl-bed-"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DIES_WITH_US = ("setpriv", "--pdeathsig=KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")
UNIFIED = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "yes"}
NSPAWN = (
    "systemd-nspawn",
    "--quiet",
    "--boot",
    "--volatile=overlay",
    "--register=no",
    "--keep-unit",
    "--private-network",
    "--resolv-conf=off",
    "--link-journal=no",
    "--capability=all",
    "--system-call-filter=@keyring bpf",
    # Containers need another file system than an overlay below them.
    "--tmpfs=/var/lib/docker",
    "--tmpfs=/var/lib/containerd",
)


class BootedHost:
    """Runs from the start until `close`. With `unified` it has cgroup v2, whatever the machine has."""

    def __init__(self, root: Path, bed: Bed, unified: bool = False) -> None:
        _remove_empty_groups()
        self.name = f"{PREFIX}{secrets.token_hex(4)}"
        self._console = tempfile.TemporaryFile()  # noqa: SIM115 - until `close`
        binds = [f"--bind-ro={place}" for place in {*_needed_by_python(), str(bed.library.parent)}]
        self._process = subprocess.Popen(
            [*DIES_WITH_US, *NSPAWN, f"--directory={root}", f"--machine={self.name}", *binds],
            env={"PATH": PATH, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network", **(UNIFIED if unified else {})},
            stdin=subprocess.DEVNULL,
            stdout=self._console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=self._join_own_groups,
        )
        try:
            self._wait_until_booted()
        except BaseException:
            self.close()
            raise

    def run(self, *argv: str, stdin: str | bytes = "", timeout: float = PATIENCE, env: Mapping[str, str] = {}) -> Done:
        """The result of a command inside."""
        variables = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **env}
        enter = ["nsenter", f"--target={self._leader}", "-m", "-p", "-n", "-u", "-i", "-C", "-r", "-w"]
        return run([*enter, *argv], {**variables}, stdin, timeout)

    def gpuctl(self, *argv: str) -> Done:
        """The result of `gpuctl ARGV…` of this working tree."""
        return self.run(_interpreter(), "-m", "gpuctl", *argv, env={"PYTHONPATH": _python_path()})

    def docker(self, *argv: str, stdin: str | bytes = "") -> str:
        """What `docker ARGV…` says inside. Raises RuntimeError when it fails."""
        done = self.run("docker", *argv, stdin=stdin)
        if done.code:
            raise RuntimeError(done.err)
        return done.out.strip()

    def path(self, path: str) -> Path:
        """Where a file of the host is to be found from outside. Not for links to absolute paths."""
        return Path(f"/proc/{self._leader}/root{path}")

    def write(self, path: str, text: str) -> None:
        """Writes a file, and the directories that lead to it."""
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def install(self, toolkit: Toolkit) -> None:
        """Installs the toolkit's programs as a package would, below /usr/bin."""
        for name in (*NAMES, "gpusim.json"):
            shutil.copy(toolkit.directory / name, self.path("/usr/bin"))

    def import_image(self, name: str) -> None:
        """Gives its Docker an image of busybox."""
        self.docker("import", "-", name, stdin=busybox_tar())

    def close(self) -> None:
        """Ends it; nothing stays."""
        self._process.kill()
        self._process.wait()
        self._console.close()
        until(self._is_gone)  # the kernel ends the processes in its own time

    def _is_gone(self) -> bool:
        for group in _groups(self.name):
            _remove_group(group)
        return not list(_groups(self.name))

    def _join_own_groups(self) -> None:
        for hierarchy in _hierarchies():
            group = hierarchy / self.name
            group.mkdir()
            for name in ("cpuset.cpus", "cpuset.mems"):  # which a group of cgroup v1 does not inherit
                if (hierarchy / name).exists() and (group / name).exists():
                    (group / name).write_text((hierarchy / name).read_text())
            (group / "cgroup.procs").write_text("0")

    def _wait_until_booted(self) -> None:
        until(lambda: self._is_up() or self._process.poll() is not None)
        if not self._is_up():
            self._console.seek(0)
            raise RuntimeError(f"the host did not boot ({self._state()}):\n{self._console.read().decode()[-4000:]}")
        self._open_groups()

    def _is_up(self) -> bool:
        return self._state() in ("running", "degraded")

    def _state(self) -> str:
        if not self._leader:
            return "no systemd yet"
        return self.run("systemctl", "is-system-running", "--wait").out.strip()

    @property
    def _leader(self) -> int:
        """Its systemd, as a process of the machine; 0 when there is none."""
        below = _descendants(self._process.pid)
        return next((pid for pid in below if _read(f"/proc/{pid}/comm") == "systemd\n"), 0)

    def _open_groups(self) -> None:
        """systemd-nspawn mounts the hierarchies of cgroup v1 read-only, where Docker has to make groups."""
        for line in self.path("/proc/1/mounts").read_text().splitlines():
            _, place, kind, options, *_ = line.split()
            if kind == "cgroup" and options.startswith("ro"):
                self.run("mount", "-o", "remount,rw,bind", place)


def _interpreter() -> str:
    """An interpreter that is installed by itself is taken along; the system's own is there already."""
    return "/usr/bin/python3" if sys.base_prefix == "/usr" else sys.executable


def _needed_by_python() -> set[str]:
    own = [] if sys.base_prefix == "/usr" else [sys.base_prefix]
    return {str(REPOSITORY), *map(os.path.realpath, [sys.prefix, *own])}


def _python_path() -> str:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return f"{REPOSITORY}:{os.path.realpath(sys.prefix)}/lib/{version}/site-packages"


def _hierarchies() -> Iterable[Path]:
    """The roots of the control groups: one of version 2, or one for each of version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [place for place in CGROUPS.iterdir() if place.is_dir() and not place.is_symlink()]


def _groups(name: str) -> Iterator[Path]:
    for hierarchy in _hierarchies():
        yield from hierarchy.glob(name)


def _remove_empty_groups() -> None:
    """Those of hosts whose run was killed; a group in use cannot be removed."""
    for group in _groups(f"{PREFIX}*"):
        _remove_group(group)


def _remove_group(group: Path) -> None:
    below = sorted(group.rglob("*/"), key=lambda place: -len(place.parts))
    for place in [*below, group]:
        with suppress(OSError):
            place.rmdir()


def _descendants(pid: int) -> Iterator[int]:
    for child in map(int, _read(f"/proc/{pid}/task/{pid}/children").split()):
        yield child
        yield from _descendants(child)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # It has ended meanwhile.
        return ""
