"""Running a command of the test and keeping what it said."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

PATIENCE = 300.0
"""Seconds after which what has not come is not waited for any more. They only end a hang."""


@dataclass(frozen=True)
class Done:
    """A finished command: exit status (negative: the signal that ended it), stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The stdout as JSON."""
        return json.loads(self.out)


def run(argv: Sequence[str], env: Mapping[str, str], stdin: str | bytes = "", timeout: float = PATIENCE) -> Done:
    """The result of a command. Raises subprocess.TimeoutExpired after killing it and all that it started."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, env=env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
    return finish(process, stdin, timeout)


def finish(process: subprocess.Popen[bytes], stdin: str | bytes = "", timeout: float = PATIENCE) -> Done:
    """Waits for a process that leads its own session."""
    text = stdin.encode() if isinstance(stdin, str) else stdin
    try:
        out, err = process.communicate(text, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return Done(process.returncode, out.decode(), err.decode())


def until(true: Callable[[], bool]) -> bool:
    """Waits until it is true, with PATIENCE. Returns whether it is. A busy machine only takes longer."""
    deadline = time.monotonic() + PATIENCE
    while not (held := true()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


def running(words: str) -> list[int]:
    """The processes that were started with these words in their command line, and have not ended."""
    return [int(one) for one in subprocess.run(["pgrep", "-f", re.escape(words)], capture_output=True).stdout.split()]


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
