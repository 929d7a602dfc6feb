"""A real containerd of a test's own: root, state, socket and configuration are private to it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .dockerd import SYSTEM_PATH, _mounts_below, busybox_tar
from .process import Done, run, until

CONTAINERD = Path("/usr/bin/containerd")


class Containerd:
    """Not running until `start`. `program` may lie in an unpacked package, its shim beside it."""

    def __init__(self, config: str | None = "version = 2\n", program: Path = CONTAINERD) -> None:
        # Short: a shim's socket lies below it, and its path is limited.
        self.root = Path(tempfile.gettempdir(), f"gpusim-{secrets.token_hex(6)}")
        (self.root / "conf.d").mkdir(parents=True)
        self.program = program
        self.config, self.socket, self.log = (self.root / name for name in ("config.toml", "c.sock", "log"))
        if config is not None:
            self.config.write_text(config)
        self._pidfile = self.root / "pid"

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return int(self._pidfile.read_text())

    @property
    def argv(self) -> list[str]:
        """Its command line."""
        places = {
            "config": self.config,
            "root": self.root / "root",
            "state": self.root / "state",
            "address": self.socket,
        }
        return [str(self.program), *(word for name, place in places.items() for word in (f"--{name}", str(place)))]

    def start(self) -> None:
        """Returns when the daemon answers. Raises RuntimeError with its log when it does not."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.argv, env=self._env(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._pidfile.write_text(str(process.pid))
        until(lambda: self.ctr("version").code == 0 or process.poll() is not None)
        if process.poll() is not None or self.ctr("version").code:
            raise RuntimeError("containerd did not start:\n" + self.log.read_text()[-4000:])

    def stop(self) -> None:
        """Ends the daemon; its containers live on."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
            until(lambda: not _alive(self.pid))

    def ctr(self, *argv: str) -> Done:
        """The result of `ctr ARGV…` against this daemon, in Kubernetes's namespace."""
        return run(
            [str(self.program.with_name("ctr")), "--address", str(self.socket), "--namespace", "k8s.io", *argv],
            {"PATH": SYSTEM_PATH},
        )

    def dump(self) -> str:
        """What containerd itself makes of its files now."""
        return run([str(self.program), "--config", str(self.config), "config", "dump"], {"PATH": SYSTEM_PATH}).out

    def run_container(self, name: str, *command: str) -> int:
        """Starts a container of busybox. Returns its process id."""
        rootfs = self.root / "rootfs"
        if not rootfs.exists():
            rootfs.mkdir()
            subprocess.run(["tar", "-x", "-C", rootfs], input=busybox_tar(), check=True)
        done = self.ctr("run", "--detach", "--rootfs", str(rootfs), name, *command)
        if done.code:
            raise RuntimeError(done.err)
        return self.containers()[name]

    def containers(self) -> dict[str, int]:
        """The running containers' process ids, as the daemon says."""
        rows = [line.split() for line in self.ctr("tasks", "list").out.splitlines()[1:]]
        return {name: int(pid) for name, pid, state in rows if state == "RUNNING"}

    def systemctl(self, folder: Path) -> None:
        """Puts a systemctl into a folder for PATH: `systemctl … restart UNIT` restarts this daemon."""
        words = " ".join(f"'{word}'" for word in self.argv)
        script = f"""#!/bin/sh
pid=$(cat {self._pidfile})
kill "$pid"
while [ -n "$(tr -d '\\0' 2>/dev/null </proc/$pid/cmdline)" ]; do sleep 0.05; done
PATH={self._env()["PATH"]} setsid {words} >>{self.log} 2>&1 </dev/null &
echo $! >{self._pidfile}
"""
        program = folder / "systemctl"
        program.write_text(script)
        program.chmod(0o755)

    def close(self) -> None:
        """Ends everything that this daemon started and removes its files."""
        for name in self.containers() if _alive_in(self._pidfile) else ():
            self.ctr("tasks", "kill", "--signal", "KILL", name)
            self.ctr("tasks", "delete", "--force", name)
        self.stop()
        for place in _mounts_below(self.root):
            subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self.root)

    def _env(self) -> dict[str, str]:
        return {"PATH": f"{self.program.parent}:{SYSTEM_PATH}"}


def unpack(suite: str, folder: Path, package: str = "containerd", program: str = "usr/bin/containerd") -> Path:
    """Unpacks a package of that Debian suite into a folder, by apt and from the mirror that this host uses.

    Returns the program in it. Raises LookupError where it cannot be had.
    """
    site = next(iter(_apt(["indextargets", "--format", "$(REPO_URI)", "Label: Debian", "Created-By: Packages"])), "")
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "sources.list").write_text(f"deb {site} {suite} main\n")
    options = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
        "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",  # which apt-file has apt fetch
        "APT::Sandbox::User": "root",
    }
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    _apt(["update", *flags])
    _apt(["download", *flags, package], folder)
    shutil.rmtree(folder / "lists")
    archive = next(folder.glob(f"{package}_*.deb"), None)
    if archive is None:
        raise LookupError(f"no {package} of {suite} is in reach")
    subprocess.run(["dpkg-deb", "--extract", archive, folder], check=True)
    archive.unlink()
    return folder / program


def _apt(argv: Sequence[str], folder: Path = Path("/")) -> list[str]:
    done = subprocess.run(
        ["apt-get", "-q", *argv], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    return done.stdout.splitlines()


def _alive(pid: int) -> bool:
    """A zombie has no command line any more."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def _alive_in(pidfile: Path) -> bool:
    return pidfile.exists() and _alive(int(pidfile.read_text()))
