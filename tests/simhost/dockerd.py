"""A real dockerd of a test's own: socket, data root, configuration and containers are private to it."""

from __future__ import annotations

import http.client
import io
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .process import PATIENCE, Done, run, until

DOCKERD = "/usr/sbin/dockerd"
PIVOT = Path(__file__).parent / "pivot.py"
DOCKER = "/usr/bin/docker"
BUSYBOX = "/bin/busybox"
MACHINE = os.uname().machine
LOADER = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}[MACHINE]
GLIBC = (LOADER, *(f"/lib/{MACHINE}-linux-gnu/{name}" for name in ("libc.so.6", "libdl.so.2", "libpthread.so.0")))
APPLETS = ("sh", "cat", "echo", "env", "false", "ls", "ps", "sleep", "touch", "true")
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Dockerd:
    """Not running until `start`. `path` is put in front of dockerd's PATH; `config` is daemon.json's text.

    `system` is the root that it is installed in and runs in, None for the machine's own.
    """

    def __init__(
        self,
        *,
        path: Sequence[Path] = (),
        config: str = "{}\n",
        flags: Sequence[str] = (),
        system: Path | None = None,
    ) -> None:
        # Not mkdtemp: containerd takes the name as a namespace's and allows no underscore at its end.
        self.root = Path(tempfile.gettempdir(), f"gpusim-{secrets.token_hex(6)}")
        self.root.mkdir(mode=0o711)
        self.socket = self.root / "docker.sock"
        self.config = self.root / "daemon.json"
        self.log = self.root / "dockerd.log"
        self.host = f"unix://{self.socket}"
        self.config.write_text(config)
        self.program = [DOCKERD]
        if system:
            self.program = [sys.executable, "-I", "-S", str(PIVOT), str(system), DOCKERD]
        self._path = ":".join([*map(str, path), SYSTEM_PATH])
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The daemon's process id. Raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("this dockerd is not running")
        return self._process.pid

    def start(self) -> None:
        """Returns when the daemon answers. Raises RuntimeError with its log when it does not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                env={"PATH": self._path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: self.answers() or not self._running())
        if not self.answers():
            raise RuntimeError("dockerd did not start:\n" + self.log.read_text()[-4000:])

    def answers(self) -> bool:
        """Whether the daemon answers on its socket."""
        connection = http.client.HTTPConnection("localhost")
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(PATIENCE)
            connection.sock.connect(str(self.socket))
            connection.request("GET", "/_ping")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """Ends the daemon; containers end with it unless live-restore is on."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Stops and starts the daemon: it looks for the hook on its PATH anew."""
        self.stop()
        self.start()

    def docker(self, *argv: str, stdin: str | bytes = "", timeout: float = 60) -> Done:
        """The result of `docker ARGV…` against this daemon."""
        env = {"PATH": SYSTEM_PATH, "DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.root / "client")}
        return run([DOCKER, *argv], env, stdin, timeout)

    def close(self) -> None:
        """Ends everything that this daemon started and removes its files; does nothing the second time."""
        if not self.root.exists():
            return
        if self._process is not None:
            if self.answers():
                self._remove_containers()
            self._process.kill()  # it takes a second to end by itself
            self._process.wait()
            self._process = None
        leftovers = self._leftovers()
        for pid in leftovers:
            _kill(pid)
        until(lambda: not any(map(_command_line, leftovers)))
        for place in _mounts_below(self.root):
            subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self.root)

    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _command(self) -> list[str]:
        place = {"data-root": "data", "exec-root": "exec", "pidfile": "docker.pid", "config-file": "daemon.json"}
        options = [f"--{name}={self.root / file}" for name, file in place.items()]
        # A containerd of the system would be shared: the namespaces keep this daemon's containers apart there.
        spaces = [f"--containerd-namespace={self.root.name}", f"--containerd-plugins-namespace={self.root.name}-p"]
        network = ["--iptables=false", "--bridge=none"]
        return [*self.program, f"--host={self.host}", *options, *spaces, *network, *self._flags]

    def _remove_containers(self) -> None:
        containers = self.docker("ps", "-aq").out.split()
        if containers:
            self.docker("rm", "-f", *containers)

    def _leftovers(self) -> list[int]:
        """The containerd and shims of this daemon and, before them, the containers that they hold."""
        engines = [
            pid for pid in _pids() if self.root.name in _command_line(pid) and "containerd" in _command_line(pid)
        ]
        return [child for pid in engines for child in _children(pid)] + engines


def import_image(
    dockerd: Dockerd,
    name: str = "nvidia/cuda:10.1-base",
    env: Mapping[str, str] = {},
    labels: Mapping[str, str] = {},
    glibc: bool = False,
) -> None:
    """Gives the daemon an image of busybox under that name, with the variables of NVIDIA's images and `env`.

    `glibc`: with the C library of this machine, too.
    """
    nvidia = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    values = {"PATH": SYSTEM_PATH, **nvidia, **env}
    changes = [f"ENV {key}={_quoted(value)}" for key, value in values.items()]
    changes += [f"LABEL {key}={_quoted(value)}" for key, value in labels.items()]
    options = [word for change in [*changes, 'CMD ["sh"]'] for word in ("--change", change)]
    done = dockerd.docker("import", *options, "-", name, stdin=busybox_tar(GLIBC if glibc else ()))
    if done.code:
        raise RuntimeError(done.err)


def busybox_tar(files: Sequence[str] = ()) -> bytes:
    """A root file system of busybox, with these files of the machine."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "usr", "usr/bin", "usr/lib"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add(os.path.realpath(BUSYBOX), "bin/busybox")
        for applet in APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        for file in files:
            tar.add(os.path.realpath(file), file.lstrip("/"))
    return buffer.getvalue()


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # It has ended meanwhile.
        return ""


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _mounts_below(root: Path) -> list[str]:
    """Deepest first."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((place for place in places if place.startswith(f"{root}/")), reverse=True)
