"""gpuctl in a process of its own that was forked off one which had loaded it: serve.py.

To load it costs more than most runs do. How it is started, what it loads, and what other programs make of it is
for `python -m gpuctl`.
"""

from __future__ import annotations

import marshal
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

STATUS = struct.Struct("i")
_BEGUN_ONCE = threading.Lock()
SERVER = Path(__file__).with_name("serve.py")
REPOSITORY = Path(__file__).parents[2]


def gpuctl(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The result of `gpuctl ARGV…`; `options` are those of `run`."""
    done = run(*argv, **options)
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


def run(
    *argv: str,
    stdin: str | bytes = "",
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] = REPOSITORY,
    plan: Mapping[str, Any] | None = None,
    strace: Sequence[str] = (),
    timeout: float = 300,
) -> subprocess.CompletedProcess[bytes]:
    """The result of `gpuctl ARGV…` in bytes.

    plan     where: inside a simulated host, as enter.py has it
    strace   options of a strace that sees all that gpuctl does once it is loaded

    Raises subprocess.TimeoutExpired after `timeout` seconds, the command and its children killed.
    """
    files = [_pipe(stdin.encode() if isinstance(stdin, str) else stdin), *map(os.memfd_create, ("stdout", "stderr"))]
    try:
        request = (argv, dict(os.environ if env is None else env), os.path.abspath(cwd), plan, bool(strace))
        code = _ended(marshal.dumps(request), files, strace, timeout)
        out, err = (_content(file) for file in files[1:])
    finally:
        for file in files:
            os.close(file)
    return subprocess.CompletedProcess(argv, code, out, err)


def _pipe(text: bytes) -> int:
    """Where it is read. Its end comes when all of it has been taken."""
    reader, writer = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), open(writer, "wb") as given:
            given.write(text)

    threading.Thread(target=write, daemon=True).start()
    return reader


def _content(file: int) -> bytes:
    with open(file, "rb", closefd=False) as said:
        said.seek(0)
        return said.read()


def _ended(request: bytes, files: Sequence[int], strace: Sequence[str], timeout: float) -> int:
    said, theirs = socket.socketpair()
    with said:
        with theirs, _BEGUN_ONCE:
            socket.send_fds(_server(), [request], [*files, theirs.fileno()])
        (pid,) = STATUS.unpack(said.recv(STATUS.size))
        tracer = _traced(pid, strace) if strace else None
        said.settimeout(timeout)
        try:
            (status,) = STATUS.unpack(said.recv(STATUS.size))
        except TimeoutError:
            os.killpg(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired("gpuctl", timeout) from None
    if tracer:
        tracer.wait()
    return os.waitstatus_to_exitcode(status)


def _traced(pid: int, options: Sequence[str]) -> subprocess.Popen[bytes]:
    status = Path(f"/proc/{pid}/status")
    while "State:\tT" not in status.read_text():
        time.sleep(0.001)
    tracer = subprocess.Popen(["strace", *options, f"--attach={pid}"])
    while "TracerPid:\t0\n" in status.read_text():
        assert tracer.poll() is None, tracer.args
        time.sleep(0.001)
    os.kill(pid, signal.SIGCONT)
    return tracer


@cache
def _server() -> socket.socket:
    """The socket of this process's own server, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        argv = [sys.executable, str(SERVER), str(theirs.fileno())]
        subprocess.Popen(argv, env=env, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    return ours
