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


def let_go(process: subprocess.Popen[bytes]) -> None:
    """Has it make the call, and all further ones."""
    (tracer,) = re.findall(r"TracerPid:\t(\d+)", Path(f"/proc/{process.pid}/status").read_text())
    os.kill(int(tracer), signal.SIGKILL)
