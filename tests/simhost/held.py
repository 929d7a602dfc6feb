"""A command that stands before a system call of its own until the test has it go on: nothing there depends on time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .host import SimHost
from .process import PATIENCE, until

TRACE = "/home/sim/calls"


def strace(call: str, number: int = 1) -> list[str]:
    """Returns the words before a command that has it stand before its `number`th call of that name.

    What it has called is in TRACE, the call before which it stands as a line without an end.
    """
    delay = f"-einject={call}:delay_enter={PATIENCE:.0f}s:when={number}"
    return ["strace", "-D", "-f", "-qq", "-esignal=none", f"-o{TRACE}", f"-etrace={call}", delay]


def held(host: SimHost, call: str, number: int, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Returns a command of a host that stands before its `number`th call of that name; `options` are those of popen."""
    trace = host.path(TRACE)
    process = host.popen([*strace(call, number), *argv], **options)

    def stands() -> bool:
        said = trace.read_text() if trace.exists() else ""
        return said.count(f"{call}(") == number and not said.endswith("\n")

    assert until(lambda: stands() or process.poll() is not None) and process.poll() is None, trace.read_text()
    return process


def send(process: subprocess.Popen[bytes], number: int) -> None:
    """Sends it a signal while it stands: one that a thread is about to take would be lost with the tracer."""
    os.kill(process.pid, number)
    assert until(lambda: not _is_on_its_way(process.pid, number))


def _is_on_its_way(pid: int, number: int) -> bool:
    threads = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/status") if task.parent.name != str(pid)]
    if not threads:
        return False  # the one that stands takes it once it goes on
    waits = any(int(bits, 16) >> (number - 1) & 1 for bits in re.findall(r"Pnd:\t(\w+)", "".join(threads)))
    return waits or any("State:\tt" in one for one in threads)


def let_go(process: subprocess.Popen[bytes]) -> None:
    """Has it make the call, and all further ones."""
    (tracer,) = re.findall(r"TracerPid:\t(\d+)", Path(f"/proc/{process.pid}/status").read_text())
    os.kill(int(tracer), signal.SIGKILL)
